// A worker: owns shards, feeds their messages through the commit pipeline, gives shards up and takes them over. Generic:
// it knows records, revisions and batches, and nothing of what they mean.
import { setMaxListeners } from 'node:events';
import type { Actor } from '../../shared/contract/actor.ts';
import { invariant } from '../../shared/kernel/assert.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import type { Random } from '../../shared/kernel/random.ts';
import type { EventLogReader } from '../../shared/ports/event-log.ts';
import type { MemberReport, Membership } from '../../shared/ports/membership.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';
import type { Replies } from '../../shared/ports/replies.ts';
import type { WorkerTelemetry } from '../../shared/ports/worker-telemetry.ts';
import { advanceIdle, LogEnd } from './checkpoint.ts';
import { Doubts } from './doubts.ts';
import { Gaps } from './gaps.ts';
import { Members } from './members.ts';
import { type WorkerOptions, workerOptions } from './options.ts';
import { type ClaimDeps, ClaimRound, claimShard, writeShardRecord } from './ownership.ts';
import { OwnershipTable } from './ownership-table.ts';
import { Pipeline, type PipelineDeps } from './pipeline.ts';
import { decodeOrMark, Residents } from './residents.ts';
import { gather, type HaltedShard, type OwnedShard } from './shard.ts';
import { isUnavailable } from './unavailable.ts';
import { recordOf } from './unsettled.ts';
import { Wakeup } from './wakeup.ts';

export interface WorkerDeps {
  readonly store: RecordStore;
  readonly log: EventLogReader;
  readonly membership: Membership;
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: WorkerTelemetry;
  readonly replies: Replies;
  readonly actor: Actor;
  /** Asks for the newest actor, and has given it by `setActor` when it resolves. Never rejects. */
  readonly refreshActor?: () => Promise<void>;
}

export interface Worker {
  /** Joins, and begins to claim and work. */
  start(): Promise<void>;
  /** Finishes the commit in flight, releases every shard, leaves. Resolves within the stop deadline. */
  stop(): Promise<void>;
  /** From the next micro-batch on decisions are made by this actor. */
  setActor(actor: Actor): void;
  report(): MemberReport;
  /** Resolves with the error when the worker broke and stopped working: the process should end. */
  readonly failed: Promise<unknown>;
}

export function createWorker(
  deps: WorkerDeps,
  given: Pick<WorkerOptions, 'segment' | 'workerId'> & Partial<WorkerOptions>,
): Worker {
  return new ShardWorker(deps, workerOptions(given));
}

class ShardWorker implements Worker {
  readonly failed: Promise<unknown>;
  readonly #deps: WorkerDeps;
  readonly #options: WorkerOptions;
  readonly #owned = new Map<number, OwnedShard>();
  readonly #halted = new Map<number, HaltedShard>();
  readonly #claiming = new Set<number>();
  readonly #members: Members;
  readonly #table: OwnershipTable;
  readonly #residents: Residents;
  readonly #doubts: Doubts;
  readonly #logEnd: LogEnd;
  readonly #work = new Wakeup();
  readonly #attention = new Wakeup();
  /** Aborts everything that still waits when the stop deadline has passed. */
  readonly #hardStop = new AbortController();
  readonly #gaps: Gaps;
  readonly #pipelineDeps: PipelineDeps;
  readonly #pipeline: Pipeline;
  readonly #startedAtMs: number;
  #actor: Actor;
  #actorSinceMs: number;
  #stopping = false;
  #turn = 0;
  #fail: (error: unknown) => void = () => {};
  #loops: readonly Promise<void>[] = [];
  #forgetReconnects = () => {};

