// The one commit pipeline of a worker, for all its shards: decide, commit, and only then tell. One commit is in flight
// at a time; meanwhile the next plan is decided over it, and thrown away if that commit fails. A few messages that change
// one record each go as plain writes; the checkpoints behind them follow beside later ones.
//
//   todo -> plan (decided, encoded) -> flight (sent) -committed-> residents, checkpoints, telling
//     ^----------- thrown away ---------------'-fenced, conflict, revisions unknown-> the plan ahead is thrown away
import { invariant } from '../../shared/kernel/assert.ts';
import { errorText } from '../../shared/kernel/errors.ts';
import { randomToken } from '../../shared/kernel/random.ts';
import type { Replies } from '../../shared/ports/replies.ts';
import { type CommitResult, settleCommit } from './commit.ts';
import { type DecideDeps, extendPlan, type Progress } from './decide.ts';
import {
  countsOf,
  type Flight,
  type LandingDeps,
  loseChangedShards,
  loseFenced,
  rereadRevisions,
  splitPlain,
  takeOver,
} from './landing.ts';
import { type PlainResult, settlePlain } from './plain-commit.ts';
import { Plan } from './plan.ts';
import { loadResidents } from './residents.ts';
import type { Rejection, SealedPlan, Work } from './sealed-plan.ts';
import { whileUnavailable } from './unavailable.ts';
import { Unsettled } from './unsettled.ts';
import { type ActorSource, waitForActor } from './wait-for-actor.ts';

export interface PipelineDeps extends DecideDeps, LandingDeps, ActorSource {
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
/** Nobody waits longer for a message: a backlog, or a log that is read again, must not answer the past. */
const REPLY_AGE_MAX_MS = 10_000;

export class Pipeline {
  readonly #deps: PipelineDeps;
  readonly #signal: AbortSignal;
  /** Messages that are not in flight, in order; those of the plan being decided first. */
  #todo: readonly Work[] = [];
  #plan: Plan | undefined;
  #progress: Progress = 'all';
  #flight: Flight | undefined;
  /** Checkpoints on their way, beside plain commits; a batch waits for them. */
  #settling: Flight | undefined;
  #cut: number;
  /** The next plan is the contested message alone: it goes after a random pause. */
  #contested = false;
  readonly #conflicts = new Map<string, number>();
  readonly #reject = new Map<Work, Rejection>();
  readonly #unsettled = new Unsettled();

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

  /** When checkpoints have to follow what plain commits applied, in elapsed time. */
  get settleDueMs(): number | undefined {
    return this.#unsettled.dueMs;
  }

  get isInFlight(): boolean {
    return this.#flight !== undefined || this.#settling !== undefined;
  }

  get isEmpty(): boolean {
    return !this.isInFlight && this.#todo.length === 0;
  }

