// Proof of ownership for plain writes, which no checkpoint fences. An owner that was taken over without knowing it must
// not apply a message again to a record that already holds what its successor made of it. So a plain write is allowed
// only over a record that was read while the shard was certainly ours: together with the shard's record, or before a
// batch that moved the shard's checkpoint. Whatever a successor writes later makes the plain write fail.
import { recordKeys } from '../../shared/contract/names.ts';
import { decodeShardRecord } from '../../shared/contract/shard-record.ts';
import type { StoredRecord } from '../../shared/ports/record-store.ts';
import type { Work } from './sealed-plan.ts';
import type { OwnedShard } from './shard.ts';

/** Shards whose records are read beside others, at most, and records beside which they are: more go as a batch anyway. */
const SHARDS_MAX = 16;
const RECORDS_MAX = 100;

/** Record keys of the shards of these messages, to be read in the same request as `keys`. */
export function proofKeys(works: readonly Work[], keys: readonly string[]): readonly string[] {
  if (keys.length > RECORDS_MAX) return [];
  const shards = new Set<number>();
  for (const { message } of works) {
    shards.add(message.shard);
    if (shards.size === SHARDS_MAX) break;
  }
  return [...shards].map(recordKeys.shard);
}

/** Notes which of the shards were ours when the load read them. */
export function noteProof(
  shards: ReadonlyMap<number, OwnedShard>,
  workerId: string,
  { loadedAt, found }: { readonly loadedAt: number; readonly found: ReadonlyMap<string, StoredRecord> },
): void {
  for (const [shard, owned] of shards) {
    const value = found.get(recordKeys.shard(shard))?.value;
    if (!value) continue;
    const { owner, epoch } = decodeShardRecord(value);
    if (owner === workerId && epoch === owned.record.epoch)
      owned.provenAt = Math.max(owned.provenAt, loadedAt);
  }
}
