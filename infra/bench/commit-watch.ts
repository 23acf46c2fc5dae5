// Sees what is committed of each shard while it is stored: checkpoints pass by on the subjects of the shard records, and
// messages that went before their checkpoint are named by the stamps of the profiles that they changed.
import { decodeRecord } from '../../actors/profile/record-codec.ts';

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

/**
 * `onProgress` is called for each checkpoint that is further than the one before; a claim alone is not. `onStamped` is
 * called for each message that a profile has been stamped with, as often as it is seen.
 */
export function watchCommits(
  door: NatsDoor,
  names: SegmentNames,
  onProgress: (shard: number, checkpoint: Checkpoint, before: Checkpoint | undefined) => void,
  onStamped: (shard: number, sequence: number) => void = () => {},
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
  const profiles = door.nc.subscribe(`${names.recordSubject('p.')}*`, {
    callback: (error, message) => {
      if (error || message.data.length === 0) return;
      const record = decodeRecord(message.subject, message.data);
      if (record.kind !== 'profile') return;
      for (const { shard, sequence } of record.stamps ?? []) onStamped(shard, sequence);
    },
  });
  return {
    latest,
    close() {
      subscription.unsubscribe();
      profiles.unsubscribe();
    },
  };
}
