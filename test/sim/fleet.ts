// The workers of a run: started, paused, cut off, crashed and stopped as the chaos wants it. What each tells of itself
// is checked against what the store has.
import { createWorker, type Worker } from '../../actors/runtime/worker.ts';
import type { Actor } from '../../shared/contract/actor.ts';
import { seededRandom } from '../../shared/kernel/random.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';
import { silentTelemetry, type WorkerTelemetry } from '../../shared/ports/worker-telemetry.ts';
import { type Checkers, NONE_DURABLE } from './checkers.ts';
import type { SimLog } from './log.ts';
import { type ReaderLimits, simEventLogReader } from './log-port.ts';
import { type SimMembers, simMembership } from './membership.ts';
import { SimProcess } from './process.ts';
import { watchProvenance } from './provenance.ts';
import type { SimStore } from './store.ts';
import { simRecordStore } from './store-port.ts';
import type { World } from './world.ts';

export interface FleetOptions {
  readonly shards: number;
  readonly residentBytesMax: number;
  readonly batchMessagesMax: number;
  readonly idleCheckpointMs: number;
  readonly backoffMaxMs: number;
  readonly readerLimits: ReaderLimits;
  /** Chance that a worker crashes at a step of its commit loop. */
  readonly crashAtPhase: number;
  /** Rewrites what a worker's store does: the broken variants. */
  readonly wrapStore: (store: RecordStore, server: SimStore, process: SimProcess) => RecordStore;
}

export interface Member {
  readonly process: SimProcess;
  readonly worker: Worker;
  stopping: boolean;
}

const STOP_DEADLINE_MS = 5000;

export class Fleet {
  readonly #world: World;
  readonly #store: SimStore;
  readonly #log: SimLog;
  readonly #members: SimMembers;
  readonly #checkers: Checkers;
  readonly #options: FleetOptions;
  readonly all: Member[] = [];
  /** Why shards stopped with an alarm, by shard. */
  readonly halted = new Map<number, string>();
  actor: Actor;
  crashing = true;
  #started = 0;

  constructor(
    parts: { store: SimStore; log: SimLog; members: SimMembers; checkers: Checkers; actor: Actor },
    options: FleetOptions,
  ) {
    this.#world = parts.store.world;
    this.#store = parts.store;
    this.#log = parts.log;
    this.#members = parts.members;
    this.#checkers = parts.checkers;
    this.actor = parts.actor;
    this.#options = options;
  }

  get living(): readonly Member[] {
    return this.all.filter(({ process }) => process.state !== 'crashed');
  }

  get working(): readonly Member[] {
    return this.living.filter(({ process, stopping }) => process.state === 'running' && !stopping);
  }

  start(): Member {
    const workerId = `w${++this.#started}`;
    const process = new SimProcess(this.#store.server, workerId);
    const { wrapStore, readerLimits, crashAtPhase: _, ...timings } = this.#options;
    const worker = createWorker(
      {
        store: wrapStore(this.#port(process), this.#store, process),
        log: simEventLogReader(this.#log, process, readerLimits),
        membership: simMembership(this.#members, process),
        clock: process.clock,
        random: seededRandom(this.#world.between(0, 2 ** 31)),
        telemetry: this.#telemetry(process),
        replies: { send: () => {} },
        actor: this.actor,
      },
      {
        ...timings,
        segment: 'sim',
        workerId,
        membersIntervalMs: 300,
        probeTimeoutMs: 300,
        haltedRetryMs: 2000,
        stopDeadlineMs: STOP_DEADLINE_MS,
      },
    );
    const member = { process, worker, stopping: false };
    this.all.push(member);
    this.#world.trace(`${workerId} starts`);
    void worker.start();
    void worker.failed.then((error) => {
      const text = error instanceof Error ? error.stack : String(error);
      this.#world.violate(`${workerId} broke: ${text}`);
    });
    return member;
  }

  #port(process: SimProcess): RecordStore {
    const port = simRecordStore(this.#store, process);
    return this.#checkers.depth === 'outcome' ? port : watchProvenance(port, this.#store, process);
  }

  /** Drains a worker; it must be done soon after its deadline. */
  stop(member: Member, done: () => void): void {
    const { process, worker } = member;
    member.stopping = true;
    this.#world.trace(`${process.name} stops`);
    void worker.stop().then(() => {
      if (process.state === 'crashed') return;
      this.#world.mark('worker.stopped');
      this.#world.trace(`${process.name} stopped`);
      process.state = 'crashed';
      done();
    });
  }

  setActor(actor: Actor): void {
    this.actor = actor;
    for (const { worker } of this.living) worker.setActor(actor);
  }

  #telemetry(process: SimProcess): WorkerTelemetry {
    const world = this.#world;
    const told = { commits: 0, messages: 0, plain: 0 };
    const dead = () => process.state === 'crashed';
    return {
      ...silentTelemetry,
      committed: (batch) => {
        if (dead()) return;
        if (batch.kind === 'plain') {
          world.mark('worker.plain commit');
          told.plain += batch.writes;
        } else {
          told.commits++;
          told.messages += batch.messages;
        }
        const durable = this.#checkers.durable.get(process.name) ?? NONE_DURABLE;
        if (
          told.commits > durable.commits ||
          told.messages > durable.messages ||
          told.plain > durable.plain
        ) {
          world.violate(
            `${process.name} told of ${JSON.stringify(told)}, the store has ${JSON.stringify(durable)}`,
          );
        }
      },
      conflict: ({ kind }) => world.mark(`worker.conflict ${kind}`),
      fenced: (shard) => {
        world.mark('worker.fenced');
        world.trace(`${process.name} lost shard ${shard}`);
      },
      unknownOutcome: () => world.mark('worker.unknown'),
      resolved: (outcome) => world.mark(`worker.unknown -> ${outcome}`),
      busy: () => world.mark('worker.busy'),
      refused: () => world.mark('worker.refused'),
      deadLettered: ({ code }) => world.mark(`worker.dead letter ${code}`),
      claimed: (shard, epoch) => world.trace(`${process.name} claimed ${shard} in epoch ${epoch}`),
      released: () => world.mark('worker.released'),
      halted: (shard, code) => {
        world.mark(`worker.halted ${code}`);
        world.trace(`${process.name} halted ${shard}: ${code}`);
        this.halted.set(shard, code);
      },
      residents: ({ bytes, evicted }) => {
        if (evicted > 0) world.mark('worker.evicted');
        if (bytes > this.#options.residentBytesMax)
          world.violate(`${process.name} holds ${bytes} bytes of residents`);
      },
      phase: (name) => {
        if (!this.crashing || dead() || !world.chance(this.#options.crashAtPhase)) return;
        world.mark(`worker.crash while ${name}`);
        process.crash();
      },
    };
  }
}