  /** Waits for the outcome of what is in flight, and draws the consequences. */
  async land(): Promise<void> {
    await this.#landSettling();
    if (!this.#flight) return;
    await this.#landed(this.#flight, await this.#flight.done);
  }

  /**
   * Goes on as far as possible without waiting for the commit in flight: decides, and sends when none is in flight.
   * Returns false when there is nothing to do before that commit has its outcome or more messages come.
   */
  async advance(): Promise<boolean> {
    if (this.#settling?.settled) await this.#landSettling();
    if (this.#flight?.settled) await this.#landed(this.#flight, await this.#flight.done);
    if (this.#deps.inDoubt()) {
      if (this.isInFlight) return false;
      this.#discard();
      await this.#deps.settleDoubts();
    }
    this.#dropLost();
    this.#settleIfDue();
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

  /** Sends the checkpoints behind earlier plain commits, when it is time for them and no batch moves them. */
  #settleIfDue(): void {
    const { dueMs } = this.#unsettled;
    if (dueMs === undefined || this.#deps.clock.elapsedMs() < dueMs) return;
    if (this.#settling || (this.#flight && !this.#flight.plan.plain)) return;
    const checkpoints = this.#unsettled.seal(this.newCommitId(), this.#deps.shards.values());
    if (checkpoints) this.#settling = this.#launch(checkpoints);
  }

  async #landSettling(): Promise<void> {
    const flight = this.#settling;
    if (!flight) return;
    const result = await flight.done;
    this.#settling = undefined;
    if (result.kind === 'committed') {
      if (result.revisions) takeOver(this.#deps, flight, result.revisions);
      else await rereadRevisions(this.#deps, flight, this.#signal);
      this.#tell(flight, []);
      return;
    }
    if (result.kind === 'fenced') for (const shard of result.shards) this.#deps.lose(shard);
    else await loseChangedShards(this.#deps, flight.plan, this.#signal);
    this.#unsettled.renew(this.#deps.clock.elapsedMs());
  }

  /** Sends the plan, if it can go as it is. */
  async #commit(): Promise<void> {
    const plan = this.#plan;
    invariant(plan, 'nothing was decided');
    if (plan.works.length === 0) {
      this.#discard();
      // Decided over the commit before: now it can be decided for itself. Else the first message has to wait.
      if (!plan.isAhead) await waitForActor(this.#deps, plan.actor, this.#signal);
      return;
    }
    await this.#deps.noGaps();
    this.#dropLost();
    if (this.#plan !== plan || this.#deps.inDoubt()) return;
    let sealed = this.#sealPlain(plan);
    if (!sealed) {
      await this.#landSettling();
      this.#dropLost();
      if (this.#plan !== plan || this.#deps.inDoubt()) return;
      sealed = this.#sealOrSplit(plan);
    }
    this.#plan = undefined;
    if (!sealed) return;
    this.#todo = this.#todo.slice(sealed.works.length);
    this.#send(sealed);
    const { residents, telemetry } = this.#deps;
    // No plan is being decided: nothing that one relies on can go.
    residents.trim();
    telemetry.residents(residents.measure());
  }

  #sealPlain(plan: Plan): SealedPlan | undefined {
    const { shards } = this.#deps;
    const isSettled = (shard: number, sequence: number) => sequence <= (shards.get(shard)?.record.seq ?? 0);
    const isProven = (shard: number, loadedAt: number) => loadedAt <= (shards.get(shard)?.provenAt ?? -1);
    try {
      return plan.sealPlain(this.newCommitId(), isSettled, isProven);
    } catch {
      // What cannot be encoded is found again, and set aside, when it is sealed as a batch.
      return undefined;
    }
  }

  /** Seals a plan; when that cannot be, narrows it down to the message at fault and sets it aside. */
  #sealOrSplit(plan: Plan): SealedPlan | undefined {
    let rejection: Rejection;
    try {
      const sealed = plan.seal(this.newCommitId(), this.#deps.shards);
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

  newCommitId(): string {
    const { workerId, random } = this.#deps;
    return `${workerId}.${randomToken(random, 12)}`;
  }

  #send(plan: SealedPlan): void {
    this.#deps.telemetry.phase('committing');
    this.#flight = this.#launch(plan);
  }

  #launch(plan: SealedPlan): Flight {
    const { clock, shards, onSettled } = this.#deps;
    const tickets = new Map([...plan.shards.keys()].map((shard) => [shard, shards.get(shard)]));
    const startMs = clock.elapsedMs();
    const settle = plan.plain ? settlePlain : settleCommit;
    const done = settle(this.#deps, plan, this.#signal);
    const { loads } = this.#deps.residents;
    const flight: Flight = { plan, startMs, loads, tickets, done, settled: false };
    const settled = () => {
      flight.settled = true;
      onSettled();
    };
    // A commit that was given up is told to whoever lands it.
    done.then(settled, settled);
    return flight;
  }

  async #landed(flight: Flight, result: CommitResult | PlainResult): Promise<void> {
    if (result.kind === 'plain') return this.#landedPlain(flight, result);
    const { plan } = flight;
    if (result.kind === 'committed') {
      if (result.revisions) takeOver(this.#deps, flight, result.revisions);
      else {
        this.#discard();
        await rereadRevisions(this.#deps, flight, this.#signal);
      }
      this.#flight = undefined;
      this.#committed(flight, plan.works);
      return;
    }
    this.#flight = undefined;
    this.#discard();
    this.#todo = [...plan.works, ...this.#todo];
    if (result.kind === 'fenced') for (const shard of result.shards) this.#deps.lose(shard);
    else await this.#afterConflict(plan, result.key === undefined ? [] : [result.key]);
    this.#dropLost();
  }

  /** What was stored is told; what was not, because its record had changed, is decided again. */
  async #landedPlain(flight: Flight, { revisions }: PlainResult): Promise<void> {
    const { plan } = flight;
    const { residents, shards, clock } = this.#deps;
    const changed: string[] = [];
    let index = 0;
    for (const [key, { state, bytes }] of plan.records) {
      const revision = revisions[index++];
      if (revision === undefined) changed.push(key);
      else residents.put(key, { state, revision, bytes });
    }
    this.#flight = undefined;
    const { done, redo, again } = splitPlain(plan, changed);
    this.#unsettled.note(done, shards, clock);
    if (redo.length === 0) {
      this.#committed(flight, done);
      return;
    }
    this.#discard();
    this.#todo = [...redo, ...this.#todo];
    this.#deps.telemetry.counted(countsOf(plan, again));
    if (done.length > 0) this.#committed(flight, done, plan.writes.length - changed.length);
    await loseFenced(this.#deps, new Set(redo.map(({ message }) => message.shard)), this.#signal);
    await this.#afterConflict(plan, changed);
    this.#dropLost();
  }

  #committed(flight: Flight, works: readonly Work[], stored?: number): void {
    const { pace } = this.#deps;
    pace.cut = Math.min(pace.max, Math.max(pace.cut, works.length * 2));
    this.#cut = pace.cut;
    this.#contested = false;
    this.#conflicts.clear();
    if (this.#reject.size > 0) for (const work of works) this.#reject.delete(work);
    this.#deps.telemetry.phase('committed');
    this.#tell(flight, works, stored);
  }

  /** `stored`: how many of the writes were, when not all. */
  #tell({ plan, startMs }: Flight, works: readonly Work[], stored = plan.writes.length): void {
    const { telemetry, clock, replies } = this.#deps;
    const { bytes, shards } = plan;
    const durationMs = clock.elapsedMs() - startMs;
    const { commitId } = plan;
    telemetry.committed({
      kind: plan.plain ? 'plain' : 'batch',
      commitId,
      messages: works.length,
      writes: stored,
      bytes,
      durationMs,
      shards: shards.size,
      applied: works.map(({ message }) => message),
      records: plan.records.keys(),
    });
    telemetry.counted(countsOf(plan, works));
    const nowMs = clock.nowMs();
    const told = works.length === plan.works.length ? undefined : new Set(works);
    for (const { reply, work } of plan.replies) {
      const isTold = told === undefined || told.has(work);
      if (isTold && nowMs - work.message.nowMs < REPLY_AGE_MAX_MS) replies.send(reply);
    }
    for (const { work, rejection } of plan.deadLetters) {
      const { shard, sequence, payload } = work.message;
      telemetry.deadLettered({ shard, sequence, payload, commitId, ...rejection });
    }
  }

  /** Reads what changed from the leader and says how much to try next. */
  async #afterConflict(plan: SealedPlan, changed: readonly string[]): Promise<void> {
    const { pace } = this.#deps;
    const [key] = changed;
    await this.#reload(key === undefined ? [...plan.records.keys()] : changed);
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
