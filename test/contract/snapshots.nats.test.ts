// Loads of snapshot tables over nats-server.
import { randomUUID } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from 'vitest';
import { systemClock } from '../../shared/kernel/clock.ts';
import { systemRandom } from '../../shared/kernel/random.ts';
import { createPresence } from '../../shared/nats/presence.ts';
import { createSnapshotStore } from '../../shared/nats/record-store.ts';
import { createSnapshotPages } from '../../shared/nats/snapshots.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { makeSegment } from '../support/segment.ts';
import { snapshotsContract } from './snapshots.contract.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

snapshotsContract('nats', async () => {
  const { door, names, close } = await makeSegment(server.url);
  const answers = new Map<string, () => void>();
  return {
    deps: (owner) => {
      const presence = createPresence(door, names);
      return {
        store: createSnapshotStore(door, names),
        pages: createSnapshotPages(door, names),
        presence: {
          ...presence,
          answer(id) {
            const gone = presence.answer(id);
            answers.set(id, gone);
            return gone;
          },
        },
        clock: systemClock,
        random: systemRandom,
        owner,
        by: owner,
        spoolFile: () => join(tmpdir(), `stitchwork-test-rows-${randomUUID()}`),
      };
    },
    kill(owner) {
      answers.get(owner)?.();
      answers.delete(owner);
    },
    close,
  };
});
