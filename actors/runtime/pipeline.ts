// The one commit pipeline of a worker, for all its shards: decide, commit, and only then tell. One commit is in flight
// at a time; meanwhile the next plan is decided over it, and thrown away if that commit fails.
//
//   todo -> plan (decided, encoded) -> flight (sent) -committed-> residents, checkpoints, telling
//     ^----------- thrown away ---------------'-fenced, conflict, revisions unknown-> the plan ahead is thrown away
import type { Actor } from '../../shared/contract/actor.ts';
import { invariant } from '../../shared/kernel/assert.ts';
import { errorText } from '../../shared/kernel/errors.ts';
import { randomToken } from '../../shared/kernel/random.ts';
import type { Replies } from '../../shared/ports/replies.ts';
import { type CommitDeps, type CommitResult, readShards, settleCommit } from './commit.ts';
import { type DecideDeps, extendPlan, type Progress } from './decide.ts';
import { Plan, type Rejection, type SealedPlan, type Work } from './plan.ts';
import { loadResidents } from './residents.ts';
import type { OwnedShard } from './shard.ts';
import { whileUnavailable } from './unavailable.ts';

export interface PipelineDeps extends DecideDeps, CommitDeps {
  readonly shards: ReadonlyMap<number, OwnedShard>;
  readonly actor: () => Actor;
  /** Ends the ownership of a shard: another worker has it. */
  readonly lose: (shard: number) => void;
  /** Most messages of a plan, kept from plan to plan: small after conflicts. */
  readonly pace: { cut: number; readonly max: number };
  /** Whether something has to be settled before the next commit. */
  readonly inDoubt: () => boolean;
  /** Drops the shards whose log is not the one of their checkpoint, or that are another's by now. */
  readonly settleDoubts: () => Promise<void>;
  /** Resolves when the messages are known to be without a gap; shards with one are halted by then. */
  readonly noGaps: () => Promise<void>;
  /** Answers whoever waits for a message; may be lost. */
  readonly replies: Replies;
  /** Called when the commit in flight has its outcome. */
  readonly onSettled: () => void;
}

/** Conflicts on one record before what stands before it goes alone, and then the contested message alone. */
const CONFLICTS_BEFORE_SPLIT = 2;
const CONTESTED_JITTER_MS = 20;
const WAIT_MS = 100;
/** Nobody waits longer for a message: a backlog, or a log that is read again, must not answer the past. */
const REPLY_AGE_MAX_MS = 10_000;

interface Flight {
  readonly plan: SealedPlan;
  readonly startMs: number;
  /** Shards as they were owned when it was sent. */
  readonly tickets: ReadonlyMap<number, OwnedShard | undefined>;
  /** Rejects when the commit was given up. */
  readonly done: Promise<CommitResult>;
  settled: boolean;
}

export class Pipeline {
  readonly #deps: PipelineDeps;
  readonly #signal: AbortSignal;
  /** Messages that are not in flight, in order; those of the plan being decided first. */
  #todo: readonly Work[] = [];
  #plan: Plan | undefined;
  #progress: Progress = 'all';
  #flight: Flight | undefined;
  #cut: number;
  /** The next plan is the contested message alone: it goes after a random pause. */
  #contested = false;
  readonly #conflicts = new Map<string, number>();
  readonly #reject = new Map<Work, Rejection>();

  /** `signal` ends every wait; then methods reject. */
  constructor(deps: PipelineDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.#cut = deps.pace.cut;
  }

  /** Messages to apply, in log order within each shard, after those added before. */
  add(works: readonly Work[]): void {
    if (works.length > 0) this.#todo = this.#todo.length === 0 ? works : [...this.#todo, ...works];
  }

  /** Messages that wait, beside those in flight. */
  get waiting(): number {
    return this.#todo.length;
  }

