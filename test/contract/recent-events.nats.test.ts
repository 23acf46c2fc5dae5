// The newest events of a real log: in order, from the right place, across requests, and of one source.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createEventLogAppender } from '../../shared/nats/event-log-appender.ts';
import { createRecentEvents } from '../../shared/nats/recent-events.ts';
import type { LogMessage } from '../../shared/ports/event-log.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { makeSegment, type TestSegment } from '../support/segment.ts';

const TOTAL = 1200;
let server: TestServer;
let segment: TestSegment;
beforeAll(async () => {
  server = await startTestServer();
  segment = await makeSegment(server.url);
});
afterAll(async () => {
  await segment?.close();
  await server?.stop();
});

async function read(messages: number): Promise<readonly LogMessage[]> {
  const found: LogMessage[] = [];
  const events = createRecentEvents(segment.door, segment.names);
  for await (const message of events.read(messages)) found.push(message);
  return found;
}

it('is nothing while the log is empty', async () => {
  expect(await read(10)).toEqual([]);
});

it('is the last ones in order, and no commands', async () => {
  const appender = createEventLogAppender(segment.door, segment.names, {});
  for (let at = 0; at < TOTAL; at += 200) {
    const appends = Array.from({ length: 200 }, (_, index) => ({
      shard: index % 8,
      source: (at + index) % 10 === 9 ? ('command' as const) : ('ingest' as const),
      payload: Buffer.from(String(at + index)),
    }));
    expect((await appender.append(appends)).kind).toBe('stored');
  }
  await appender.close();
  for (const [messages, first] of [
    [5, TOTAL - 5],
    [1000, TOTAL - 1000],
    [1_000_000, 0],
  ] as const) {
    const expected = Array.from({ length: TOTAL - first }, (_, index) => first + index).filter(
      (number) => number % 10 !== 9,
    );
    const found = await read(messages);
    expect(found.map(({ payload }) => Number(Buffer.from(payload).toString()))).toEqual(expected);
    const [one] = found;
    expect(one).toMatchObject({ shard: (first % 200) % 8, source: 'ingest', sequence: first + 1 });
    expect(Math.abs(Date.now() - one!.timeMs)).toBeLessThan(60_000);
  }
});
