// The archive by processes: events come in while batch processes are killed, run two at a time and compact; in the end the
// Parquet files hold every message of the log exactly once, by SQL.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { rowOf } from '../../batch/archive/archive-row.ts';
import { silentArchiveTelemetry } from '../../batch/archive/archive-telemetry.ts';
import { Archiver } from '../../batch/archive/archiver.ts';
import { createLocalFolder } from '../../batch/archive/local-folder.ts';
import { loadManifest } from '../../batch/archive/manifest-store.ts';
import { type Duck, openDuck } from '../../batch/duck.ts';
import { openHistory } from '../../infra/batch-role.ts';
import { decodeArchiveRecord } from '../../shared/contract/archive-record.ts';
import { recordKeys, type SegmentNames, segmentNames } from '../../shared/contract/names.ts';
import { systemClock } from '../../shared/kernel/clock.ts';
import { sha256Hex } from '../../shared/kernel/hash.ts';
import { seededRandom, systemRandom } from '../../shared/kernel/random.ts';
import { connectNats, type NatsDoor } from '../../shared/nats/connect.ts';
import { createEventLogAppender } from '../../shared/nats/event-log-appender.ts';
import { createEventLogReader } from '../../shared/nats/event-log-reader.ts';
import { createLogScan } from '../../shared/nats/log-scan.ts';
import { createOutboxCopies } from '../../shared/nats/outbox-copies.ts';
import { createPresence } from '../../shared/nats/presence.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { eventually } from '../support/segment.ts';
import { eventOf } from '../unit/batch/rig.ts';
import { ensureBuilt, type Running, runCliProcess, startCli } from './cli-process.ts';

const SHARDS = 4;
/** Kills of the process that keeps the archive. */
const ROUNDS = 7;
const CONFIG = 'infra/demo/shop.yaml';
let server: TestServer;
let folder: string;
let door: NatsDoor;
let names: SegmentNames;
let duck: Duck;
const running = new Set<Running>();

beforeEach(async () => {
  ensureBuilt();
  server = await startTestServer();
  folder = await mkdtemp(join(tmpdir(), 'stitchwork-archive-'));
  names = segmentNames('shop');
  duck = await openDuck({ memoryBytes: 500e6, threads: 1, tempFolder: join(folder, 'tmp') });
});

