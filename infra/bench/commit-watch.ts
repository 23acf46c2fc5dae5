// Sees every checkpoint as it is committed: shard records pass by on their subjects while they are stored.

import type { SegmentNames } from '../../shared/contract/names.ts';
import { decodeShardRecord } from '../../shared/contract/shard-record.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';

export interface Checkpoint {
  readonly owner: string | null;
  readonly seq: number;
}

export interface CommitWatch {
  /** The newest of each shard seen so far. */
  readonly latest: ReadonlyMap<number, Checkpoint>;
  close(): void;
}

/** `onProgress` is called for each checkpoint that is further than the one before; a claim alone is not. */
export function watchCommits(
  door: NatsDoor,
  names: SegmentNames,
  onProgress: (shard: number, checkpoint: Checkpoint, before: Checkpoint | undefined) => void,
): CommitWatch {
  const latest = new Map<number, Checkpoint>();
  const prefix = names.recordSubject('s.');
  const subscription = door.nc.subscribe(`${prefix}*`, {
    callback: (error, message) => {
      if (error) return;
      const shard = Number(message.subject.slice(prefix.length));
      const { owner, seq } = decodeShardRecord(message.data);
      const before = latest.get(shard);
      latest.set(shard, { owner, seq });
      if (before === undefined || seq > before.seq) onProgress(shard, { owner, seq }, before);
    },
  });
  return { latest, close: () => subscription.unsubscribe() };
}
