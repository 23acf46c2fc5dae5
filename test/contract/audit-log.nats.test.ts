import { afterAll, beforeAll, expect, it } from 'vitest';
import { createAuditLog } from '../../shared/nats/audit-log.ts';
import { callApi } from '../../shared/nats/jetstream-api.ts';
import { createOutboxCopies } from '../../shared/nats/outbox-copies.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { makeSegment } from '../support/segment.ts';
import { auditLogContract } from './audit-log.contract.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.stop());

auditLogContract('nats-server', async () => {
  const { door, names, close } = await makeSegment(server.url, { eventsBytesMax: 64 * 1024 ** 2 });
  return {
    store: createRecordStore(door, names),
    copies: createOutboxCopies(door, names),
    audit: createAuditLog(door, names),
    // The server purges up to but not including `seq`.
    expire: async (upTo) => {
      await callApi(door, `STREAM.PURGE.${names.auditStream}`, { seq: upTo + 1 });
    },
    close,
  };
});

it('without a server it says so in time', async () => {
  const { door, names, close } = await makeSegment(server.url);
  const audit = createAuditLog(door, names);
  await server.halt();
  await expect(audit.end()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  await expect(audit.readBack(5, { messages: 1, bytes: 1 })).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
  });
  await close();
});
