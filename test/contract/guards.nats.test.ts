// One test for each guard of the adapters against what nats-server does under crashes: each fails without its guard.
// G1 needs none. G3 and G6, which kill the server many times, are in guards-kill.nats.test.ts.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { assertNothingFellBack } from '../../infra/deploy.ts';
import { OUTBOX_FILTERS, recordKeys } from '../../shared/contract/names.ts';
import { publishBatch } from '../../shared/nats/atomic-batch.ts';
import { connectNats, isTransportReset, surviveTransportErrors } from '../../shared/nats/connect.ts';
import { createEventLogAppender } from '../../shared/nats/event-log-appender.ts';
import { createEventLogReader } from '../../shared/nats/event-log-reader.ts';
import { callApi, streamInfo } from '../../shared/nats/jetstream-api.ts';
import { createOutboxCopies } from '../../shared/nats/outbox-copies.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { describeTopology, diffTopology, ensureTopology } from '../../shared/nats/topology.ts';
import type { StoreWrite } from '../../shared/ports/record-store.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { makeSegment, type TestSegment } from '../support/segment.ts';
import { Collector, eventuallyTrue } from './collector.ts';
import { startCuttingProxy } from './cutting-proxy.ts';

const EVENTS_BYTES = 64 * 1024 ** 2;
const WINDOW_NS = 120_000 * 1e6;
const bytes = (text: string) => new TextEncoder().encode(text);
const put = (key: string, expected: number): StoreWrite => ({
  kind: 'put',
  key,
  value: bytes(key),
  expect: expected,
});

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server?.stop());

async function withSegment(work: (segment: TestSegment) => Promise<void>): Promise<void> {
  const segment = await makeSegment(server.url, { eventsBytesMax: EVENTS_BYTES });
  try {
    await work(segment);
  } finally {
    await segment.close();
  }
}

function arm(timer: string, target: string, text: string, inMs = 50): StoreWrite {
  return { kind: 'schedule', key: `t.1.${timer}`, target, atMs: Date.now() + inMs, value: bytes(text) };
}

/** Sends one API request that must succeed. */
async function demand(segment: TestSegment, subject: string, body?: unknown) {
  const answer = await callApi(segment.door, subject, body);
  if (answer.kind !== 'ok') throw new Error(`${subject}: ${JSON.stringify(answer)}`);
  return answer.body;
}

async function removeSources(segment: TestSegment, stream: string): Promise<void> {
  const { config } = (await streamInfo(segment.door, stream, 'LOG_UNAVAILABLE'))!;
  const { sources: _, ...without } = config;
  await demand(segment, `STREAM.UPDATE.${stream}`, without);
}

