// What the adapters do at the limits of the server: a full log, records and messages that are too large, answers that are
// longer than the server sends at a time, a server that is gone.
import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connectNats } from '../../shared/nats/connect.ts';
import { createEventLogAppender } from '../../shared/nats/event-log-appender.ts';
import { createEventLogReader } from '../../shared/nats/event-log-reader.ts';
import { createOutboxCopies } from '../../shared/nats/outbox-copies.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import type { LogAppend } from '../../shared/ports/event-log.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { makeSegment, type TestSegment } from '../support/segment.ts';
import { Collector, eventuallyTrue } from './collector.ts';

const KB = 1024;
const MB = KB * KB;
const range = (count: number) => Array.from({ length: count }, (_, index) => index);

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.stop());

async function withSegment(
  eventsBytesMax: number,
  work: (segment: TestSegment) => Promise<void>,
): Promise<void> {
  const segment = await makeSegment(server.url, { eventsBytesMax });
  try {
    await work(segment);
  } finally {
    await segment.close();
  }
}

const event = (size: number, shard = 0): LogAppend => ({
  shard,
  source: 'ingest',
  payload: new Uint8Array(size),
});

describe('a full log', () => {
  it('takes requests whole or not at all', async () => {
    await withSegment(MB, async ({ door, names }) => {
      const log = createEventLogReader(door, names);
      const appender = createEventLogAppender(door, names);
      const outcomes: string[] = [];
      let stored = 0;
      for (const round of range(40)) {
        const count = 1 + ((round * 37) % 60);
        const { kind } = await appender.append(range(count).map(() => event(2 * KB)));
        outcomes.push(kind);
        if (kind === 'stored') stored += count;
        expect((await log.state()).messages).toBe(stored);
      }
      expect(new Set(outcomes)).toEqual(new Set(['stored', 'full']));
      await appender.close();
    });
  });

  it('does not lose the timers that fire meanwhile', async () => {
    await withSegment(MB, async ({ door, names }) => {
      const copies = createOutboxCopies(door, names);
      const log = createEventLogReader(door, names);
      const appender = createEventLogAppender(door, names);
      const store = createRecordStore(door, names);
      while ((await appender.append([event(60 * KB)])).kind === 'stored');
      const timers = range(40);
      const value = new Uint8Array(4 * KB);
      const armed = await store.commit(
        timers.map((id) => ({
          kind: 'schedule',
          key: `t.${id}.nap`,
          target: `f.1.${id}.nap.1`,
          atMs: Date.now() + 100,
          value,
        })),
      );
      expect(armed.kind).toBe('committed');
      const targets = timers.map((id) => `f.1.${id}.nap.1`);
      await eventuallyTrue('all have fired', async () => {
        const found = await store.read(targets, 'leader');
        return [...found.values()].every(({ revision }) => revision > 0);
      });
      const due = new Collector(log, 1);
      const { lastSequence, bytes, bytesMax } = await log.state();
      expect(bytes).toBeLessThanOrEqual(bytesMax);
      expect(due.messages.length).toBeLessThan(timers.length);
      await copies.purgeLog(Math.floor(lastSequence / 2));
      await due.until(timers.length, 40_000);
      expect(due.messages).toHaveLength(timers.length);
      due.close();
      await appender.close();
    });
  }, 60_000);
});

describe('too large', () => {
  it('a record over the payload limit is refused, in a batch and alone, and nothing is stored', async () => {
    await withSegment(MB, async ({ door, names }) => {
      const store = createRecordStore(door, names);
      const large = { kind: 'put', key: 'p.large', value: new Uint8Array(3 * MB), expect: 0 } as const;
      const small = { kind: 'put', key: 'p.small', value: new Uint8Array(1), expect: 0 } as const;
      for (const writes of [[large], [small, large], [large, small]]) {
        const outcome = await store
          .commit(writes)
          .catch((error: unknown) => ({ kind: `threw ${String(error)}` }));
        expect(outcome.kind).toBe('refused');
      }
      expect((await store.read(['p.small'], 'leader')).get('p.small')?.revision).toBe(0);
    });
  });

  it('records together larger than what the server sends at a time are all read', async () => {
    await withSegment(MB, async ({ door, names }) => {
      const store = createRecordStore(door, names);
      const keys = range(200).map((id) => `p.${id}`);
      for (let start = 0; start < keys.length; start += 8) {
        const outcome = await store.commit(
          keys
            .slice(start, start + 8)
            .map((key) => ({ kind: 'put', key, value: new Uint8Array(480 * KB), expect: 0 })),
        );
        expect(outcome.kind).toBe('committed');
      }
      const found = await store.read(keys, 'replica');
      const missing = keys.filter((key) => found.get(key)?.value?.length !== 480 * KB);
      expect(missing).toEqual([]);
    });
  }, 60_000);
});

