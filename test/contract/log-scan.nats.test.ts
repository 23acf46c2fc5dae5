// What a scan of the log promises (shared/ports/log-scan.ts), on a real server.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createEventLogAppender } from '../../shared/nats/event-log-appender.ts';
import { callApi } from '../../shared/nats/jetstream-api.ts';
import { createLogScan } from '../../shared/nats/log-scan.ts';
import { createOutboxCopies } from '../../shared/nats/outbox-copies.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { eventually, makeSegment, type TestSegment } from '../support/segment.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.stop());

async function filled(count: number, pad = 0): Promise<TestSegment> {
  const segment = await makeSegment(server.url);
  const appender = createEventLogAppender(segment.door, segment.names, {});
  for (let n = 0; n < count; n += 100) {
    const messages = Array.from({ length: Math.min(100, count - n) }, (_, i) => ({
      shard: (n + i) % 8,
      source: 'ingest' as const,
      payload: Buffer.from(`${n + i + 1} ${'x'.repeat(pad)}`),
    }));
    expect(await appender.append(messages)).toEqual({ kind: 'stored' });
  }
  await appender.close();
  return segment;
}

async function read({ door, names }: TestSegment, from: number, upTo: number): Promise<readonly number[]> {
  const found: number[] = [];
  for await (const messages of createLogScan(door, names).scan(from, upTo, new AbortController().signal))
    for (const { sequence, shard, payload, timeMs } of messages) {
      expect(Number(Buffer.from(payload).toString().split(' ')[0])).toBe(sequence);
      expect(shard).toBe((sequence - 1) % 8);
      expect(timeMs).toBeGreaterThan(1.7e12);
      found.push(sequence);
    }
  return found;
}

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);

it('reads any stretch, of all shards, in order', async () => {
  const segment = await filled(2500);
  expect(await read(segment, 1, 2500)).toEqual(range(1, 2500));
  expect(await read(segment, 999, 1002)).toEqual(range(999, 1002));
  expect(await read(segment, 2400, 9999)).toEqual(range(2400, 2500));
  expect(await read(segment, 2501, 9999)).toEqual([]);
  await segment.close();
});

it('reads messages that are more than one answer takes', async () => {
  const segment = await filled(60, 900_000);
  expect(await read(segment, 1, 60)).toEqual(range(1, 60));
  await segment.close();
}, 60_000);

it('passes over what was removed: at the beginning, in between, at the end', async () => {
  const segment = await filled(200);
  await createOutboxCopies(segment.door, segment.names).purgeLog(10);
  for (const seq of [50, 51, 199, 200])
    await callApi(segment.door, `STREAM.MSG.DELETE.${segment.names.eventsStream}`, { seq });
  const gone = new Set([50, 51, 199, 200]);
  expect(await read(segment, 1, 200)).toEqual(range(11, 200).filter((sequence) => !gone.has(sequence)));
  await segment.close();
});

it('of an empty log brings nothing', async () => {
  const segment = await makeSegment(server.url);
  expect(await read(segment, 1, 100)).toEqual([]);
  await segment.close();
});

it('throws while the server is away, and reads again when it is back', async () => {
  const own = await startTestServer();
  try {
    const segment = await makeSegment(own.url);
    await own.kill();
    await eventually('the loss is seen', () => !segment.door.connected);
    await expect(read(segment, 1, 10)).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' });
    await own.restart();
    await eventually('the connection is back', () => segment.door.connected);
    expect(await read(segment, 1, 10)).toEqual([]);
    await segment.close();
  } finally {
    await own.stop();
  }
});
