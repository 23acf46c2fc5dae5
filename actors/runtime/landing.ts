// What follows from the outcome of a commit: residents and checkpoints that move on, messages to decide again, shards that
// are another's.
import type { Counted } from '../../shared/contract/actor.ts';
import { type CommitDeps, type CommitResult, readShards } from './commit.ts';
import type { PlainResult } from './plain-commit.ts';
import type { Residents } from './residents.ts';
import type { SealedPlan, Work } from './sealed-plan.ts';
import type { OwnedShard } from './shard.ts';

export interface LandingDeps extends CommitDeps {
  readonly residents: Residents;
  readonly shards: ReadonlyMap<number, OwnedShard>;
  /** Ends the ownership of a shard: another worker has it. */
  readonly lose: (shard: number) => void;
}

/** A commit that was sent. */
export interface Flight {
  readonly plan: SealedPlan;
  readonly startMs: number;
  /** Newest load when it was sent. */
  readonly loads: number;
  /** Shards as they were owned when it was sent. */
  readonly tickets: ReadonlyMap<number, OwnedShard | undefined>;
  /** Rejects when the commit was given up. */
  readonly done: Promise<CommitResult | PlainResult>;
  settled: boolean;
}

/** Takes the committed states over into the residents and moves the checkpoints. */
export function takeOver(
  deps: LandingDeps,
  { plan, tickets, loads }: Flight,
  revisions: readonly number[],
): void {
  let index = 0;
  for (const [key, { state, bytes }] of plan.records) {
    deps.residents.put(key, { state, revision: revisions[index++]!, bytes });
  }
  for (const [shard, record] of plan.shards) {
    const revision = revisions[index++]!;
    const owned = deps.shards.get(shard);
    // Given up or taken anew meanwhile: then what is known of it now is newer than this commit.
    if (owned && owned === tickets.get(shard)) {
      noteCommit(deps, owned, record, revision);
      owned.provenAt = Math.max(owned.provenAt, loads);
    }
  }
}

function noteCommit(
  deps: LandingDeps,
  owned: OwnedShard,
  record: OwnedShard['record'],
  revision: number,
): void {
  owned.record = record;
  owned.revision = revision;
  owned.lastCommitAtMs = deps.clock.nowMs();
  owned.checkedAtMs = deps.clock.elapsedMs();
}

/**
 * The acknowledgement was not seen: other messages may stand inside the batch (timers that fired while the server
 * rolled it forward), so no revision is computed. Data records are read again when needed, shard records now.
 */
export async function rereadRevisions(
  deps: LandingDeps,
  { plan, tickets }: Flight,
  signal: AbortSignal,
): Promise<void> {
  for (const key of plan.records.keys()) deps.residents.drop(key);
  const stored = await readShards(deps, [...plan.shards.keys()], signal);
  for (const [shard, record] of plan.shards) {
    const owned = deps.shards.get(shard);
    if (!owned || owned !== tickets.get(shard)) continue;
    const now = stored.get(shard);
    const { owner, epoch, seq } = now?.shard ?? { owner: null, epoch: 0, seq: 0 };
    const isOurs = owner === deps.workerId && epoch === record.epoch && seq === record.seq;
    if (now && isOurs) noteCommit(deps, owned, record, now.revision);
    else deps.lose(shard);
  }
}

/**
 * What is done, and what is to be decided again: of each shard everything from the first message on whose record had
 * changed. Those behind it that were stored (`again`) are recognised by their stamps then.
 */
export function splitPlain(
  { works, plain }: SealedPlan,
  changed: readonly string[],
): { readonly done: readonly Work[]; readonly redo: readonly Work[]; readonly again: readonly Work[] } {
  if (changed.length === 0) return { done: works, redo: [], again: [] };
  const failed = new Set(changed.flatMap((key) => plain!.get(key)!));
  const stuck = new Set<number>();
  const done: Work[] = [];
  const redo: Work[] = [];
  for (const work of works) {
    const { shard } = work.message;
    if (failed.has(work)) stuck.add(shard);
    (stuck.has(shard) ? redo : done).push(work);
  }
  return { done, redo, again: redo.filter((work) => !failed.has(work)) };
}

/** What some messages of a plan are counted as. */
export function countsOf({ counts, works: all }: SealedPlan, works: readonly Work[]): readonly Counted[] {
  const some = works.length === all.length ? undefined : new Set(works);
  return counts.flatMap((planned) => (some === undefined || some.has(planned.work) ? planned.counts : []));
}

/** Drops those of the shards that another worker has taken over. */
export async function loseFenced(
  deps: LandingDeps,
  shards: ReadonlySet<number>,
  signal: AbortSignal,
): Promise<void> {
  const stored = await readShards(deps, [...shards], signal);
  for (const shard of shards) {
    const now = stored.get(shard)?.shard;
    const epoch = deps.shards.get(shard)?.record.epoch;
    if (now?.owner !== deps.workerId || now.epoch !== epoch) deps.lose(shard);
  }
}

/** The store did not name the record: if it is a shard record, what is known of that shard is wrong. */
export async function loseChangedShards(
  deps: LandingDeps,
  plan: SealedPlan,
  signal: AbortSignal,
): Promise<void> {
  const stored = await readShards(deps, [...plan.shards.keys()], signal);
  for (const shard of plan.shards.keys()) {
    if (stored.get(shard)?.revision !== deps.shards.get(shard)?.revision) deps.lose(shard);
  }
}
