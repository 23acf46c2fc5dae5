// Profiles and snapshot rows read whole from the streams behind their buckets.
import { recordKeys, type SegmentNames } from '../contract/names.ts';
import { jsonAsOf, type StoredRow } from '../contract/snapshot-records.ts';
import type { RowInForce, StoredRows } from '../ports/stored-rows.ts';
import type { NatsDoor } from './connect.ts';
import { createSnapshotPages, readPointer } from './snapshots.ts';
import { followBatches } from './stream-batches.ts';

export function createStoredRows(door: NatsDoor, names: SegmentNames): StoredRows {
  const pages = createSnapshotPages(door, names);
  return {
    async *profiles(signal) {
      const filter = names.recordSubject(recordKeys.profile('*'));
      for await (const batch of followBatches(door, names.profilesStream, { filter, signal })) {
        const kept = batch.filter(({ removed, payload }) => !removed && payload.length > 0);
        yield kept.map(({ subject, payload }) => ({
          key: subject.slice(names.recordSubjectPrefix.length),
          value: payload,
        }));
      }
    },
    async *rows(table, signal) {
      const pointer = await readPointer(door, names, table);
      if (!pointer) return;
      for await (const batch of pages.stored(table, pointer.layout)) {
        signal.throwIfAborted();
        yield batch.flatMap(({ rows }) => rows.flatMap((row) => rowOf(row, pointer.run)));
      }
    },
  };
}

function rowOf(row: StoredRow, run: number): readonly RowInForce[] {
  const json = jsonAsOf(row, run);
  if (json === null) return [];
  const { encodedValue } = row;
  const key = encodedValue.startsWith('=')
    ? undefined
    : Buffer.from(encodedValue, 'base64url').toString('utf8');
  return [{ key, values: JSON.parse(json) as RowInForce['values'] }];
}
