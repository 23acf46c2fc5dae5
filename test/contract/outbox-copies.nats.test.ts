import { afterAll, beforeAll } from 'vitest';
import { createEventLogReader } from '../../shared/nats/event-log-reader.ts';
import { createOutboxCopies } from '../../shared/nats/outbox-copies.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { readStream } from '../../shared/nats/stream-reader.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { makeSegment } from '../support/segment.ts';
import { outboxCopiesContract } from './outbox-copies.contract.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.stop());

outboxCopiesContract('nats-server', async () => {
  const { door, names, close } = await makeSegment(server.url, { eventsBytesMax: 64 * 1024 ** 2 });
  const streams = { activations: names.activationsStream, audit: names.auditStream, dead: names.deadStream };
  return {
    store: createRecordStore(door, names),
    log: createEventLogReader(door, names),
    copies: createOutboxCopies(door, names),
    async copied(name) {
      const texts: string[] = [];
      for await (const { payload } of readStream(door, streams[name]))
        texts.push(new TextDecoder().decode(payload));
      return texts;
    },
    nowMs: () => Date.now(),
    close,
  };
});
