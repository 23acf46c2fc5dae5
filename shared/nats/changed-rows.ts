// Changed rows of snapshot tables, by one pass over the table's part of the bucket.
import { type SegmentNames, snapshotKeys } from '../contract/names.ts';
import { decodeSnapshotRecord, type StoredRow } from '../contract/snapshot-records.ts';
import type { ChangedRows } from '../ports/changed-rows.ts';
import type { NatsDoor } from './connect.ts';
import { readBatches } from './stream-batches.ts';

export function createChangedRows(door: NatsDoor, names: SegmentNames): ChangedRows {
  return {
    async *since(table, run, fromSequence) {
      const filter = names.snapshotSubject(snapshotKeys.rowsFilter(table));
      for await (const batch of readBatches(door, names.snapshotsStream, { filter, fromSequence })) {
        const changed = batch.filter(
          ({ payload, removed }) =>
            !removed && payload.length > 0 && decodeSnapshotRecord<StoredRow>(payload).run > run,
        );
        if (changed.length === 0) continue;
        yield changed.map(({ subject, sequence }) => {
          return { encodedValue: subject.slice(subject.lastIndexOf('.') + 1), sequence };
        });
      }
    },
  };
}