describe('bounds', () => {
  it('a reader that nobody takes from holds a bounded number of bytes', async () => {
    await withSegment(128 * MB, async ({ door, names }) => {
      const log = createEventLogReader(door, names);
      const appender = createEventLogAppender(door, names);
      for (const _ of range(15)) {
        expect(await appender.append(range(8).map(() => event(500 * KB)))).toEqual({ kind: 'stored' });
      }
      const reader = log.open(0, 0, () => {});
      await eventuallyTrue('it reads', () => reader.buffered > 0);
      // Nothing tells that it stopped: it has when two looks a while apart see the same.
      let before = -1;
      await eventuallyTrue('it stops', async () => {
        const same = reader.buffered === before;
        before = reader.buffered;
        await new Promise((resolve) => setTimeout(resolve, 500));
        return same;
      });
      const heldBytes = reader.take(1000).reduce((sum, { payload }) => sum + payload.length, 0);
      expect(heldBytes).toBeLessThanOrEqual(16 * MB);
      reader.close();
      await appender.close();
    });
  }, 60_000);

  it('an appender that has too much waiting says when to try again, and stores what it took', async () => {
    await withSegment(64 * MB, async ({ door, names }) => {
      const appender = createEventLogAppender(door, names, { waitingBytesMax: MB });
      const outcomes = await Promise.all(range(20).map(() => appender.append([event(200 * KB)])));
      const stored = outcomes.filter(({ kind }) => kind === 'stored').length;
      expect(outcomes.find(({ kind }) => kind === 'overloaded')).toMatchObject({
        retryAfterMs: expect.any(Number),
      });
      expect(outcomes.every(({ kind }) => kind === 'stored' || kind === 'overloaded')).toBe(true);
      expect((await createEventLogReader(door, names).state()).messages).toBe(stored);
      expect(await appender.append([event(KB)])).toEqual({ kind: 'stored' });
      await appender.close();
    });
  });
});

describe('a server that is gone', () => {
  it('leaves what is in flight unknown, what comes after unavailable, and works when it is back', async () => {
    const own = await startTestServer();
    const { door, names, close } = await makeSegment(own.url, { eventsBytesMax: 16 * MB });
    const store = createRecordStore(door, names);
    const appender = createEventLogAppender(door, names, { deadlineMs: 2000 });
    const calls: string[] = [];
    door.onDisconnect(() => calls.push('disconnect'));
    door.onReconnect(() => calls.push('reconnect'));
    own.signal('SIGSTOP');
    const put = { kind: 'put', key: 'p.1', value: new Uint8Array(1), expect: 0 } as const;
    const committing = store.commit([put]);
    const appending = appender.append([event(10)]);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await own.kill();
    expect(await committing).toMatchObject({ kind: 'unknown' });
    expect(await appending).toMatchObject({ kind: 'unknown' });
    expect(appender.reachable).toBe(false);
    expect(await appender.append([event(10)])).toMatchObject({ kind: 'unavailable' });
    expect(await store.commit([put])).toMatchObject({ kind: 'unknown' });
    await expect(store.read(['p.1'], 'leader')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await expect(store.read(['p.1'], 'replica')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await expect(createEventLogReader(door, names).state()).rejects.toMatchObject({
      code: 'LOG_UNAVAILABLE',
    });
    await own.restart();
    await eventuallyTrue('it is connected again', () => door.connected);
    expect(calls).toEqual(['disconnect', 'reconnect']);
    expect(['committed', 'conflict']).toContain((await store.commit([put])).kind);
    expect(await appender.append([event(10)])).toEqual({ kind: 'stored' });
    await appender.close();
    await close();
    await own.stop();
  }, 60_000);

  it('that never was is LOG_UNAVAILABLE', async () => {
    await expect(connectNats({ url: 'nats://127.0.0.1:1', name: 'test' })).rejects.toMatchObject({
      code: 'LOG_UNAVAILABLE',
    });
  });

  it('that is too old is refused with its version', async () => {
    const info = {
      server_id: 'x',
      version: '2.10.27',
      proto: 1,
      max_payload: MB,
      headers: true,
      client_id: 1,
    };
    const old = createServer((socket) => {
      socket.write(`INFO ${JSON.stringify(info)}\r\n`);
      socket.on('data', (chunk) => {
        if (chunk.toString('latin1').includes('PING')) socket.write('PONG\r\n');
      });
      socket.on('error', () => {});
    });
    await new Promise<void>((resolve) => old.listen(0, '127.0.0.1', resolve));
    const address = old.address();
    const port = typeof address === 'object' && address ? address.port : 0;
    await expect(connectNats({ url: `nats://127.0.0.1:${port}`, name: 'test' })).rejects.toMatchObject({
      code: 'SERVER_TOO_OLD',
      message: expect.stringMatching(/2\.10\.27.*2\.14\.4/),
    });
    old.close();
  });
});
