import { afterAll, beforeAll } from 'vitest';
import { createEventLogAppender } from '../../shared/nats/event-log-appender.ts';
import { createEventLogReader } from '../../shared/nats/event-log-reader.ts';
import { createOutboxCopies } from '../../shared/nats/outbox-copies.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { makeSegment } from '../support/segment.ts';
import { eventLogContract } from './event-log.contract.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.stop());

eventLogContract('nats-server', async () => {
  const { door, names, close } = await makeSegment(server.url, { eventsBytesMax: 64 * 1024 ** 2 });
  const copies = createOutboxCopies(door, names);
  return {
    log: createEventLogReader(door, names),
    appender: () => createEventLogAppender(door, names),
    purge: (upTo) => copies.purgeLog(upTo),
    close,
  };
});