  constructor(deps: WorkerDeps, options: WorkerOptions) {
    this.#deps = deps;
    this.#options = options;
    this.#actor = deps.actor;
    // Every shard's waits hang on it.
    setMaxListeners(0, this.#hardStop.signal);
    this.#startedAtMs = deps.clock.nowMs();
    this.#actorSinceMs = this.#startedAtMs;
    this.#members = new Members(deps.membership, deps.clock, options);
    this.#table = new OwnershipTable(this.#members, deps.clock, options);
    this.#logEnd = new LogEnd(deps.log, options.idleCheckpointMs);
    this.#residents = new Residents(options.residentBytesMax, (key, bytes) =>
      decodeOrMark(this.#actor, key, bytes),
    );
    const lose = (shard: number) => this.#lose(shard);
    const halt = (shard: number, code: string, reason: string) => this.#halt(shard, code, reason);
    const doubtsDeps = { ...this.#claimDeps(), shards: this.#owned, lose, halt };
    this.#doubts = new Doubts(doubtsDeps, this.#hardStop.signal);
    this.#gaps = new Gaps((shards) => this.#doubts.findGaps(shards));
    this.#pipelineDeps = this.#makePipelineDeps();
    this.#pipeline = new Pipeline(this.#pipelineDeps, this.#hardStop.signal);
    this.failed = new Promise((resolve) => {
      this.#fail = resolve;
    });
  }

  async start(): Promise<void> {
    await this.#deps.membership.join(this.#options.workerId, () => this.report());
    this.#forgetReconnects = this.#deps.membership.onReconnect(() => {
      this.#table.reconnected();
      this.#doubtOwnership();
      this.#attention.wake();
    });
    this.#loops = [this.#guarded(() => this.#ownershipLoop()), this.#guarded(() => this.#pipelineLoop())];
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    this.#forgetReconnects();
    this.#work.wake();
    this.#attention.wake();
    const deadline = new AbortController();
    const timeUp = this.#deps.clock.sleep(this.#options.stopDeadlineMs, deadline.signal).then(
      () => this.#hardStop.abort(new Error('stop deadline')),
      () => {},
    );
    await Promise.all(this.#loops);
    await this.#guarded(() => this.#releaseAll());
    deadline.abort(new Error('stopped in time'));
    await timeUp;
    this.#work.close();
    this.#attention.close();
    for (const { reader } of this.#owned.values()) reader.close();
    this.#owned.clear();
    await this.#deps.membership.leave();
  }

  setActor(actor: Actor): void {
    this.#actor = actor;
    this.#actorSinceMs = this.#deps.clock.nowMs();
    this.#work.wake();
  }

  report(): MemberReport {
    const lag: Record<number, number> = {};
    const lastCommitAtMs: Record<number, number> = {};
    const uncommitted = this.#pipeline.countByShard();
    for (const [shard, owned] of this.#owned) {
      lag[shard] = owned.reader.buffered + owned.reader.pending + (uncommitted.get(shard) ?? 0);
      if (owned.lastCommitAtMs > 0) lastCommitAtMs[shard] = owned.lastCommitAtMs;
    }
    return {
      id: this.#options.workerId,
      startedAtMs: this.#startedAtMs,
      shards: [...this.#owned.keys(), ...this.#claiming],
      halted: [...this.#halted.values()].map(({ shard, code, reason }) => ({ shard, code, reason })),
      lag,
      lastCommitAtMs,
      configVersion: this.#actor.configVersion,
      configSinceMs: this.#actorSinceMs,
    };
  }

  /** Runs a loop; what breaks it, other than the hard stop, is told by `failed`. */
  async #guarded(run: () => Promise<void>): Promise<void> {
    try {
      await run();
    } catch (error) {
      if (this.#hardStop.signal.aborted) return;
      this.#stopping = true;
      this.#work.wake();
      this.#attention.wake();
      this.#fail(error);
    }
  }

  async #ownershipLoop(): Promise<void> {
    const { clock } = this.#deps;
    let lookedAtMs = clock.elapsedMs();
    while (!this.#stopping) {
      await this.#members.refresh(() => this.#attention.wake());
      const awayMs = clock.elapsedMs() - lookedAtMs;
      lookedAtMs = clock.elapsedMs();
      // Others may have taken over what this process did not look after, for example while it was stopped.
      if (awayMs > this.#options.probeTimeoutMs || this.#members.contested(this.#owned.keys()).length > 0)
        this.#doubtOwnership();
      const { claim, release } = this.#table.decide(this.#owned, this.#halted);
      const round = new ClaimRound(this.#claimDeps());
      await Promise.all(claim.map((shard) => this.#claim(shard, round)));
      for (const shard of release) {
        this.#halted.delete(shard);
        const owned = this.#owned.get(shard);
        if (owned) owned.releasing = true;
      }
      if (release.length > 0) this.#work.wake();
      await this.#attention.wait(clock, this.#options.ownershipIntervalMs);
    }
  }

  async #claim(shard: number, round: ClaimRound): Promise<void> {
    this.#claiming.add(shard);
    try {
      const provenAt = this.#residents.loads;
      const result = await claimShard(this.#claimDeps(), shard, this.#hardStop.signal, round);
      if (result.kind === 'unsound') this.#halt(shard, result.code, result.reason);
      if (result.kind !== 'claimed') return;
      this.#halted.delete(shard);
      const { record, revision } = result;
      const reader = this.#deps.log.open(shard, record.seq, () => this.#work.wake());
      const checkedAtMs = this.#deps.clock.elapsedMs();
      // The claim has just recognised the log: the reader's first session needs no second look.
      this.#owned.set(shard, {
        shard,
        record,
        revision,
        applied: undefined,
        provenAt,
        reader,
        releasing: false,
        lastCommitAtMs: 0,
        checkedAtMs,
        recognised: 1,
      });
      this.#deps.telemetry.claimed(shard, record.epoch);
      this.#work.wake();
    } catch (error) {
      // The server cannot be reached: the next look at the owner table tries again.
      if (!isUnavailable(error) && !this.#hardStop.signal.aborted) throw error;
    } finally {
      this.#claiming.delete(shard);
    }
  }

  async #pipelineLoop(): Promise<void> {
    const { clock, telemetry } = this.#deps;
    while (!this.#stopping) {
      await this.#releaseAsked();
      this.#gather();
      if (await this.#pipeline.advance()) continue;
      if (this.#pipeline.isEmpty) {
        await this.#checkpointIdle();
        telemetry.phase('idle');
      }
      if (!this.#readable()) await this.#work.wait(clock, this.#untilCheckpointMs());
    }
    await this.#pipeline.land();
  }

  /** Takes from the readers what the pipeline has room for. */
  #gather(): void {
    const works = gather([...this.#owned.values()], this.#room, this.#turn++);
    if (works.length === 0) return;
    this.#pipeline.add(works);
    const shards = new Set(works.map(({ message }) => message.shard));
    this.#gaps.taken([...shards].filter((shard) => this.#owned.get(shard)?.reader.mayHaveGaps));
  }

  get #room(): number {
    return this.#options.batchMessagesMax - this.#pipeline.waiting;
  }

  #readable(): boolean {
    if (this.#stopping || (this.#doubts.any && !this.#pipeline.isInFlight)) return true;
    const hasRoom = this.#room > 0;
    for (const { releasing, reader } of this.#owned.values())
      if (releasing || (hasRoom && reader.buffered > 0)) return true;
    return false;
  }

  async #checkpointIdle(): Promise<void> {
    const nowMs = this.#deps.clock.elapsedMs();
    const { idleCheckpointMs } = this.#options;
    const due = [...this.#owned.values()].filter((owned) => nowMs - owned.checkedAtMs >= idleCheckpointMs);
    if (due.length === 0) return;
    for (const owned of due) owned.checkedAtMs = nowMs;
    await this.#doubts.findGaps(due.map(({ shard }) => shard));
    try {
      const seen = await this.#logEnd.look(nowMs);
      if (seen)
        await advanceIdle({ ...this.#pipelineDeps, log: this.#deps.log }, due, seen, this.#hardStop.signal);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
    }
  }

  #untilCheckpointMs(): number {
    const nowMs = this.#deps.clock.elapsedMs();
    const { idleCheckpointMs } = this.#options;
    let wait = Math.min(idleCheckpointMs, (this.#pipeline.settleDueMs ?? Number.POSITIVE_INFINITY) - nowMs);
    for (const { checkedAtMs } of this.#owned.values())
      wait = Math.min(wait, checkedAtMs + idleCheckpointMs - nowMs);
    return Math.max(1, wait);
  }

  async #releaseAsked(): Promise<void> {
    const isAsked = (owned: OwnedShard) => owned.releasing;
    if (![...this.#owned.values()].some(isAsked)) return;
    await this.#pipeline.land();
    const asked = [...this.#owned.values()].filter(isAsked);
    await Promise.all(asked.map((owned) => this.#release(owned)));
  }

  async #releaseAll(): Promise<void> {
    await Promise.all([...this.#owned.values()].map((owned) => this.#release(owned)));
  }

  async #release(owned: OwnedShard): Promise<void> {
    const record = { ...recordOf(owned, this.#pipeline.newCommitId()), owner: null };
    await writeShardRecord(this.#claimDeps(), owned.shard, record, owned.revision, this.#hardStop.signal);
    // A look at the log may have halted it meanwhile.
    if (this.#owned.get(owned.shard) !== owned) return;
    this.#forget(owned.shard);
    this.#deps.telemetry.released(owned.shard);
  }

  #doubtOwnership(): void {
    this.#doubts.raiseOwnership();
    this.#work.wake();
  }

  /** Gives a shard up, if it is owned, and keeps it standing still with an alarm. */
  #halt(shard: number, code: string, reason: string): void {
    if (this.#owned.has(shard)) this.#forget(shard);
    const known = this.#halted.get(shard);
    this.#halted.set(shard, { shard, code, reason, atMs: this.#deps.clock.elapsedMs() });
    if (known?.code !== code) this.#deps.telemetry.halted(shard, code, reason);
  }

  #lose(shard: number): void {
    if (!this.#owned.has(shard)) return;
    this.#forget(shard);
    this.#deps.telemetry.fenced(shard);
    this.#attention.wake();
  }

  #forget(shard: number): void {
    const owned = this.#owned.get(shard);
    invariant(owned, `shard ${shard} is not owned`);
    owned.reader.close();
    this.#owned.delete(shard);
  }

  #claimDeps(): ClaimDeps {
    const { store, clock, random, telemetry, log } = this.#deps;
    const { workerId, backoffMaxMs } = this.#options;
    return { store, clock, random, telemetry, log, members: this.#members, workerId, backoffMaxMs };
  }

  #makePipelineDeps(): PipelineDeps {
    const { store, clock, random, telemetry, replies, refreshActor = async () => {} } = this.#deps;
    const { workerId, backoffMaxMs, batchMessagesMax } = this.#options;
    return {
      store,
      clock,
      random,
      telemetry,
      replies,
      workerId,
      backoffMaxMs,
      residents: this.#residents,
      shards: this.#owned,
      actor: () => this.#actor,
      refreshActor,
      lose: (shard) => this.#lose(shard),
      inDoubt: () => this.#doubts.any,
      settleDoubts: () => this.#doubts.settle(),
      noGaps: () => this.#gaps.none(),
      onSettled: () => this.#work.wake(),
      pace: { cut: batchMessagesMax, max: batchMessagesMax },
    };
  }
}
