// What plain commits have applied beyond the checkpoints, and when the checkpoints have to follow. Bounds what another
// worker reads again when this one dies.
import { recordKeys } from '../../shared/contract/names.ts';
import { encodeShardRecord, type ShardRecord } from '../../shared/contract/shard-record.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import type { StoreWrite } from '../../shared/ports/record-store.ts';
import type { SealedPlan, Work } from './sealed-plan.ts';
import type { OwnedShard, Position } from './shard.ts';

/** Longest time between a plain commit and the checkpoints behind it. */
const SETTLE_AFTER_MS = 1000;
/** Most messages beyond the checkpoints. */
const UNSETTLED_MAX = 300;

export class Unsettled {
  #works = 0;
  /** Elapsed time of the first plain commit since the checkpoints were written. */
  #sinceMs: number | undefined;

  /** Notes what a plain commit applied, in log order within each shard and without a gap. */
  note(works: readonly Work[], shards: ReadonlyMap<number, OwnedShard>, clock: Clock): void {
    for (const { message, ticket, fingerprint } of works) {
      const owned = shards.get(message.shard);
      // Given up meanwhile: its next owner reads it again.
      if (!owned || owned !== ticket) continue;
      owned.applied = { seq: message.sequence, hash: fingerprint };
      owned.lastCommitAtMs = clock.nowMs();
      this.#works += 1;
      this.#sinceMs ??= clock.elapsedMs();
    }
  }

  /** When the checkpoints have to follow, in elapsed time; undefined: they are up to date. */
  get dueMs(): number | undefined {
    if (this.#sinceMs === undefined) return undefined;
    return this.#works >= UNSETTLED_MAX ? this.#sinceMs : this.#sinceMs + SETTLE_AFTER_MS;
  }

  /** The checkpoints could not be written together: what is left of them is tried again. */
  renew(nowMs: number): void {
    this.#sinceMs ??= nowMs;
  }

  /** A batch of nothing but checkpoints; undefined when none is behind. */
  seal(commitId: string, shards: Iterable<OwnedShard>): SealedPlan | undefined {
    this.#works = 0;
    this.#sinceMs = undefined;
    const moved = new Map<number, ShardRecord>();
    const writes: StoreWrite[] = [];
    let bytes = 0;
    for (const owned of shards) {
      if (!isBehind(owned)) continue;
      const record = recordOf(owned, commitId);
      const value = encodeShardRecord(record);
      bytes += value.length;
      moved.set(owned.shard, record);
      writes.push({ kind: 'put', key: recordKeys.shard(owned.shard), value, expect: owned.revision });
    }
    if (writes.length === 0) return undefined;
    return {
      commitId,
      writes,
      bytes,
      works: [],
      records: new Map(),
      shards: moved,
      plain: undefined,
      deadLetters: [],
      replies: [],
      counts: [],
      firstTouching: () => 0,
    };
  }
}

/** The shard's record with the checkpoint where the shard has been applied to; `commitId` is for one that moves. */
export function recordOf(owned: OwnedShard, commitId: string): ShardRecord {
  if (!isBehind(owned)) return owned.record;
  const { seq, hash } = owned.applied;
  return { ...owned.record, commitId, seq, fingerprint: { seq, hash: hash() } };
}

function isBehind(owned: OwnedShard): owned is OwnedShard & { readonly applied: Position } {
  return owned.applied !== undefined && owned.applied.seq > owned.record.seq;
}
