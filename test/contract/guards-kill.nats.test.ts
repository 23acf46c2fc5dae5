// The guards that need a server that is killed: G3 (copies that stand still after it) and G6 (readers that go on).
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createEventLogAppender } from '../../shared/nats/event-log-appender.ts';
import { createEventLogReader } from '../../shared/nats/event-log-reader.ts';
import { callApi, streamInfo } from '../../shared/nats/jetstream-api.ts';
import { createOutboxCopies } from '../../shared/nats/outbox-copies.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { readStream } from '../../shared/nats/stream-reader.ts';
import { describeTopology, ensureTopology } from '../../shared/nats/topology.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { makeSegment, type TestSegment } from '../support/segment.ts';
import { Collector, eventuallyTrue } from './collector.ts';

const EVENTS_BYTES = 64 * 1024 ** 2;
const bytes = (text: string) => new TextEncoder().encode(text);
const range = (count: number, from = 0) => Array.from({ length: count }, (_, index) => from + index);

let server: TestServer;
let segment: TestSegment;
beforeEach(async () => {
  server = await startTestServer();
  segment = await makeSegment(server.url, { eventsBytesMax: EVENTS_BYTES });
});
afterEach(async () => {
  await segment.close();
  await server.stop();
});

async function crash(): Promise<void> {
  await server.kill();
  await server.restart();
  await eventuallyTrue('it is connected again', () => segment.door.connected);
}

async function audits(): Promise<readonly string[]> {
  const texts: string[] = [];
  for await (const { payload } of readStream(segment.door, segment.names.auditStream)) {
    texts.push(new TextDecoder().decode(payload));
  }
  return texts;
}

describe('G3: a copy that stands still', () => {
  /** A big bucket loses the start-up race more often. */
  const BIG = 120_000;
  const KILLS_MAX = 6;
  /** The server alone takes about 12 s. */
  const SOON_MS = 6000;

  it('after kill -9 is seen as such and runs soon after it was restarted', async () => {
    const { door, names } = segment;
    const store = createRecordStore(door, names);
    const copies = createOutboxCopies(door, names);
    for (let start = 0; start < BIG; start += 900) {
      const value = bytes('x');
      await store.commit(range(900, start).map((id) => ({ kind: 'put', key: `p.${id}`, value, expect: 0 })));
    }
    const audit = async () => (await copies.states()).find(({ name }) => name === 'audit')!;
    let stoodStill = 0;
    let committed = 0;
    for (let kill = 0; kill < KILLS_MAX && stoodStill === 0; kill++) {
      await crash();
      const key = `o.audit.x.${committed}`;
      await store.commit([{ kind: 'append', key, value: bytes(String(committed)) }]);
      committed++;
      const { error, activeMs } = await audit();
      if (error === undefined && activeMs >= 0) continue;
      stoodStill++;
      await copies.restart('audit');
      const origin = await copies.originSequence();
      await eventuallyTrue('it is copied', async () => (await audit()).copiedTo === origin, SOON_MS);
    }
    expect(stoodStill).toBeGreaterThan(0);
    await eventuallyTrue('all is copied', async () => (await audits()).length >= committed);
    expect(await audits()).toEqual(range(committed).map(String));
  }, 120_000);

  it('because its restart was cut in half is seen, and mended by a restart or by ensuring the topology', async () => {
    const { door, names } = segment;
    const store = createRecordStore(door, names);
    const copies = createOutboxCopies(door, names);
    const audit = async () => (await copies.states()).find(({ name }) => name === 'audit')!;
    const mends = [
      () => copies.restart('audit'),
      () =>
        ensureTopology(door, describeTopology(names, { shards: 8, eventsBytesMax: EVENTS_BYTES })).then(
          () => {},
        ),
    ];
    for (const [index, mend] of mends.entries()) {
      await store.commit([{ kind: 'append', key: `o.audit.x.${index}a`, value: bytes(`${index}a`) }]);
      await eventuallyTrue('it is copied', async () => (await audits()).length === index * 2 + 1);
      const { config } = (await streamInfo(door, names.auditStream, 'LOG_UNAVAILABLE'))!;
      const { sources: _, ...without } = config;
      expect((await callApi(door, `STREAM.UPDATE.${names.auditStream}`, without)).kind).toBe('ok');
      expect((await audit()).error).toMatch(/no source/);
      await store.commit([{ kind: 'append', key: `o.audit.x.${index}b`, value: bytes(`${index}b`) }]);
      await mend();
      await eventuallyTrue('it is copied', async () => (await audits()).length === index * 2 + 2);
    }
    expect(await audits()).toEqual(['0a', '0b', '1a', '1b']);
    expect((await audit()).error).toBeUndefined();
  });

  it('whose target was emptied copies nothing again when it is restarted', async () => {
    const { door, names } = segment;
    const store = createRecordStore(door, names);
    const copies = createOutboxCopies(door, names);
    const value = bytes('old');
    await store.commit(range(5).map((id) => ({ kind: 'append', key: `o.audit.x.${id}`, value }) as const));
    await eventuallyTrue('it is copied', async () => (await audits()).length === 5);
    expect((await callApi(door, `STREAM.PURGE.${names.auditStream}`)).kind).toBe('ok');
    await copies.restart('audit');
    await store.commit([{ kind: 'append', key: 'o.audit.x.new', value: bytes('new') }]);
    await eventuallyTrue('the new one is copied', async () => (await audits()).includes('new'));
    expect(await audits()).toEqual(['new']);
  });
});

