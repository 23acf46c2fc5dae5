// What events would do to identities: the profile actor over records in memory, with every decision and its reasons told.
// Writes nothing outside; the same events over the same records give the same answer. Alarm clocks do not ring here.
import type { Actor, Apply } from '../../shared/contract/actor.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { CommitReply, CustomerEvent, LogEnvelope } from '../../shared/contract/event.ts';
import type { AuditEntry, AuditFact } from '../../shared/contract/outbox.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { createProfileActor } from './actor.ts';
import { keyLists, type Profile } from './profile.ts';
import type { RecordState } from './record-codec.ts';

export interface SimulatedEvent {
  readonly index: number;
  readonly messageId: string;
  readonly name: string;
  readonly keys: Readonly<Record<string, string>>;
  /** The profile that it belongs to; null when its keys identify nobody. */
  readonly profileId: string | null;
  /** Everything that happened to identities, with reasons, in the order of the decision. */
  readonly facts: readonly AuditFact[];
}

export interface SimulatedProfile {
  readonly id: string;
  readonly keys: Readonly<Record<string, readonly string[]>>;
  readonly mergedFrom: readonly string[];
}

/** What a link would do. */
export interface TriedLink {
  /** Everything that would happen to identities. */
  readonly facts: readonly AuditFact[];
  /** Makes it happen; else it has not. */
  accept(): void;
}

/** Reads what is stored, null for what is not; `fresh`: what was read before did not fit together. */
export type LoadRecords = (
  keys: readonly string[],
  fresh: boolean,
) => Promise<ReadonlyMap<string, RecordState | null>>;

/** Events of one simulation, at most: all records stay in memory. */
export const SIMULATION_EVENTS_MAX = 100_000;
const SHARDS = 64;
const LOG_ID = 'simulation';
/** Never sent to: it only makes the actor say whose event it was. */
const REPLY_TO = '_INBOX.simulation';
const LOADS_MAX = 50;

export class IdentitySimulation {
  readonly #actor: Actor;
  readonly #load: LoadRecords;
  /** Null: there is no such record. */
  readonly #records = new Map<string, unknown>();
  /** Records that were decided here, and are not to be read again. */
  readonly #decided = new Set<string>();
  #sequence = 0;
  #nowMs: number;

  /** `startMs`: the time of events that say none. `load`: what is stored already, null for what is not. */
  constructor(config: SegmentConfig, startMs: number, load: LoadRecords = async () => new Map()) {
    this.#actor = createProfileActor(config, { shards: SHARDS, configVersion: Number.MAX_SAFE_INTEGER });
    this.#nowMs = startMs;
    this.#load = load;
  }

  /**
   * Applies one event after those before it: at the log time when one is given, else at its own time if it says one.
   * Throws when there are too many.
   */
  async apply(event: CustomerEvent, logTimeMs?: number): Promise<SimulatedEvent> {
    this.#count();
    this.#nowMs = Math.max(this.#nowMs, logTimeMs ?? event.timestampMs ?? this.#nowMs);
    const envelope: LogEnvelope = { v: 1, type: 'event', event, replyTo: REPLY_TO };
    const decision = await this.#decide(Buffer.from(JSON.stringify(envelope)), 'ingest');
    this.#keep(decision);
    const reply = JSON.parse(Buffer.from(decision.reply!.body).toString()) as CommitReply;
    const { messageId, name, keys } = event;
    return {
      index: this.#sequence - 1,
      messageId,
      name,
      keys,
      profileId: reply.profileId,
      facts: factsOf(decision),
    };
  }

  /** What a link would do after everything before it, at the simulation's time. Throws when there are too many. */
  async tryLink(link: Extract<LogEnvelope, { type: 'link' }>): Promise<TriedLink> {
    this.#count();
    const decision = await this.#decide(Buffer.from(JSON.stringify(link)), 'batch');
    return { facts: factsOf(decision), accept: () => this.#keep(decision) };
  }

  /** Records as they are stored, known beforehand: what is known already stays as it is. */
  know(records: ReadonlyMap<string, RecordState | null>): void {
    for (const [key, state] of records) if (!this.#records.has(key)) this.#records.set(key, state);
  }

  /** The live profiles as they are now, oldest first. */
  profiles(): readonly SimulatedProfile[] {
    const live = [...this.#records.values()].filter(
      (state): state is Profile => (state as RecordState | null)?.kind === 'profile',
    );
    live.sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1));
    return live.map((profile) => {
      return { id: profile.id, keys: keyLists(profile), mergedFrom: profile.mergedFrom };
    });
  }

  #count(): void {
    if (this.#sequence >= SIMULATION_EVENTS_MAX)
      throw new StitchworkError('BAD_REQUEST', `a simulation takes ${SIMULATION_EVENTS_MAX} events`);
    this.#sequence += 1;
  }

  #keep({ writes }: Apply): void {
    for (const [key, state] of writes) {
      this.#records.set(key, state);
      this.#decided.add(key);
    }
  }

  async #decide(payload: Uint8Array, source: 'ingest' | 'batch'): Promise<Apply> {
    const message = {
      shard: 0,
      source,
      sequence: this.#sequence,
      nowMs: this.#nowMs,
      payload,
      logId: LOG_ID,
    } as const;
    const view = { get: (key: string) => this.#records.get(key) };
    const parsed = this.#actor.parse(message);
    for (let round = 0; round < LOADS_MAX; round++) {
      const decision = this.#actor.decide(message, parsed, view);
      if (decision.kind === 'apply') return decision;
      if (decision.kind === 'wait') break;
      const stored = decision.keys.filter((key) => !this.#decided.has(key));
      // Nothing that could be read again: what was decided here does not fit together.
      if (stored.length === 0) break;
      const found = await this.#load(stored, decision.fresh === true);
      for (const key of stored) this.#records.set(key, found.get(key) ?? null);
    }
    throw new StitchworkError('POISON_MESSAGE', `event ${this.#sequence} cannot be decided`);
  }
}

function factsOf({ outbox }: Apply): readonly AuditFact[] {
  return outbox
    .filter(({ key }) => key.startsWith('o.audit.'))
    .flatMap(({ value }) => (JSON.parse(Buffer.from(value).toString()) as AuditEntry).facts);
}
