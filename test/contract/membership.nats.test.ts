import { afterAll, beforeAll } from 'vitest';
import { connectNats, type NatsDoor } from '../../shared/nats/connect.ts';
import { createMembership } from '../../shared/nats/membership.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { makeSegment } from '../support/segment.ts';
import { membershipContract } from './membership.contract.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.stop());

membershipContract('nats-server', async () => {
  const { names, close } = await makeSegment(server.url, { eventsBytesMax: 64 * 1024 ** 2 });
  const doors: NatsDoor[] = [];
  return {
    async member() {
      const door = await connectNats({ url: server.url, name: 'member' });
      doors.push(door);
      const membership = createMembership(door, names, { heartbeatMs: 300 });
      return {
        membership,
        crash: () => door.close(),
        // Its subject is still listened to, by nobody who answers.
        async hang(id) {
          await membership.leave();
          door.nc.subscribe(names.probeSubject(id), { callback: () => {} });
          await door.nc.flush();
        },
      };
    },
    async close() {
      for (const door of doors) await door.close();
      await close();
    },
  };
});
