// Snapshots over JetStream: which run of each table is in force, its rows for readers, and all rows as they are stored.
import type { KV } from '@nats-io/kv';
import { Kvm } from '@nats-io/kv';
import { rowOfKey, type SegmentNames, snapshotKeys } from '../contract/names.ts';
import {
  decodeSnapshotRecord,
  rowAsOf,
  type StoredRow,
  type TablePointer,
} from '../contract/snapshot-records.ts';
import { errorText, StitchworkError } from '../kernel/errors.ts';
import type { RecordStore, StoredRecord } from '../ports/record-store.ts';
import type { CurrentSnapshot, SnapshotRows, Snapshots } from '../ports/snapshots.ts';
import type { NatsDoor } from './connect.ts';
import { readLast } from './direct-get.ts';
import { readBatches } from './stream-batches.ts';

export type SnapshotRuns = Pick<Snapshots, 'current' | 'watch'>;

export function createSnapshotRuns(door: NatsDoor, names: SegmentNames): SnapshotRuns {
  let opened: Promise<KV> | undefined;
  const bucket = () => (opened ??= new Kvm(door.nc).open(names.snapshotsBucket));
  return {
    async current() {
      const found: Record<string, CurrentSnapshot> = {};
      try {
        const kv = await bucket();
        const keys = await kv.keys(snapshotKeys.currentFilter);
        for await (const key of keys) {
          const entry = await kv.get(key);
          if (entry?.operation !== 'PUT') continue;
          const pointer = entry.json<TablePointer>();
          if (pointer.run > 0) found[key.slice(snapshotKeys.current('').length)] = pointer;
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
  };
}

export function createSnapshotRows(door: NatsDoor, names: SegmentNames): SnapshotRows {
  return {
    async *stored(table) {
      const filter = names.snapshotSubject(snapshotKeys.rowsFilter(table));
      for await (const batch of readBatches(door, names.snapshotsStream, { filter }))
        yield batch
          .filter(({ removed, payload }) => !removed && payload.length > 0)
          .map(({ subject, payload }) => {
            const encodedValue = subject.slice(subject.lastIndexOf('.') + 1);
            return { encodedValue, row: decodeSnapshotRecord<StoredRow>(payload) };
          });
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
      const stored = decodeSnapshotRecord<StoredRow>(data);
      for (const key of bySubject.get(subject) ?? []) {
        const values = rowAsOf(stored, rowOfKey(key)!.run);
        const value = values && Buffer.from(JSON.stringify(values));
        found.set(key, { key, value, revision: sequence });
      }
    },
  );
  if (answer !== 'ok') throw new StitchworkError('STORE_UNAVAILABLE', `${names.snapshotsStream}: ${answer}`);
  return found;
}
