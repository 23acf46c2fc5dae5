import { afterAll, beforeAll } from 'vitest';
import { createEventLogReader } from '../../shared/nats/event-log-reader.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { makeSegment } from '../support/segment.ts';
import { recordStoreContract } from './record-store.contract.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.stop());

recordStoreContract('nats-server', async () => {
  const { door, names, close } = await makeSegment(server.url, { eventsBytesMax: 64 * 1024 ** 2 });
  return {
    store: createRecordStore(door, names),
    log: createEventLogReader(door, names),
    nowMs: () => Date.now(),
    close,
  };
});
