// Profiles and snapshot rows read whole from the streams behind their buckets. What is written while a stream is read moves to
// its end: the reading goes on behind what it has read until the end stands still, or a number of times.
import { recordKeys, type SegmentNames, snapshotKeys } from '../contract/names.ts';
import { decodeSnapshotRecord, rowAsOf, type StoredRow } from '../contract/snapshot-records.ts';
import type { Snapshots } from '../ports/snapshots.ts';
import type { RowInForce, StoredRows } from '../ports/stored-rows.ts';
import type { NatsDoor } from './connect.ts';
import { type BatchedMessage, readBatches } from './stream-batches.ts';

const ROUNDS_MAX = 50;

export function createStoredRows(
  door: NatsDoor,
  names: SegmentNames,
  snapshots: Pick<Snapshots, 'current'>,
): StoredRows {
  return {
    async *profiles(signal) {
      const filter = names.recordSubject(recordKeys.profile('*'));
      for await (const batch of followBatches(door, names.profilesStream, filter, signal)) {
        const kept = batch.filter(({ removed, payload }) => !removed && payload.length > 0);
        yield kept.map(({ subject, payload }) => ({
          key: subject.slice(names.recordSubjectPrefix.length),
          value: payload,
        }));
      }
    },
    async *rows(table, signal) {
      const run = (await snapshots.current())[table]?.run ?? 0;
      const filter = names.snapshotSubject(snapshotKeys.rowsFilter(table));
      for await (const batch of followBatches(door, names.snapshotsStream, filter, signal))
        yield batch.flatMap((message) => rowOf(message, run));
    },
  };
}

function rowOf({ subject, payload, removed }: BatchedMessage, run: number): readonly RowInForce[] {
  if (removed || payload.length === 0) return [];
  const values = rowAsOf(decodeSnapshotRecord<StoredRow>(payload), run);
  if (!values) return [];
  const encoded = subject.slice(subject.lastIndexOf('.') + 1);
  const key = encoded.startsWith('=') ? undefined : Buffer.from(encoded, 'base64url').toString('utf8');
  return [{ key, values }];
}

async function* followBatches(
  door: NatsDoor,
  stream: string,
  filter: string,
  signal: AbortSignal,
): AsyncGenerator<readonly BatchedMessage[]> {
  let next = 1;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const before = next;
    for await (const batch of readBatches(door, stream, { filter, fromSequence: next })) {
      signal.throwIfAborted();
      next = batch.at(-1)!.sequence + 1;
      yield batch;
    }
    if (next === before) return;
  }
}
