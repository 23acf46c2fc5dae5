// Snapshots over JetStream: a changed row keeps its value of the run before, so that readers of the run in force and the
// writer of the next one share the bucket; a pointer names the run in force and is moved when all rows are stored.
import type { KV, KvEntry } from '@nats-io/kv';
import { Kvm } from '@nats-io/kv';
import { rowOfKey, type SegmentNames, snapshotKeys } from '../contract/names.ts';
import { errorText, StitchworkError } from '../kernel/errors.ts';
import { sha256Base64Url } from '../kernel/hash.ts';
import type { RecordStore, StoredRecord } from '../ports/record-store.ts';
import type { CurrentSnapshot, LoadedRow, Snapshots } from '../ports/snapshots.ts';
import { type BatchMessage, publishBatch } from './atomic-batch.ts';
import type { NatsDoor } from './connect.ts';
import { readLast } from './direct-get.ts';
import { readBatches } from './stream-batches.ts';

type Values = Readonly<Record<string, unknown>> | null;

/** As stored: the value since `run`, and the one before. */
interface StoredRow {
  readonly run: number;
  readonly value: Values;
  readonly prev: Values;
}

interface Pointer extends CurrentSnapshot {
  readonly v: 1;
  /** A load that has begun: its run, and until when it counts as alive, ms. */
  readonly loading: { readonly run: number; readonly untilMs: number } | null;
}

const BATCH_ROWS = 500;
const TIMEOUT_MS = 10_000;
/** A load that says nothing more for so long is taken for dead. */
const LOADING_MS = 600_000;
const TRIES_MAX = 10;

export function createSnapshots(door: NatsDoor, names: SegmentNames, nowMs: () => number): Snapshots {
  let opened: Promise<KV> | undefined;
  const bucket = () => (opened ??= new Kvm(door.nc).open(names.snapshotsBucket));
  const pointerOf = async (
    table: string,
  ): Promise<{ pointer: Pointer | undefined; entry: KvEntry | null }> => {
    const entry = await (await bucket()).get(snapshotKeys.current(table));
    return { pointer: entry && entry.operation === 'PUT' ? entry.json<Pointer>() : undefined, entry };
  };
  const move = async (table: string, next: Pointer, entry: KvEntry | null): Promise<void> => {
    const kv = await bucket();
    const key = snapshotKeys.current(table);
    try {
      if (entry) await kv.update(key, JSON.stringify(next), entry.revision);
      else await kv.create(key, JSON.stringify(next));
    } catch (error) {
      throw new StitchworkError('CONFLICT', `another load of ${table} is under way: ${errorText(error)}`, {
        cause: error,
      });
    }
  };
  return {
    async current() {
      const found: Record<string, CurrentSnapshot> = {};
      try {
        const keys = await (await bucket()).keys(snapshotKeys.currentFilter);
        for await (const key of keys) {
          const table = key.slice(snapshotKeys.current('').length);
          const { pointer } = await pointerOf(table);
          if (pointer && pointer.run > 0) found[table] = pointer;
        }
      } catch (error) {
        throw new StitchworkError('STORE_UNAVAILABLE', `snapshots of ${names.segment}: ${errorText(error)}`, {
          cause: error,
        });
      }
      return found;
    },
    async watch(callback) {
      const iterator = await (await bucket()).watch({ key: snapshotKeys.currentFilter });
      void (async () => {
        for await (const _ of iterator) callback();
      })();
      return () => iterator.stop();
    },
    async load(table, rows, { atMs, by, onProgress }) {
      const { pointer, entry } = await pointerOf(table);
      if (pointer?.loading && pointer.loading.untilMs > nowMs())
        throw new StitchworkError('CONFLICT', `another load of ${table} is under way`);
      const current = pointer?.run ?? 0;
      const run = Math.max(current, pointer?.loading?.run ?? 0) + 1;
      const base: Pointer = pointer ?? { v: 1, run: 0, atMs: 0, rows: 0, by: '', loading: null };
      await move(table, { ...base, loading: { run, untilMs: nowMs() + LOADING_MS } }, entry);
      const before = await hashesOf(door, names, table, current);
      const counts = await writeRows(door, names, table, rows, { run, current, before, onProgress });
      const begun = await pointerOf(table);
      if (begun.pointer?.loading?.run !== run)
        throw new StitchworkError('CONFLICT', `this load of ${table} took so long that another one began`);
      await move(table, { v: 1, run, atMs, rows: counts.rows, by, loading: null }, begun.entry);
      return { run, ...counts };
    },
  };
}

/** A store that also reads rows of snapshots, each as it was in the run that its key names. */
export function withSnapshotRows(store: RecordStore, door: NatsDoor, names: SegmentNames): RecordStore {
  return {
    ...store,
    async read(keys, from) {
      const rows = keys.filter((key) => rowOfKey(key) !== undefined);
      if (rows.length === 0) return store.read(keys, from);
      const own = keys.filter((key) => rowOfKey(key) === undefined);
      const [records, found] = await Promise.all([store.read(own, from), readRows(door, names, rows)]);
      return new Map([...records, ...found]);
    },
  };
}