afterEach(async () => {
  for (const process of running) process.child.kill('SIGKILL');
  await Promise.all([...running].map(({ finished }) => finished));
  running.clear();
  await door?.close();
  duck.close();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Resolves when it has said that it is ready. */
async function startBatch(): Promise<Running> {
  const args = ['--config', CONFIG, '--nats-url', server.url, '--data-dir', folder, '--json'];
  const more = ['--shards', String(SHARDS), '--archive-flush', '100ms', '--log-level', 'warn'];
  const process = startCli(['batch', ...args, ...more]);
  running.add(process);
  await process.line();
  return process;
}

async function kill(process: Running): Promise<void> {
  process.child.kill('SIGKILL');
  await process.finished;
  running.delete(process);
}

const storage = () => createLocalFolder(join(folder, 'archive', 'shop'));
const reader = () => createEventLogReader(door, names, SHARDS);

async function appendEvents(from: number, count: number): Promise<void> {
  const appender = createEventLogAppender(door, names, {});
  for (let n = from; n < from + count; n += 50) {
    const messages = Array.from({ length: Math.min(50, from + count - n) }, (_, i) => ({
      shard: (n + i) % SHARDS,
      source: i % 10 === 0 ? ('command' as const) : ('ingest' as const),
      payload: Buffer.from(JSON.stringify(eventOf(n + i))),
    }));
    expect(await appender.append(messages)).toEqual({ kind: 'stored' });
  }
  await appender.close();
}

interface Sum {
  readonly rows: number;
  readonly distinct: number;
  readonly first: number;
  readonly last: number;
  readonly digest: string;
}

/** What the files of the manifest hold, with a digest of every column that a row is made of. */
async function archiveSum(): Promise<Sum> {
  const { files } = await loadManifest(storage());
  const paths = [...files.keys()].map((name) => `'${storage().pathOf(name)}'`).join(', ');
  return duck.use(async (connection) => {
    const sql = `SELECT sequence, shard, source, message_id, name, keys::VARCHAR, properties::VARCHAR,
      epoch_ms(log_time) FROM read_parquet([${paths}], hive_partitioning = false) ORDER BY sequence`;
    const rows = (await connection.runAndReadAll(sql)).getRows().map((row) => row.map(String));
    return sumOf(rows);
  });
}

async function logSum(): Promise<Sum> {
  const { lastSequence } = await reader().state();
  const rows: string[][] = [];
  for await (const messages of createLogScan(door, names).scan(1, lastSequence, new AbortController().signal))
    for (const message of messages) {
      const row = rowOf(message);
      const { sequence, shard, source, messageId, name, keys, properties, logTimeMs } = row;
      rows.push([sequence, shard, source, messageId, name, keys, properties, logTimeMs].map(String));
    }
  return sumOf(rows);
}

function sumOf(rows: readonly (readonly string[])[]): Sum {
  const sequences = rows.map(([sequence]) => Number(sequence));
  return {
    rows: rows.length,
    distinct: new Set(sequences).size,
    first: sequences[0] ?? 0,
    last: sequences.at(-1) ?? 0,
    digest: sha256Hex(JSON.stringify(rows)),
  };
}

async function position(): Promise<number> {
  const stored = (await createRecordStore(door, names).read([recordKeys.archive], 'leader')).get(
    recordKeys.archive,
  );
  return stored?.value ? decodeArchiveRecord(stored.value).position : 0;
}

function positionReaches(sequence: number): Promise<void> {
  return eventually(`the archive reaches ${sequence}`, async () => (await position()) >= sequence, 30_000);
}

function archiveCommand(command: string, ...flags: readonly string[]) {
  const target = ['--segment', 'shop', '--nats-url', server.url, '--json'];
  return runCliProcess(['batch', 'archive', command, ...target, ...flags]);
}

describe('the archive', () => {
  it('holds every message once after kills at random moments, and after the server was killed', async () => {
    const random = seededRandom(11);
    let batch = await startBatch();
    door = await connectNats({ url: server.url, name: 'test' });
    let sent = 0;
    let done = false;
    const sending = (async () => {
      while (!done) {
        await appendEvents(sent, 200);
        sent += 200;
        await systemClock.sleep(10);
      }
    })();
    for (let round = 0; round < ROUNDS; round++) {
      await positionReaches((await position()) + 1);
      await systemClock.sleep(random.next() * 300);
      await kill(batch);
      batch = await startBatch();
    }
    done = true;
    await sending;
    await server.kill();
    await server.restart();
    await eventually('the connection is back', () => door.connected);
    await appendEvents(sent, 100);
    const { lastSequence } = await reader().state();
    await positionReaches(lastSequence);
    const log = await logSum();
    expect(log.rows).toBe(sent + 100);
    // Every process claimed and committed, or the kills would have hit nothing.
    expect((await loadManifest(storage())).version).toBeGreaterThanOrEqual(2 * ROUNDS);
    expect(await archiveSum()).toEqual(log);
    const status = await archiveCommand('status');
    expect(JSON.parse(status.out)).toMatchObject({ lag: 0, rows: log.rows, running: true, ofThisLog: true });
  }, 120_000);

  it('is kept by one of two processes; when that one is killed or hangs, the other goes on', async () => {
    const first = await startBatch();
    door = await connectNats({ url: server.url, name: 'test' });
    await appendEvents(0, 100);
    await positionReaches(100);
    const second = await startBatch();
    await appendEvents(100, 100);
    await positionReaches(200);
    await kill(first);
    await appendEvents(200, 100);
    await positionReaches(300);
    second.child.kill('SIGSTOP');
    const third = await startBatch();
    await appendEvents(300, 100);
    await positionReaches(400);
    second.child.kill('SIGCONT');
    await appendEvents(400, 100);
    await positionReaches(500);
    expect(await archiveCommand('detach', '--yes')).toMatchObject({ code: 1, out: '' });
    third.child.kill('SIGTERM');
    expect((await third.finished).code).toBe(0);
    running.delete(third);
    await appendEvents(500, 100);
    await positionReaches(600);
    expect(await archiveSum()).toEqual(await logSum());
  }, 120_000);

  it('and the log read as one: after a compaction, with half of the log purged, by range and keys', async () => {
    await kill(await startBatch());
    door = await connectNats({ url: server.url, name: 'test' });
    const root = join(folder, 'archive', 'shop');
    const late = { ...systemClock, nowMs: () => systemClock.nowMs() + 2 * 3_600_000 };
    const archiver = new Archiver(
      {
        store: createRecordStore(door, names),
        presence: createPresence(door, names),
        storage: storage(),
        log: reader(),
        scan: createLogScan(door, names),
        clock: late,
        random: systemRandom,
        duck: async () => duck,
        telemetry: silentArchiveTelemetry,
        owner: 'in-process',
        scratch: join(root, '.unfinished', 'in-process'),
      },
      { flushMs: 1, pollMs: 10, retryMs: 10 },
    );
    archiver.start();
    try {
      for (let part = 0; part < 4; part++) {
        await appendEvents(part * 100, 100);
        await positionReaches((part + 1) * 100);
      }
      await eventually('the files are one', async () => (await loadManifest(storage())).files.size <= 2);
    } finally {
      await archiver.stop();
    }
    const whole = await logSum();
    await appendEvents(400, 100);
    await createOutboxCopies(door, names).purgeLog(300);
    expect(await archiveSum()).toEqual(whole);
    const history = openHistory(door, names, { dataDir: folder, shards: SHARDS, duck: async () => duck });
    const sequences = async (query: Parameters<typeof history.read>[0]) => {
      const found: number[] = [];
      for await (const messages of history.read(query, new AbortController().signal))
        found.push(...messages.map(({ sequence }) => sequence));
      return found;
    };
    const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
    expect(await sequences({})).toEqual(range(1, 500));
    expect(await sequences({ fromSequence: 350, toSequence: 450 })).toEqual(range(350, 450));
    expect(await sequences({ shards: [1] })).toHaveLength(125);
    expect(await sequences({ keys: { email: ['c3@example.com'] } })).toHaveLength(100);
    expect(await archiveCommand('detach')).toMatchObject({ code: 2, out: '' });
    expect(await archiveCommand('detach', '--yes')).toMatchObject({ code: 0 });
    expect(await archiveCommand('status')).toMatchObject({ code: 3, out: '' });
  }, 60_000);
});
