// Drives an actor over records in memory: every message is decided with nothing loaded but what it asked for, and what it
// writes goes through its stored form. Records a decision relied on are checked to be named; outbox ids to be new.
import type { Actor, ActorMessage, AlarmChange, Apply, RecordView } from '../../shared/contract/actor.ts';
import type { CustomerEvent, LogEnvelope } from '../../shared/contract/event.ts';
import type { EventSource } from '../../shared/contract/names.ts';
import { errorText } from '../../shared/kernel/errors.ts';

export interface FoldOptions {
  /** States are stored as the actor encodes them and read back (default); else as they are. */
  readonly throughCodec?: boolean;
  readonly logId?: string;
  /** A message that cannot be decided throws (default), or is kept in `deadLetters`. */
  readonly onPoison?: 'throw' | 'keep';
}

export interface SendOptions {
  readonly nowMs: number;
  readonly shard?: number;
  readonly source?: EventSource;
}

export type Sent =
  | {
      readonly kind: 'applied';
      readonly apply: Apply;
      /** Loads that the message asked for before it could be decided. */
      readonly rounds: number;
      /** Every record that was looked at. */
      readonly read: ReadonlySet<string>;
    }
  | { readonly kind: 'waiting'; readonly reason: string }
  | { readonly kind: 'dead'; readonly reason: string };

type Alarm = Extract<AlarmChange, { kind: 'arm' }>;

const ROUNDS_MAX = 24;
/** Asking for fresh records gives the same ones here: a second time means that they contradict one another for good. */
const FRESH_ROUNDS_MAX = 1;

export class Fold {
  /** States by record key; a removed record is absent. */
  readonly records = new Map<string, unknown>();
  readonly outbox: { readonly key: string; readonly body: unknown }[] = [];
  readonly alarms = new Map<string, Alarm>();
  readonly deadLetters: unknown[] = [];
  actor: Actor;
  readonly #options: Required<FoldOptions>;
  readonly #outboxKeys = new Set<string>();
  readonly #targets = new Set<string>();
  #sequence = 0;

  constructor(actor: Actor, options: FoldOptions = {}) {
    this.actor = actor;
    this.#options = { throughCodec: true, logId: 'log-1', onPoison: 'throw', ...options };
  }

  /** Appends an event to the log and applies it. */
  event(event: CustomerEvent, options: SendOptions): Sent {
    return this.envelope({ v: 1, type: 'event', event }, options);
  }

  envelope(envelope: LogEnvelope, options: SendOptions): Sent {
    return this.payload(Buffer.from(JSON.stringify(envelope)), options);
  }

  payload(payload: Uint8Array, { nowMs, shard = 0, source = 'ingest' }: SendOptions): Sent {
    this.#sequence += 1;
    const { logId } = this.#options;
    return this.#apply({ shard, source, sequence: this.#sequence, nowMs, payload, logId });
  }

  /** Rings every alarm that is due, earliest first, and applies what comes of it; returns how many rang. */
  ringUntil(nowMs: number): number {
    for (let rung = 0; ; rung++) {
      const due = [...this.alarms.values()].filter(({ atMs }) => atMs <= nowMs);
      const [next] = due.sort((a, b) => a.atMs - b.atMs || (a.key < b.key ? -1 : 1));
      if (!next) return rung;
      this.ring(next.key, Math.max(next.atMs, 0));
    }
  }

  /** Rings one alarm clock. */
  ring(alarmKey: string, nowMs: number): Sent {
    const alarm = this.alarms.get(alarmKey);
    if (!alarm) throw new Error(`no alarm is armed under ${alarmKey}`);
    this.alarms.delete(alarmKey);
    return this.payload(alarm.value, { nowMs, source: 'timer' });
  }

  /** Applies a message of a log that the caller keeps. */
  apply(message: ActorMessage): Sent {
    return this.#apply(message);
  }

  bodies(prefix: string): readonly unknown[] {
    return this.outbox.filter(({ key }) => key.startsWith(prefix)).map(({ body }) => body);
  }

  #apply(message: ActorMessage): Sent {
    try {
      return this.#decide(message);
    } catch (error) {
      if (this.#options.onPoison === 'throw') throw error;
      const letter = this.actor.deadLetter(message, { code: 'POISON_MESSAGE', message: errorText(error) });
      this.deadLetters.push(JSON.parse(Buffer.from(letter.value).toString('utf8')));
      return { kind: 'dead', reason: errorText(error) };
    }
  }

  #decide(message: ActorMessage): Sent {
    const { actor, records } = this;
    const parsed = actor.parse(message);
    const loaded = new Set<string>();
    let read = new Set<string>();
    const view: RecordView = {
      get: (key) => {
        read.add(key);
        return loaded.has(key) ? (records.get(key) ?? null) : undefined;
      },
    };
    let fresh = 0;
    for (let rounds = 0; rounds < ROUNDS_MAX; rounds++) {
      read = new Set();
      const decision = actor.decide(message, parsed, view);
      if (decision.kind === 'wait') return { kind: 'waiting', reason: decision.reason };
      if (decision.kind === 'apply') {
        this.#commit(decision, read);
        return { kind: 'applied', apply: decision, rounds, read };
      }
      if (decision.fresh && ++fresh > FRESH_ROUNDS_MAX) {
        throw new Error(`records contradict one another: ${decision.keys.join(', ')}`);
      }
      if (!decision.fresh && decision.keys.every((key) => loaded.has(key))) {
        throw new Error(`asks again for what it has: ${decision.keys.join(', ')}`);
      }
      for (const key of decision.keys) loaded.add(key);
    }
    throw new Error('never has enough records');
  }

  #commit(apply: Apply, read: ReadonlySet<string>): void {
    for (const key of apply.writes.keys()) {
      if (!read.has(key) && this.records.has(key)) throw new Error(`writes ${key} without having read it`);
    }
    for (const key of apply.guards)
      if (!read.has(key)) throw new Error(`guards ${key}, which it has not read`);
    for (const [key, state] of apply.writes) {
      if (state === null) this.records.delete(key);
      else this.records.set(key, this.#stored(key, state));
    }
    for (const { key, value } of apply.outbox) {
      if (this.#outboxKeys.has(key)) throw new Error(`the outbox key ${key} is used twice`);
      this.#outboxKeys.add(key);
      this.outbox.push({ key, body: JSON.parse(Buffer.from(value).toString('utf8')) });
    }
    for (const alarm of apply.alarms) this.#change(alarm);
  }

  #stored(key: string, state: unknown): unknown {
    return this.#options.throughCodec ? this.actor.decode(key, this.actor.encode(key, state)) : state;
  }

  #change(alarm: AlarmChange): void {
    if (alarm.kind === 'cancel') {
      this.alarms.delete(alarm.key);
      return;
    }
    if (this.#targets.has(alarm.target)) throw new Error(`the alarm target ${alarm.target} is used twice`);
    this.#targets.add(alarm.target);
    this.alarms.set(alarm.key, alarm);
  }
}