async function readRows(
  door: NatsDoor,
  names: SegmentNames,
  keys: readonly string[],
): Promise<ReadonlyMap<string, StoredRecord>> {
  const bySubject = new Map<string, string[]>();
  for (const key of keys) {
    const { table, encodedValue } = rowOfKey(key)!;
    const subject = names.snapshotSubject(snapshotKeys.row(table, encodedValue));
    bySubject.set(subject, [...(bySubject.get(subject) ?? []), key]);
  }
  const found = new Map<string, StoredRecord>(keys.map((key) => [key, { key, value: null, revision: 0 }]));
  const answer = await readLast(
    door,
    names.snapshotsStream,
    [...bySubject.keys()],
    (subject, sequence, data, removed) => {
      if (removed) return;
      const stored = JSON.parse(Buffer.from(data).toString('utf8')) as StoredRow;
      for (const key of bySubject.get(subject) ?? []) {
        const values = valuesIn(stored, rowOfKey(key)!.run);
        const value = values && Buffer.from(JSON.stringify(values));
        found.set(key, { key, value, revision: sequence });
      }
    },
  );
  if (answer !== 'ok') throw new StitchworkError('STORE_UNAVAILABLE', `${names.snapshotsStream}: ${answer}`);
  return found;
}

/** The run that wrote a row, of the row as it is stored. */
export function runOfStoredRow(payload: Uint8Array): number {
  return (JSON.parse(Buffer.from(payload).toString('utf8')) as StoredRow).run;
}

/** The row as of a run. Who has not heard of the run in force yet may be given its row: newer than asked for, never older. */
function valuesIn({ run, value, prev }: StoredRow, asOf: number): Values {
  return run <= asOf ? value : prev;
}

/** By encoded value: the hash of the row as of the run in force, and the row itself as stored. */
async function hashesOf(
  door: NatsDoor,
  names: SegmentNames,
  table: string,
  current: number,
): Promise<Map<string, string>> {
  const hashes = new Map<string, string>();
  const filter = names.snapshotSubject(snapshotKeys.rowsFilter(table));
  for await (const batch of readBatches(door, names.snapshotsStream, { filter })) {
    for (const { subject, payload, removed } of batch) {
      if (removed || payload.length === 0) continue;
      const stored = JSON.parse(Buffer.from(payload).toString('utf8')) as StoredRow;
      // Written by a load that never came into force, it is written again.
      const hash = stored.run > current ? '' : hashOf(valuesIn(stored, current));
      hashes.set(subject.slice(subject.lastIndexOf('.') + 1), hash);
    }
  }
  return hashes;
}

const GONE = 'gone';

function hashOf(values: Values): string {
  return values === null ? GONE : sha256Base64Url(JSON.stringify(Object.entries(values).sort()), 22);
}

interface Writing {
  readonly run: number;
  readonly current: number;
  readonly before: Map<string, string>;
  readonly onProgress: (rows: number) => void;
}

async function writeRows(
  door: NatsDoor,
  names: SegmentNames,
  table: string,
  rows: AsyncIterable<LoadedRow>,
  { run, current, before, onProgress }: Writing,
): Promise<{ rows: number; written: number; removed: number }> {
  const counts = { rows: 0, written: 0, removed: 0 };
  let changed: { readonly encodedValue: string; readonly value: Values }[] = [];
  const flush = async () => {
    if (changed.length === 0) return;
    await store(door, names, table, changed, run, current);
    changed = [];
  };
  const change = async (encodedValue: string, value: Values) => {
    changed.push({ encodedValue, value });
    if (changed.length >= BATCH_ROWS) await flush();
  };
  const seen = new Set<string>();
  for await (const { encodedValue, values } of rows) {
    // Of two rows of one key the last one counts.
    if (!seen.has(encodedValue)) counts.rows += 1;
    else await flush();
    seen.add(encodedValue);
    if (before.get(encodedValue) !== hashOf(values)) {
      counts.written += 1;
      await change(encodedValue, values);
    }
    if (counts.rows % 10_000 === 0) onProgress(counts.rows);
  }
  for (const [encodedValue, hash] of before) {
    if (seen.has(encodedValue) || hash === GONE) continue;
    counts.removed += 1;
    await change(encodedValue, null);
  }
  await flush();
  return counts;
}

/** Writes rows of a run beside what they are in the run in force. */
async function store(
  door: NatsDoor,
  names: SegmentNames,
  table: string,
  changed: readonly { readonly encodedValue: string; readonly value: Values }[],
  run: number,
  current: number,
): Promise<void> {
  const subjects = changed.map(({ encodedValue }) =>
    names.snapshotSubject(snapshotKeys.row(table, encodedValue)),
  );
  const stored = new Map<string, StoredRow>();
  const answer = await readLast(
    door,
    names.snapshotsStream,
    subjects,
    (subject, _sequence, data, removed) => {
      if (!removed) stored.set(subject, JSON.parse(Buffer.from(data).toString('utf8')) as StoredRow);
    },
  );
  if (answer !== 'ok') throw new StitchworkError('STORE_UNAVAILABLE', `${names.snapshotsStream}: ${answer}`);
  const messages = changed.map(({ value }, i): BatchMessage => {
    const subject = subjects[i]!;
    const before = stored.get(subject);
    const prev = before ? valuesIn(before, current) : null;
    const row: StoredRow = { run, value, prev };
    return { subject, payload: Buffer.from(JSON.stringify(row)), headers: [] };
  });
  for (let tries = 0; ; tries++) {
    const stored = await publishBatch(door, messages, TIMEOUT_MS);
    if (stored.kind === 'stored') return;
    // The same rows again: writing them twice changes nothing.
    const reason = stored.kind === 'none' ? stored.reason : stored.description;
    if (tries >= TRIES_MAX)
      throw new StitchworkError('STORE_UNAVAILABLE', `${names.snapshotsStream}: ${reason}`);
  }
}
