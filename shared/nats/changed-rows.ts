// Changed rows of snapshot tables, by one pass over the table's pages.
import { type SegmentNames, snapshotKeys } from '../contract/names.ts';
import { decodePage } from '../contract/snapshot-records.ts';
import type { ChangedRows } from '../ports/changed-rows.ts';
import type { NatsDoor } from './connect.ts';
import { readPointer } from './snapshots.ts';
import { followBatches } from './stream-batches.ts';

export function createChangedRows(door: NatsDoor, names: SegmentNames): ChangedRows {
  return {
    async *since(table, run, fromSequence) {
      const pointer = await readPointer(door, names, table);
      if (!pointer) return;
      const filter = names.snapshotSubject(snapshotKeys.pagesFilter(table, pointer.layout.generation));
      for await (const batch of followBatches(door, names.snapshotsStream, { filter, fromSequence })) {
        const changed = batch.flatMap(({ payload, removed, sequence }) => {
          const rows = removed || payload.length === 0 ? [] : decodePage(payload);
          return rows.flatMap(({ encodedValue, run: since }) =>
            since > run ? { encodedValue, sequence } : [],
          );
        });
        if (changed.length > 0) yield changed;
      }
    },
  };
}