  /** Messages taken and not yet committed, by shard. */
  countByShard(): ReadonlyMap<number, number> {
    const counts = new Map<number, number>();
    for (const { message } of [...(this.#flight?.plan.works ?? []), ...this.#todo])
      counts.set(message.shard, (counts.get(message.shard) ?? 0) + 1);
    return counts;
  }

  get isInFlight(): boolean {
    return this.#flight !== undefined;
  }

  get isEmpty(): boolean {
    return this.#flight === undefined && this.#todo.length === 0;
  }

  /** Waits for the outcome of the commit in flight, if there is one, and draws its consequences. */
  async land(): Promise<void> {
    if (!this.#flight) return;
    await this.#landed(this.#flight, await this.#flight.done);
  }

  /**
   * Goes on as far as possible without waiting for the commit in flight: decides, and sends when none is in flight.
   * Returns false when there is nothing to do before that commit has its outcome or more messages come.
   */
  async advance(): Promise<boolean> {
    if (this.#flight?.settled) await this.land();
    if (this.#deps.inDoubt()) {
      if (this.#flight) return false;
      this.#discard();
      await this.#deps.settleDoubts();
    }
    this.#dropLost();
    if (this.#todo.length === 0) return false;
    await this.#decide();
    if (this.#flight) return this.#flight.settled;
    await this.#commit();
    return true;
  }

  async #decide(): Promise<void> {
    const { clock, random, telemetry, residents, actor } = this.#deps;
    if (!this.#flight) {
      if (this.#contested && !this.#plan)
        await clock.sleep(random.next() * CONTESTED_JITTER_MS, this.#signal);
      telemetry.phase('deciding');
    }
    if (!this.#plan) {
      this.#plan = new Plan(residents, actor(), this.#flight?.plan);
      this.#progress = 'all';
    }
    const plan = this.#plan;
    const more = this.#todo.slice(plan.works.length, this.#cut);
    if (more.length > 0 && this.#progress === 'all') {
      this.#progress = await extendPlan(this.#deps, plan, more, this.#reject, this.#signal);
    }
    if (this.#flight) encodeAhead(plan);
  }

  /** Sends the plan, if it can go as it is. */
  async #commit(): Promise<void> {
    const plan = this.#plan;
    invariant(plan, 'nothing was decided');
    if (plan.works.length === 0) {
      this.#discard();
      // Decided over the commit before: now it can be decided for itself. Else the first message has to wait.
      if (!plan.isAhead) await this.#deps.clock.sleep(WAIT_MS, this.#signal);
      return;
    }
    await this.#deps.noGaps();
    this.#dropLost();
    if (this.#plan !== plan || this.#deps.inDoubt()) return;
    this.#plan = undefined;
    const sealed = this.#sealOrSplit(plan);
    if (!sealed) return;
    this.#todo = this.#todo.slice(sealed.works.length);
    this.#send(sealed);
    const { residents, telemetry } = this.#deps;
    // No plan is being decided: nothing that one relies on can go.
    residents.trim();
    telemetry.residents(residents.measure());
  }

  /** Seals a plan; when that cannot be, narrows it down to the message at fault and sets it aside. */
  #sealOrSplit(plan: Plan): SealedPlan | undefined {
    const commitId = `${this.#deps.workerId}.${randomToken(this.#deps.random, 12)}`;
    let rejection: Rejection;
    try {
      const sealed = plan.seal(commitId, this.#deps.shards);
      if (!('tooLarge' in sealed)) return sealed;
      const message = `record ${sealed.tooLarge} would grow to ${sealed.bytes} bytes`;
      rejection = { code: 'RECORD_TOO_LARGE', message };
    } catch (error) {
      rejection = { code: 'POISON_MESSAGE', message: `its result cannot be stored: ${errorText(error)}` };
      if (plan.works.length === 1 && this.#reject.has(plan.works[0]!)) throw error;
    }
    if (plan.works.length === 1) this.#reject.set(plan.works[0]!, rejection);
    else this.#cut = Math.ceil(plan.works.length / 2);
    return undefined;
  }

  #send(plan: SealedPlan): void {
    const { clock, telemetry, shards, onSettled } = this.#deps;
    telemetry.phase('committing');
    const tickets = new Map([...plan.shards.keys()].map((shard) => [shard, shards.get(shard)]));
    const startMs = clock.elapsedMs();
    const done = settleCommit(this.#deps, plan, this.#signal);
    const flight: Flight = { plan, startMs, tickets, done, settled: false };
    this.#flight = flight;
    const settled = () => {
      flight.settled = true;
      onSettled();
    };
    // A commit that was given up is told to whoever lands it.
    done.then(settled, settled);
  }

  async #landed(flight: Flight, result: CommitResult): Promise<void> {
    const { plan } = flight;
    if (result.kind === 'committed') {
      if (result.revisions) takeOver(this.#deps, flight, result.revisions);
      else {
        this.#discard();
        await rereadRevisions(this.#deps, flight, this.#signal);
      }
      this.#flight = undefined;
      this.#committed(flight);
      return;
    }
    this.#flight = undefined;
    this.#discard();
    this.#todo = [...plan.works, ...this.#todo];
    if (result.kind === 'fenced') for (const shard of result.shards) this.#deps.lose(shard);
    else await this.#afterConflict(plan, result.key);
    this.#dropLost();
  }

  #committed({ plan, startMs }: Flight): void {
    const { telemetry, clock, pace, replies } = this.#deps;
    const { works, writes, bytes, shards } = plan;
    const durationMs = clock.elapsedMs() - startMs;
    pace.cut = Math.min(pace.max, Math.max(pace.cut, works.length * 2));
    this.#cut = pace.cut;
    this.#contested = false;
    this.#conflicts.clear();
    if (this.#reject.size > 0) for (const work of works) this.#reject.delete(work);
    telemetry.phase('committed');
    const { commitId } = plan;
    telemetry.committed({
      commitId,
      messages: works.length,
      writes: writes.length,
      bytes,
      durationMs,
      shards: shards.size,
      applied: works.map(({ message }) => message),
      records: plan.records.keys(),
    });
    const nowMs = clock.nowMs();
    for (const { reply, nowMs: storedMs } of plan.replies)
      if (nowMs - storedMs < REPLY_AGE_MAX_MS) replies.send(reply);
    for (const { work, rejection } of plan.deadLetters) {
      const { shard, sequence, payload } = work.message;
      telemetry.deadLettered({ shard, sequence, payload, commitId, ...rejection });
    }
  }

  /** Reads what changed from the leader and says how much to try next. */
  async #afterConflict(plan: SealedPlan, key: string | undefined): Promise<void> {
    const { pace } = this.#deps;
    const keys = key === undefined ? [...plan.records.keys()] : [key];
    await this.#reload(keys);
    if (key === undefined) await loseChangedShards(this.#deps, plan, this.#signal);
    const count = (this.#conflicts.get(key ?? '') ?? 0) + 1;
    this.#conflicts.set(key ?? '', count);
    // Halved by every conflict, doubled by every commit: a short plan is soon committed and seldom meets another writer.
    pace.cut = Math.max(1, Math.floor(plan.works.length / 2));
    this.#cut = pace.cut;
    if (count < CONFLICTS_BEFORE_SPLIT) return;
    const first = key === undefined ? Math.floor(plan.works.length / 2) : plan.firstTouching(key);
    this.#cut = Math.max(1, first);
    this.#contested = first === 0;
  }

  async #reload(keys: readonly string[]): Promise<void> {
    const { residents, store } = this.#deps;
    const load = () => loadResidents(residents, store, keys, 'leader');
    await whileUnavailable(this.#deps, load, this.#signal);
  }

  /** Forgets the messages of shards that are lost, and what was decided with them. */
  #dropLost(): void {
    const { shards } = this.#deps;
    const kept = this.#todo.filter((work) => shards.get(work.message.shard) === work.ticket);
    if (kept.length === this.#todo.length) return;
    this.#todo = kept;
    this.#discard();
  }

  #discard(): void {
    this.#plan = undefined;
  }
}

/** Uses the wait for the commit in flight. What cannot be encoded is found again when the plan is sealed. */
function encodeAhead(plan: Plan): void {
  try {
    plan.encode();
  } catch {
    // Sealing throws the same and sets the message aside.
  }
}

/** Takes the committed states over into the residents and moves the checkpoints. */
function takeOver(deps: PipelineDeps, { plan, tickets }: Flight, revisions: readonly number[]): void {
  let index = 0;
  for (const [key, { state, bytes }] of plan.records) {
    deps.residents.put(key, { state, revision: revisions[index++]!, bytes });
  }
  for (const [shard, record] of plan.shards) {
    const revision = revisions[index++]!;
    const owned = deps.shards.get(shard);
    // Given up or taken anew meanwhile: then what is known of it now is newer than this commit.
    if (owned && owned === tickets.get(shard)) noteCommit(deps, owned, record, revision);
  }
}

function noteCommit(
  deps: PipelineDeps,
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
async function rereadRevisions(
  deps: PipelineDeps,
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

/** The store did not name the record: if it is a shard record, what is known of that shard is wrong. */
async function loseChangedShards(deps: PipelineDeps, plan: SealedPlan, signal: AbortSignal): Promise<void> {
  const stored = await readShards(deps, [...plan.shards.keys()], signal);
  for (const shard of plan.shards.keys()) {
    if (stored.get(shard)?.revision !== deps.shards.get(shard)?.revision) deps.lose(shard);
  }
}
