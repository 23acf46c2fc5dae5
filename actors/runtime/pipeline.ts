// The one commit pipeline of a worker, for all its shards: gather, decide, commit, and only then tell. One commit is in
// flight at a time; what arrives meanwhile becomes the next micro-batch (group commit).
import type { Actor } from '../../shared/contract/actor.ts';
import { errorText } from '../../shared/kernel/errors.ts';
import { randomToken } from '../../shared/kernel/random.ts';
import { type CommitDeps, type CommitResult, readShards, settleCommit } from './commit.ts';
import { type DecideDeps, decideBatch } from './decide.ts';
import type { Rejection, SealedPlan, Work } from './plan.ts';
import { loadResidents } from './residents.ts';
import type { OwnedShard } from './shard.ts';

export interface PipelineDeps extends DecideDeps, CommitDeps {
  readonly shards: ReadonlyMap<number, OwnedShard>;
  readonly actor: () => Actor;
  /** Ends the ownership of a shard: another worker has it. */
  readonly lose: (shard: number) => void;
  /** Most messages of a plan, kept from run to run: small after conflicts. */
  readonly pace: { cut: number; readonly max: number };
  /** Drops the shards whose log is not the one of their checkpoint, or that are another's by now, if there is doubt. */
  readonly settleDoubts: () => Promise<void>;
  /** Resolves when the messages are known to be without a gap; shards with one are halted by then. */
  readonly noGaps: () => Promise<void>;
}

/** Conflicts on one record before what stands before it goes alone, and then the contested message alone. */
const CONFLICTS_BEFORE_SPLIT = 2;
const CONTESTED_JITTER_MS = 20;
const WAIT_MS = 100;

/** Progress of one gathered run of messages: what is left, and how to go about it. */
interface Run {
  todo: readonly Work[];
  /** Most messages of the next plan. */
  cut: number;
  /** The next plan is the contested message alone: it goes after a random pause. */
  contested: boolean;
  readonly conflicts: Map<string, number>;
  readonly reject: Map<Work, Rejection>;
}

/** Applies and commits messages until none is left or its shard is lost. Rejects only when `signal` aborts. */
export async function applyMessages(
  deps: PipelineDeps,
  works: readonly Work[],
  signal: AbortSignal,
): Promise<void> {
  const run: Run = {
    todo: works,
    cut: deps.pace.cut,
    contested: false,
    conflicts: new Map(),
    reject: new Map(),
  };
  while (run.todo.length > 0) {
    if (run.contested) await deps.clock.sleep(deps.random.next() * CONTESTED_JITTER_MS, signal);
    await deps.settleDoubts();
    run.todo = stillOwned(deps, run.todo);
    deps.telemetry.phase('deciding');
    const actor = deps.actor();
    const decided = await decideBatch(deps, actor, run.todo.slice(0, run.cut), run.reject, signal);
    if (decided.plan.works.length === 0) {
      if (run.todo.length === 0) return;
      await deps.clock.sleep(WAIT_MS, signal);
      continue;
    }
    await deps.noGaps();
    if (stillOwned(deps, decided.plan.works) !== decided.plan.works) continue;
    const sealed = sealOrSplit(deps, actor, decided.plan, run);
    if (sealed) await commitRun(deps, sealed, run, signal);
    run.todo = stillOwned(deps, run.todo);
  }
}

function stillOwned(deps: PipelineDeps, works: readonly Work[]): readonly Work[] {
  const kept = works.filter((work) => deps.shards.get(work.message.shard) === work.ticket);
  return kept.length === works.length ? works : kept;
}

/** Seals a plan; when that cannot be, narrows the run down to the message at fault and sets it aside. */
function sealOrSplit(
  deps: PipelineDeps,
  actor: Actor,
  plan: { readonly works: readonly Work[]; seal: DecidedPlan['seal'] },
  run: Run,
): SealedPlan | undefined {
  const commitId = `${deps.workerId}.${randomToken(deps.random, 12)}`;
  let rejection: Rejection;
  try {
    const sealed = plan.seal(actor, commitId, deps.shards);
    if (!('tooLarge' in sealed)) return sealed;
    const message = `record ${sealed.tooLarge} would grow to ${sealed.bytes} bytes`;
    rejection = { code: 'RECORD_TOO_LARGE', message };
  } catch (error) {
    rejection = { code: 'POISON_MESSAGE', message: `its result cannot be stored: ${errorText(error)}` };
    if (plan.works.length === 1 && run.reject.has(plan.works[0]!)) throw error;
  }
  if (plan.works.length === 1) run.reject.set(plan.works[0]!, rejection);
  else run.cut = Math.ceil(plan.works.length / 2);
  return undefined;
}

type DecidedPlan = Awaited<ReturnType<typeof decideBatch>>['plan'];

