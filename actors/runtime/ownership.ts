// Decides which shards to claim and which to give up, and claims them. Safety is not decided here: a claim is a
// conditional write of the shard record, and from then on every commit of the old owner fails whole.
import { recordKeys } from '../../shared/contract/names.ts';
import { encodeShardRecord, type ShardRecord, UNCLAIMED } from '../../shared/contract/shard-record.ts';
import { backoffMs } from '../../shared/kernel/backoff.ts';
import type { EventLogReader, LogState } from '../../shared/ports/event-log.ts';
import type { MemberReport } from '../../shared/ports/membership.ts';
import type { Revision } from '../../shared/ports/record-store.ts';
import { type CommitDeps, readShards } from './commit.ts';
import { checkLog, readPurgedTo } from './log-check.ts';
import { holds, type Members } from './members.ts';
import { preferredOwner } from './rendezvous.ts';

export interface ClaimDeps extends CommitDeps {
  readonly log: EventLogReader;
  readonly members: Members;
}

/** What the claims of one look at the owner table ask only once, however many shards they are for. */
export class ClaimRound {
  readonly #deps: ClaimDeps;
  readonly #asked = new Map<string, Promise<MemberReport | undefined>>();
  #purgedTo: Promise<number> | undefined;
  #state: Promise<LogState> | undefined;

  constructor(deps: ClaimDeps) {
    this.#deps = deps;
  }

  ask(member: string): Promise<MemberReport | undefined> {
    return this.#once(this.#asked, member, () => this.#deps.members.ask(member));
  }

  /** Throws STORE_UNAVAILABLE. */
  purgedTo(): Promise<number> {
    this.#purgedTo ??= readPurgedTo(this.#deps.store);
    return this.#purgedTo;
  }

  /** A state of the log that ends at `atLeast` or later, if there is one. Throws LOG_UNAVAILABLE. */
  async state(atLeast?: number): Promise<LogState> {
    this.#state ??= this.#deps.log.state(atLeast);
    const known = await this.#state;
    if (atLeast === undefined || known.lastSequence >= atLeast) return known;
    return this.#deps.log.state(atLeast);
  }

  #once<K, V>(known: Map<K, V>, key: K, make: () => V): V {
    const value = known.get(key) ?? make();
    known.set(key, value);
    return value;
  }
}

export type ClaimResult =
  | { readonly kind: 'claimed'; readonly record: ShardRecord; readonly revision: Revision }
  /** Another live worker holds it, or was faster. */
  | { readonly kind: 'taken' }
  | { readonly kind: 'unsound'; readonly code: 'LOG_REPLACED' | 'LOG_TRUNCATED'; readonly reason: string };

/**
 * Claims one shard: reads its record from the leader, makes sure that no live worker holds it and that the log is the
 * one that the checkpoint speaks of, then writes the record with the own name at the revision that was read. Throws
 * LOG_UNAVAILABLE or STORE_UNAVAILABLE when the log or store cannot be reached.
 */
export async function claimShard(
  deps: ClaimDeps,
  shard: number,
  signal: AbortSignal,
  round = new ClaimRound(deps),
): Promise<ClaimResult> {
  const stored = (await readShards(deps, [shard], signal)).get(shard);
  const before = stored?.shard ?? UNCLAIMED;
  if (
    before.owner !== null &&
    before.owner !== deps.workerId &&
    (await isHeld(deps, round, before.owner, shard))
  ) {
    return { kind: 'taken' };
  }
  const [verdict, purged] = await Promise.all([
    checkLog(
      before,
      { state: (atLeast) => round.state(atLeast), messageAt: (sequence) => deps.log.messageAt(sequence) },
      deps.store,
    ),
    round.purgedTo(),
  ]);
  if (verdict.kind === 'unsound') return verdict;
  const record: ShardRecord = {
    ...before,
    owner: deps.workerId,
    epoch: before.epoch + 1,
    streamCreated: verdict.createdAt,
    purgedTo: Math.max(before.purgedTo, purged),
  };
  const revision = await writeShardRecord(deps, shard, record, stored?.revision ?? 0, signal);
  return revision === undefined ? { kind: 'taken' } : { kind: 'claimed', record, revision };
}

/** Whether the owner of record is alive and says so itself; asked even when its heartbeat has not been seen yet. */
async function isHeld(deps: ClaimDeps, round: ClaimRound, owner: string, shard: number): Promise<boolean> {
  if (deps.members.isHung(owner)) return false;
  const report = await round.ask(owner);
  return report !== undefined && holds(report, shard);
}

/**
 * Writes a shard record alone, at a revision. Resolves with the new revision, or undefined when somebody else wrote it
 * first. Repeats until the store gives a definite answer.
 */
export async function writeShardRecord(
  deps: CommitDeps,
  shard: number,
  record: ShardRecord,
  expect: Revision,
  signal: AbortSignal,
): Promise<Revision | undefined> {
  const key = recordKeys.shard(shard);
  const value = encodeShardRecord(record);
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted();
    const outcome = await deps.store.commit([{ kind: 'put', key, value, expect }]);
    if (outcome.kind === 'committed') return outcome.revisions[0];
    if (outcome.kind === 'conflict') {
      const stored = (await readShards(deps, [shard], signal)).get(shard);
      const ours = stored?.shard.owner === record.owner && stored.shard.epoch === record.epoch;
      return ours && stored.shard.seq === record.seq ? stored.revision : undefined;
    }
    await deps.clock.sleep(5 + backoffMs(attempt, 10, deps.backoffMaxMs, deps.random), signal);
  }
}

export interface Assignment {
  /** Shards to claim now. */
  readonly claim: readonly number[];
  /** Own shards that should go to another live worker, most of them first served. */
  readonly release: readonly number[];
}

/**
 * What the owner table asks of this worker. `counted` are the members among whom shards are shared out: after a
 * reconnection those seen before it, else those alive.
 */
export function assign(
  workerId: string,
  shards: number,
  counted: ReadonlySet<string>,
  own: (shard: number) => boolean,
  heldByOther: (shard: number) => boolean,
): Assignment {
  const claim: number[] = [];
  const release: number[] = [];
  for (let shard = 0; shard < shards; shard++) {
    const preferred = preferredOwner(shard, counted);
    if (own(shard)) {
      if (preferred !== workerId) release.push(shard);
    } else if (preferred === workerId && !heldByOther(shard)) claim.push(shard);
  }
  return { claim, release };
}
