// Readers that share a consumer: gaps are seen, and lanes that come late, or come back, miss and repeat nothing.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createEventLogAppender } from '../../shared/nats/event-log-appender.ts';
import { createEventLogReader } from '../../shared/nats/event-log-reader.ts';
import type { EventLogAppender, EventLogReader } from '../../shared/ports/event-log.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { makeSegment, type TestSegment } from '../support/segment.ts';
import { Collector } from './collector.ts';

const SHARDS = 4;
let server: TestServer;
let segment: TestSegment;
let log: EventLogReader;
let appender: EventLogAppender;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.stop());

beforeEach(async () => {
  segment = await makeSegment(server.url, { shards: SHARDS, eventsBytesMax: 64 * 1024 ** 2 });
  log = createEventLogReader(segment.door, segment.names, SHARDS);
  appender = createEventLogAppender(segment.door, segment.names);
});
afterEach(async () => {
  await appender.close();
  await segment.close();
});

/** Appends messages `<from>` … to shards 0, 1, 2, 3, 0, … */
async function append(from: number, count: number): Promise<void> {
  const messages = Array.from({ length: count }, (_, index) => ({
    shard: (from + index) % SHARDS,
    source: 'ingest' as const,
    payload: Buffer.from(String(from + index)),
  }));
  expect(await appender.append(messages)).toEqual({ kind: 'stored' });
}

const textsOf = (shard: number, upTo: number) =>
  Array.from({ length: upTo }, (_, index) => index)
    .filter((index) => index % SHARDS === shard)
    .map(String);

describe('shards that are read together', () => {
  it('have no gaps while the sequences of the log follow one another', async () => {
    await append(0, 400);
    const all = Array.from({ length: SHARDS }, (_, shard) => new Collector(log, shard));
    for (const one of all) await one.until(100);
    await append(400, 40);
    for (const [shard, one] of all.entries()) {
      await one.until(110);
      expect([one.texts, one.reader.mayHaveGaps]).toEqual([textsOf(shard, 440), false]);
    }
  });

  it('may have gaps after a message of any shard was removed', async () => {
    await append(0, 8);
    await segment.door.request(
      `$JS.API.STREAM.MSG.DELETE.${segment.names.eventsStream}`,
      JSON.stringify({ seq: 3, no_erase: true }),
    );
    const all = [0, 1].map((shard) => new Collector(log, shard));
    for (const one of all) await one.until(2);
    expect(all.some(({ reader }) => reader.mayHaveGaps)).toBe(true);
  });

  it('that are opened one after another, some far behind, miss and repeat nothing', async () => {
    for (let from = 0; from < 4000; from += 500) await append(from, 500);
    const first = new Collector(log, 0);
    await first.until(200);
    const second = new Collector(log, 1, 2);
    await append(4000, 40);
    const third = new Collector(log, 2);
    await first.until(1010);
    await second.until(1009);
    await third.until(1010);
    first.close();
    await append(4040, 40);
    const again = new Collector(log, 0, first.messages.at(-1)!.sequence);
    await again.until(10);
    await second.until(1019);
    expect([...first.texts, ...again.texts]).toEqual(textsOf(0, 4080));
    expect(['1', ...second.texts]).toEqual(textsOf(1, 4080));
    expect(third.texts.slice(0, 1010)).toEqual(textsOf(2, 4040));
  });
});