describe('G6: a reader', () => {
  it('gives each message once, in order, through kills of the server', async () => {
    const { door, names } = segment;
    const appender = createEventLogAppender(door, names);
    const got = [0, 1].map((shard) => new Collector(createEventLogReader(door, names), shard));
    let sent = 0;
    for (let kill = 0; kill < 4; kill++) {
      const messages = range(100, sent).map((id) => ({
        shard: id % 2,
        source: 'ingest' as const,
        payload: bytes(String(id)),
      }));
      sent += 100;
      expect(await appender.append(messages)).toEqual({ kind: 'stored' });
      // Sometimes the reader is killed on its way, sometimes it has read everything.
      if (kill % 2 === 0) for (const collector of got) await collector.until(sent / 2);
      await crash();
    }
    for (const [shard, collector] of got.entries()) {
      await collector.until(sent / 2);
      expect(collector.texts).toEqual(range(sent / 2).map((index) => String(index * 2 + shard)));
      expect(collector.reader.fault).toBeUndefined();
      collector.close();
    }
    await appender.close();
  }, 60_000);

  it('goes on after its consumer is gone, and after the server was frozen', async () => {
    const { door, names } = segment;
    const appender = createEventLogAppender(door, names);
    const got = new Collector(createEventLogReader(door, names), 0);
    const append = async (text: string) =>
      expect(await appender.append([{ shard: 0, source: 'ingest', payload: bytes(text) }])).toEqual({
        kind: 'stored',
      });
    await append('a');
    await got.until(1);
    const listed = await callApi(door, `CONSUMER.NAMES.${names.eventsStream}`);
    const consumers = listed.kind === 'ok' ? (listed.body.consumers as string[]) : [];
    expect(consumers.length).toBeGreaterThan(0);
    for (const consumer of consumers) {
      expect((await callApi(door, `CONSUMER.DELETE.${names.eventsStream}.${consumer}`)).kind).toBe('ok');
    }
    await append('b');
    await got.until(2, 8000);
    server.signal('SIGSTOP');
    await new Promise((resolve) => setTimeout(resolve, 4000));
    server.signal('SIGCONT');
    await append('c');
    await got.until(3, 8000);
    expect(got.texts).toEqual(['a', 'b', 'c']);
    got.close();
    await appender.close();
  }, 60_000);

  it('that is idle has a new message within milliseconds', async () => {
    const { door, names } = segment;
    const appender = createEventLogAppender(door, names);
    const got = new Collector(createEventLogReader(door, names), 0);
    const delaysMs: number[] = [];
    for (const round of range(60)) {
      const startMs = performance.now();
      await appender.append([{ shard: 0, source: 'ingest', payload: bytes(String(round)) }]);
      while (got.messages.length <= round) await new Promise((resolve) => setImmediate(resolve));
      delaysMs.push(performance.now() - startMs);
    }
    const median = delaysMs.sort((a, b) => a - b)[30]!;
    // Linger, append and delivery together, on a machine that others use too.
    expect(median).toBeLessThan(30);
    got.close();
    await appender.close();
  });

  it('of a log that was made anew says so and gives no more', async () => {
    const { door, names } = segment;
    const topology = describeTopology(names, { shards: 8, eventsBytesMax: EVENTS_BYTES });
    const appender = createEventLogAppender(door, names);
    const got = new Collector(createEventLogReader(door, names), 0);
    const append = () => appender.append([{ shard: 0, source: 'ingest', payload: bytes('m') }]);
    await append();
    await got.until(1);
    expect((await callApi(door, `STREAM.DELETE.${names.eventsStream}`)).kind).toBe('ok');
    await ensureTopology(door, topology);
    await append();
    await eventuallyTrue('the fault is known', () => got.reader.fault !== undefined);
    expect(got.reader.fault).toBe('LOG_REPLACED');
    expect(got.texts).toEqual(['m']);
    got.close();
    await appender.close();
  });

  it('that is asked to start behind the end of the log says that it is truncated', async () => {
    const { door, names } = segment;
    const got = new Collector(createEventLogReader(door, names), 0, 10);
    await eventuallyTrue('the fault is known', () => got.reader.fault !== undefined);
    expect(got.reader.fault).toBe('LOG_TRUNCATED');
    got.close();
  });
});