async function commitRun(deps: PipelineDeps, plan: SealedPlan, run: Run, signal: AbortSignal): Promise<void> {
  const startMs = deps.clock.elapsedMs();
  deps.telemetry.phase('committing');
  const result = await settleCommit(deps, plan, signal);
  switch (result.kind) {
    case 'committed':
      await afterCommit(deps, plan, result.revisions, startMs, signal);
      run.todo = run.todo.slice(plan.works.length);
      deps.pace.cut = Math.min(deps.pace.max, Math.max(deps.pace.cut, plan.works.length * 2));
      run.cut = deps.pace.cut;
      run.contested = false;
      run.conflicts.clear();
      return;
    case 'fenced':
      for (const shard of result.shards) deps.lose(shard);
      return;
    case 'conflict':
      await afterConflict(deps, plan, result, run, signal);
      return;
  }
}

/** Takes the committed states over into the residents, moves the checkpoints, then tells. */
async function afterCommit(
  deps: PipelineDeps,
  plan: SealedPlan,
  revisions: readonly number[] | undefined,
  startMs: number,
  signal: AbortSignal,
): Promise<void> {
  if (revisions) takeOver(deps, plan, revisions);
  else await rereadRevisions(deps, plan, signal);
  const { works, writes, bytes, shards } = plan;
  const durationMs = deps.clock.elapsedMs() - startMs;
  deps.telemetry.phase('committed');
  deps.telemetry.committed({
    messages: works.length,
    writes: writes.length,
    bytes,
    durationMs,
    shards: shards.size,
  });
  for (const { work, rejection } of plan.deadLetters) {
    const { shard, sequence } = work.message;
    deps.telemetry.deadLettered({ shard, sequence, ...rejection });
  }
  deps.residents.trim();
  deps.telemetry.residents(deps.residents.measure());
}

function takeOver(deps: PipelineDeps, plan: SealedPlan, revisions: readonly number[]): void {
  let index = 0;
  for (const [key, { state, bytes }] of plan.records) {
    deps.residents.put(key, { state, revision: revisions[index++]!, bytes: bytes?.length ?? 0 });
  }
  for (const [shard, record] of plan.shards) {
    const owned = deps.shards.get(shard)!;
    owned.record = record;
    owned.revision = revisions[index++]!;
    noteCommit(deps, owned);
  }
}

function noteCommit(deps: PipelineDeps, owned: OwnedShard): void {
  owned.lastCommitAtMs = deps.clock.nowMs();
  owned.checkedAtMs = deps.clock.elapsedMs();
}

/**
 * The acknowledgement was not seen: other messages may stand inside the batch (timers that fired while the server
 * rolled it forward), so no revision is computed. Data records are read again when needed, shard records now.
 */
async function rereadRevisions(deps: PipelineDeps, plan: SealedPlan, signal: AbortSignal): Promise<void> {
  for (const key of plan.records.keys()) deps.residents.drop(key);
  const stored = await readShards(deps, [...plan.shards.keys()], signal);
  for (const [shard, record] of plan.shards) {
    const now = stored.get(shard);
    const owned = deps.shards.get(shard)!;
    if (
      now?.shard.owner !== deps.workerId ||
      now.shard.epoch !== record.epoch ||
      now.shard.seq !== record.seq
    ) {
      deps.lose(shard);
      continue;
    }
    owned.record = record;
    owned.revision = now.revision;
    noteCommit(deps, owned);
  }
}

/** Reads what changed from the leader and says how much to try next. */
async function afterConflict(
  deps: PipelineDeps,
  plan: SealedPlan,
  conflict: CommitResult & { kind: 'conflict' },
  run: Run,
  signal: AbortSignal,
): Promise<void> {
  const keys = conflict.key === undefined ? [...plan.records.keys()] : [conflict.key];
  await reload(deps, keys, signal);
  if (conflict.key === undefined) await loseChangedShards(deps, plan, signal);
  const name = conflict.key ?? '';
  const count = (run.conflicts.get(name) ?? 0) + 1;
  run.conflicts.set(name, count);
  // Halved by every conflict, doubled by every commit: a short plan is soon committed and seldom meets another writer.
  deps.pace.cut = Math.max(1, Math.floor(plan.works.length / 2));
  run.cut = deps.pace.cut;
  if (count < CONFLICTS_BEFORE_SPLIT) return;
  const first =
    conflict.key === undefined ? Math.floor(plan.works.length / 2) : plan.firstTouching(conflict.key);
  run.cut = Math.max(1, first);
  run.contested = first === 0;
}

async function reload(deps: PipelineDeps, keys: readonly string[], signal: AbortSignal): Promise<void> {
  for (;;) {
    try {
      return await loadResidents(deps.residents, deps.store, deps.actor(), keys, 'leader');
    } catch {
      // Only STORE_UNAVAILABLE gets here (a damaged record is marked, not thrown): wait for the store.
      await deps.clock.sleep(50 + deps.random.next() * 200, signal);
    }
  }
}

/** The store did not name the record: if it is a shard record, what is known of that shard is wrong. */
async function loseChangedShards(deps: PipelineDeps, plan: SealedPlan, signal: AbortSignal): Promise<void> {
  const stored = await readShards(deps, [...plan.shards.keys()], signal);
  for (const shard of plan.shards.keys()) {
    if (stored.get(shard)?.revision !== deps.shards.get(shard)?.revision) deps.lose(shard);
  }
}
