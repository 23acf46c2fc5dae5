// Carries a sealed plan to a definite outcome. The same writes are sent again, under a fresh batch id each time, until
// the store says what became of them; nothing is decided anew on the way.
//
//   send -> committed                                    -> committed
//        -> busy, refused, unknown -> wait -> send again
//        -> conflict, no unknown before                  -> fenced or conflict
//        -> conflict after an unknown -> read the shard records from the leader:
//               one carries our commit id                -> committed (revisions unknown: G2)
//               one is still ours without it             -> fenced or conflict
//               none is ours                             -> fenced on all (what became of it cannot matter to us)
import { recordKeys } from '../../shared/contract/names.ts';
import { decodeShardRecord, type ShardRecord } from '../../shared/contract/shard-record.ts';
import { backoffMs } from '../../shared/kernel/backoff.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import type { Random } from '../../shared/kernel/random.ts';
import type { RecordStore, Revision, StoredRecord, StoreWrite } from '../../shared/ports/record-store.ts';
import type { WorkerTelemetry } from '../../shared/ports/worker-telemetry.ts';
import { whileUnavailable } from './unavailable.ts';

export interface CommitDeps {
  readonly store: RecordStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: WorkerTelemetry;
  readonly workerId: string;
  readonly backoffMaxMs: number;
}

/** What is committed: writes, and the shard records among them by shard. */
export interface Commitment {
  readonly commitId: string;
  readonly writes: readonly StoreWrite[];
  readonly shards: ReadonlyMap<number, ShardRecord>;
}

export type CommitResult =
  /** `revisions`: in the order of the writes; undefined when the acknowledgement was not seen. */
  | { readonly kind: 'committed'; readonly revisions: readonly Revision[] | undefined }
  /** Not committed: these shards belong to another owner now. */
  | { readonly kind: 'fenced'; readonly shards: readonly number[] }
  /** Not committed: this data record changed; undefined when the store did not tell which. */
  | { readonly kind: 'conflict'; readonly key: string | undefined };

/** Settles one commit. Rejects only when `signal` aborts. */
export async function settleCommit(
  deps: CommitDeps,
  plan: Commitment,
  signal: AbortSignal,
): Promise<CommitResult> {
  let unknowns = 0;
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted();
    const outcome = await deps.store.commit(plan.writes);
    switch (outcome.kind) {
      case 'committed':
        if (unknowns > 0) deps.telemetry.resolved('committed', plan.commitId);
        return { kind: 'committed', revisions: outcome.revisions };
      case 'conflict':
        if (unknowns > 0) return resolveUnknown(deps, plan, outcome.sequence, signal);
        return classifyConflict(deps, plan, outcome.sequence, signal);
      case 'unknown':
        unknowns++;
        deps.telemetry.unknownOutcome(attempt, plan.commitId);
        break;
      case 'busy':
        deps.telemetry.busy(outcome.reason, plan.commitId);
        break;
      case 'refused':
        deps.telemetry.refused(outcome.code, outcome.reason, plan.commitId);
        break;
    }
    await deps.clock.sleep(5 + backoffMs(attempt, 10, deps.backoffMaxMs, deps.random), signal);
  }
}

/** A conflict of the batch that may have been committed by an earlier send: the shard records know. */
async function resolveUnknown(
  deps: CommitDeps,
  plan: Commitment,
  sequence: number,
  signal: AbortSignal,
): Promise<CommitResult> {
  const records = await readShards(deps, [...plan.shards.keys()], signal);
  const stored = [...records.values()].map((record) => record?.shard);
  if (stored.some((record) => record?.commitId === plan.commitId)) {
    deps.telemetry.resolved('committed', plan.commitId);
    return { kind: 'committed', revisions: undefined };
  }
  const fenced = lostShards(deps, plan, records);
  if (fenced.length > 0) {
    deps.telemetry.resolved('fenced', plan.commitId);
    return { kind: 'fenced', shards: fenced };
  }
  deps.telemetry.resolved('not_committed', plan.commitId);
  return classifyConflict(deps, plan, sequence, signal);
}

async function classifyConflict(
  deps: CommitDeps,
  plan: Commitment,
  sequence: number,
  signal: AbortSignal,
): Promise<CommitResult> {
  const key =
    sequence > 0 ? await whileUnavailable(deps, () => deps.store.keyAt(sequence), signal) : undefined;
  const isShardRecord = key?.startsWith('s.') ?? false;
  if (key !== undefined && !isShardRecord) {
    deps.telemetry.conflict({ key, kind: 'data', commitId: plan.commitId });
    return { kind: 'conflict', key };
  }
  const records = await readShards(deps, [...plan.shards.keys()], signal);
  const fenced = lostShards(deps, plan, records);
  if (fenced.length > 0) {
    deps.telemetry.conflict({ key: key ?? '', kind: 'shard', commitId: plan.commitId });
    return { kind: 'fenced', shards: fenced };
  }
  deps.telemetry.conflict({ key: '', kind: 'data', commitId: plan.commitId });
  return { kind: 'conflict', key: undefined };
}

/** Shards of the plan whose record is not the one that this owner wrote last. */
function lostShards(
  deps: CommitDeps,
  plan: Commitment,
  records: ReadonlyMap<number, StoredShard | undefined>,
): number[] {
  return [...plan.shards]
    .filter(([shard, ours]) => !isOurs(deps, ours, records.get(shard)))
    .map(([shard]) => shard);
}

function isOurs(deps: CommitDeps, ours: ShardRecord, stored: StoredShard | undefined): boolean {
  return stored?.shard.owner === deps.workerId && stored.shard.epoch === ours.epoch;
}

export interface StoredShard {
  readonly shard: ShardRecord;
  readonly revision: Revision;
}

/** Shard records from the leader; waits until they can be read. Rejects only when `signal` aborts. */
export async function readShards(
  deps: Pick<CommitDeps, 'store' | 'clock' | 'random' | 'backoffMaxMs'>,
  shards: readonly number[],
  signal: AbortSignal,
): Promise<ReadonlyMap<number, StoredShard | undefined>> {
  const keys = shards.map((shard) => recordKeys.shard(shard));
  const found = await whileUnavailable(deps, () => deps.store.read(keys, 'leader'), signal);
  return new Map(shards.map((shard) => [shard, storedShard(found.get(recordKeys.shard(shard)))]));
}

function storedShard(record: StoredRecord | undefined): StoredShard | undefined {
  if (!record || record.value === null) return undefined;
  return { shard: decodeShardRecord(record.value), revision: record.revision };
}