describe('G2: a commit whose answer is lost', () => {
  it.each([1, 3])(
    'is unknown, without revisions; the same %i writes again meet themselves',
    async (count) => {
      await withSegment(async ({ names }) => {
        const proxy = await startCuttingProxy(server.url);
        const door = await connectNats({ url: proxy.url, name: 'test' });
        const store = createRecordStore(door, names);
        const writes = Array.from({ length: count }, (_, index) => put(`p.${index}`, 0));
        const lost = proxy.loseNext(/"stream":"KV_profiles/);
        const outcome = await store.commit(writes);
        await lost;
        expect(outcome).toEqual({ kind: 'unknown', reason: expect.any(String) });
        await eventuallyTrue('it is connected again', () => door.connected);
        const again = await store.commit(writes);
        expect(again.kind).toBe('conflict');
        const key = await store.keyAt(again.kind === 'conflict' ? again.sequence : 0);
        expect(writes.map((write) => write.key)).toContain(key);
        await door.close();
        await proxy.close();
      });
    },
  );
});

describe('G4: the log has its duplicate window', () => {
  it('is set on the server, and its loss is found', async () => {
    await withSegment(async (segment) => {
      const { names, door } = segment;
      const { config } = (await streamInfo(door, names.eventsStream, 'LOG_UNAVAILABLE'))!;
      expect(config.duplicate_window).toBe(WINDOW_NS);
      await demand(segment, `STREAM.UPDATE.${names.eventsStream}`, { ...config, duplicate_window: 0 });
      const topology = describeTopology(names, { shards: 8, eventsBytesMax: EVENTS_BYTES });
      const fields = (await diffTopology(door, topology)).map(({ field }) => field);
      expect(fields).toContain('duplicate_window');
    });
  });

  it.each([
    { count: 1, window: true, stored: 1 },
    { count: 5, window: true, stored: 5 },
    // The control: this is what the guard prevents.
    { count: 5, window: false, stored: 10 },
  ])('$count messages whose answer is lost are stored as $stored (window: $window)', async (given) => {
    const { count, window, stored } = given;
    await withSegment(async (segment) => {
      const { names, door: direct } = segment;
      if (!window) {
        const { config } = (await streamInfo(direct, names.eventsStream, 'LOG_UNAVAILABLE'))!;
        await demand(segment, `STREAM.UPDATE.${names.eventsStream}`, { ...config, duplicate_window: 0 });
      }
      const proxy = await startCuttingProxy(server.url);
      const door = await connectNats({ url: proxy.url, name: 'test' });
      const appender = createEventLogAppender(door, names);
      const messages = Array.from({ length: count }, (_, index) => ({
        shard: 0,
        source: 'ingest' as const,
        payload: bytes(`m${index}`),
      }));
      const lost = proxy.loseNext(/\{"stream":"EVENTS_[^"]*", ?"/);
      const appended = appender.append(messages);
      await lost;
      expect(await appended).toEqual({ kind: 'stored' });
      const log = createEventLogReader(direct, names);
      expect((await log.state()).messages).toBe(stored);
      await appender.close();
      await door.close();
      await proxy.close();
    });
  });
});

describe('G5: the target of an alarm clock is unique per arming', () => {
  it('in its name', () => {
    const target = recordKeys.fired(3, 'p1', 'nap', 1);
    const others = [
      recordKeys.fired(3, 'p1', 'nap', 2),
      recordKeys.fired(3, 'p1', 'end', 1),
      recordKeys.fired(3, 'p2', 'nap', 1),
      recordKeys.fired(4, 'p1', 'nap', 1),
    ];
    expect(new Set([target, ...others]).size).toBe(5);
    expect(target.split('.')).toHaveLength(OUTBOX_FILTERS.fired.split('.').length);
  });

  it('so that two firings while the copy stands still both arrive; on one target one would be lost', async () => {
    await withSegment(async (segment) => {
      const { door, names } = segment;
      const store = createRecordStore(door, names);
      const copies = createOutboxCopies(door, names);
      await removeSources(segment, names.eventsStream);
      const targets = [recordKeys.fired(0, '1', 'nap', 1), recordKeys.fired(0, '1', 'nap', 2)] as const;
      const fire = async (timer: string, target: string, text: string) => {
        await store.commit([arm(timer, target, text)]);
        await eventuallyTrue(`${text} has fired`, async () => {
          const found = (await store.read([target], 'leader')).get(target)?.value;
          return found ? new TextDecoder().decode(found) === text : false;
        });
      };
      await fire('nap', targets[0], 'first');
      await fire('nap', targets[1], 'second');
      await fire('bad', 'f.1.1.bad.1', 'overwritten');
      await fire('bad', 'f.1.1.bad.1', 'kept');
      const log = createEventLogReader(door, names);
      const [good, bad] = [new Collector(log, 0), new Collector(log, 1)];
      await copies.restart('timers');
      await good.until(2);
      await bad.until(1);
      expect(good.texts).toEqual(['first', 'second']);
      expect(bad.texts).toEqual(['kept']);
      good.close();
      bad.close();
    });
  });
});

describe('G7: a bucket that fell back behind its copies', () => {
  it('is refused with what happened; one that did not is not', async () => {
    await withSegment(async (segment) => {
      const { door, names } = segment;
      const store = createRecordStore(door, names);
      const copies = createOutboxCopies(door, names);
      const value = bytes('{}');
      const writes = [1, 2, 3].map((id) => ({ kind: 'append', key: `o.audit.x.${id}`, value }) as const);
      await store.commit(writes);
      await eventuallyTrue('it is copied', async () =>
        (await copies.states()).some(({ name, copiedTo }) => name === 'audit' && copiedTo === 3),
      );
      await assertNothingFellBack(copies, names);
      await demand(segment, `STREAM.DELETE.${names.profilesStream}`);
      await ensureTopology(door, describeTopology(names, { shards: 8, eventsBytesMax: EVENTS_BYTES }));
      await expect(assertNothingFellBack(copies, names)).rejects.toMatchObject({
        code: 'TOPOLOGY_MISMATCH',
        message: expect.stringMatching(/ends at 0.*audit has copied up to 3.*fell back/),
      });
    });
  });
});

describe('G8: a cancelled alarm clock', () => {
  it('stays silent, also after a kill -9 before it was due', async () => {
    const own = await startTestServer();
    const { door, names, close } = await makeSegment(own.url, { eventsBytesMax: EVENTS_BYTES });
    const store = createRecordStore(door, names);
    const due = new Collector(createEventLogReader(door, names), 0);
    const later = arm('other', 'f.0.1.other.1', 'control', 4000);
    await store.commit([arm('nap', 'f.0.1.nap.1', 'cancelled', 2500), later]);
    const cancelled = await store.commit([put('p.1', 0), { kind: 'cancel', key: 't.1.nap' }]);
    expect(cancelled.kind).toBe('committed');
    await own.kill();
    await own.restart();
    await eventuallyTrue('it is connected again', () => door.connected);
    await eventuallyTrue('the control fires', () => due.texts.length > 0, 30_000);
    expect(due.texts).toEqual(['control']);
    due.close();
    await close();
    await own.stop();
  }, 60_000);
});

describe('G9: too many open batches', () => {
  it('make a commit busy and an append wait, and both go through when the batches are abandoned', async () => {
    await withSegment(async ({ door, names }) => {
      const store = createRecordStore(door, names);
      const appender = createEventLogAppender(door, names, { deadlineMs: 25_000 });
      for (let id = 0; id < 60; id++) {
        const header = [
          ['Nats-Batch-Id', `open-${id}`],
          ['Nats-Batch-Sequence', '1'],
        ] as const;
        door.publish(names.recordSubject(`q.${id}`), bytes('x'), header);
        door.publish(names.eventSubject(1, 'ingest'), bytes('x'), header);
      }
      await door.nc.flush();
      const writes = [put('p.1', 0), put('p.2', 0)];
      expect(await store.commit(writes)).toMatchObject({ kind: 'busy' });
      const message = { shard: 0, source: 'ingest' as const, payload: bytes('m') };
      const appended = appender.append([message, message]);
      expect(await store.commit([put('p.0', 0)])).toMatchObject({ kind: 'committed' });
      let outcome = await store.commit(writes);
      await eventuallyTrue(
        'the commit goes through',
        async () => {
          outcome = await store.commit(writes);
          return outcome.kind !== 'busy';
        },
        20_000,
      );
      expect(outcome.kind).toBe('committed');
      expect(await appended).toEqual({ kind: 'stored' });
      expect((await createEventLogReader(door, names).state()).messages).toBe(2);
      await appender.close();
    });
  }, 60_000);
});

describe('G10: errors thrown out of the event loop', () => {
  it('a reset of the transport is survived, anything else is handed on', () => {
    const before = process.listeners('uncaughtException');
    const other: unknown[] = [];
    const stop = surviveTransportErrors((error) => other.push(error));
    const [handler, ...more] = process
      .listeners('uncaughtException')
      .filter((listener) => !before.includes(listener));
    expect(more).toEqual([]);
    for (const code of ['ECONNRESET', 'EPIPE']) {
      const reset = Object.assign(new Error(`write ${code}`), { code, syscall: 'write' });
      expect(isTransportReset(reset)).toBe(true);
      handler?.(reset, 'uncaughtException');
    }
    expect(other).toEqual([]);
    const bugs = [
      new TypeError('a bug'),
      Object.assign(new Error('full'), { code: 'ENOSPC', syscall: 'write' }),
      'text',
    ];
    for (const bug of bugs) handler?.(bug as Error, 'uncaughtException');
    expect(other).toEqual(bugs);
    stop();
    expect(process.listeners('uncaughtException')).toEqual(before);
  });
});

describe('G11: markers of removed records', () => {
  it('expire without a trace in the bucket or in a copy', async () => {
    await withSegment(async ({ door, names }) => {
      const store = createRecordStore(door, names);
      await store.commit([put('p.1', 0), arm('nap', 'f.0.1.nap.1', 'x', 60_000)]);
      const marker = [
        ['KV-Operation', 'PURGE'],
        ['Nats-Rollup', 'sub'],
        ['Nats-TTL', '1s'],
      ] as const;
      const payload = new Uint8Array();
      const messages = ['p.1', 't.1.nap'].map((key) => ({
        subject: names.recordSubject(key),
        payload,
        headers: marker,
      }));
      expect((await publishBatch(door, messages, 5000)).kind).toBe('stored');
      expect((await store.read(['p.1'], 'leader')).get('p.1')).toMatchObject({ value: null, revision: 3 });
      await eventuallyTrue('the markers are gone', async () => {
        const found = await store.read(['p.1', 't.1.nap'], 'leader');
        return [...found.values()].every(({ revision }) => revision === 0);
      });
      for (const stream of [names.eventsStream, names.auditStream, names.activationsStream]) {
        expect((await streamInfo(door, stream, 'LOG_UNAVAILABLE'))?.state.messages, stream).toBe(0);
      }
      expect((await streamInfo(door, names.profilesStream, 'LOG_UNAVAILABLE'))?.state.messages).toBe(0);
    });
  });

  it('are not wanted on expiry: a bucket that makes them is found and mended', async () => {
    await withSegment(async (segment) => {
      const { door, names } = segment;
      const topology = describeTopology(names, { shards: 8, eventsBytesMax: EVENTS_BYTES });
      const { config } = (await streamInfo(door, names.profilesStream, 'LOG_UNAVAILABLE'))!;
      await demand(segment, `STREAM.UPDATE.${names.profilesStream}`, {
        ...config,
        subject_delete_marker_ttl: 5e9,
      });
      expect((await diffTopology(door, topology)).map(({ field }) => field)).toEqual([
        'subject_delete_marker_ttl',
      ]);
      await ensureTopology(door, topology);
      expect(await diffTopology(door, topology)).toEqual([]);
    });
  });
});
