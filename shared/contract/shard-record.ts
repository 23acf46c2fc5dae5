// The checkpoint and fence of a shard, stored under `s.<shard>` in the same atomic batch as the state it speaks of.
// Stored form: msgpack map with `v`; a new field needs a new version and an upcaster here.
import { pack, unpack } from 'msgpackr';

export interface ShardRecord {
  readonly v: 1;
  /** Worker that may commit for this shard; null when it was released. */
  readonly owner: string | null;
  /** Grows by one with every claim. */
  readonly epoch: number;
  /** Last commit that moved the checkpoint; claims and releases keep it, so that its author can recognise it. */
  readonly commitId: string;
  /** Every message of the shard up to this log sequence is applied. */
  readonly seq: number;
  /** A message at or below `seq`, to recognise the log by. */
  readonly fingerprint: { readonly seq: number; readonly hash: string } | null;
  /** Creation time of the log that `seq` counts in; empty before the first claim. */
  readonly streamCreated: string;
  /** Highest log sequence that the housekeeper was known to have purged. */
  readonly purgedTo: number;
}

export const UNCLAIMED: ShardRecord = {
  v: 1,
  owner: null,
  epoch: 0,
  commitId: '',
  seq: 0,
  fingerprint: null,
  streamCreated: '',
  purgedTo: 0,
};

export function encodeShardRecord(record: ShardRecord): Uint8Array {
  return pack(record);
}

/** Throws when the bytes are not a shard record of a known version. */
export function decodeShardRecord(bytes: Uint8Array): ShardRecord {
  const raw: unknown = unpack(bytes);
  if (typeof raw !== 'object' || raw === null || !('v' in raw) || raw.v !== 1) {
    throw new Error('not a shard record of a known version');
  }
  return raw as ShardRecord;
}
