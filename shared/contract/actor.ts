// What the worker runtime and an actor library promise each other. The runtime knows records, revisions and batches;
// the library knows what they mean. The library is pure: same message, same view, same decision, for ever.
import type { EventSource } from './names.ts';

/** A message of the event log as the actor sees it. */
export interface ActorMessage {
  readonly shard: number;
  readonly source: EventSource;
  /** Position in the event log; unique within one log. */
  readonly sequence: number;
  /** Log time in ms: the `now` of every decision about this message. */
  readonly nowMs: number;
  readonly payload: Uint8Array;
  /** Identity of the log (its creation time): with `sequence` it is the only source of "random" ids. */
  readonly logId: string;
}

/** Committed records plus what earlier messages of the same micro-batch decided. */
export interface RecordView {
  /** The state, null when there is no such record, undefined when it has not been loaded (ask by `need`). */
  get(key: string): unknown;
}

export interface OutboxEntry {
  /** Record key `o.…`; its last token is unique for ever. */
  readonly key: string;
  readonly value: Uint8Array;
}

export type AlarmChange =
  | {
      readonly kind: 'arm';
      readonly key: string;
      readonly target: string;
      readonly atMs: number;
      readonly value: Uint8Array;
    }
  | { readonly kind: 'cancel'; readonly key: string };

/** An answer to whoever waits for a message to be applied: sent after the commit, at most once, and kept nowhere. */
export interface Reply {
  readonly to: string;
  readonly body: Uint8Array;
}

/** One thing that a decision did, to be counted. Few values each: they become labels of metrics. */
export interface Counted {
  readonly kind: string;
  readonly reason: string;
}

export interface Apply {
  readonly kind: 'apply';
  /** New states by record key; null removes the record. A state equal (===) to the one read is not written. */
  readonly writes: ReadonlyMap<string, unknown>;
  /** Records that the decision relied on without writing them: the commit fails if one has changed. */
  readonly guards: readonly string[];
  readonly outbox: readonly OutboxEntry[];
  readonly alarms: readonly AlarmChange[];
  readonly reply?: Reply;
  /** The one record that it writes existed before, and can carry a stamp of the message (`Actor.stamp`). */
  readonly stampable?: true;
  /** Handed on when it is committed, and only then. */
  readonly counts?: readonly Counted[];
}

export type Decision =
  | {
      readonly kind: 'need';
      readonly keys: readonly string[];
      /**
       * The records read so far contradict one another (a link to a profile that does not list the key, a link to no
       * profile): some are stale. They are read again from the leader, and the decision is asked for again.
       */
      readonly fresh?: boolean;
    }
  /** The message cannot be decided yet (a record was written under a newer config than this actor's): ask again later. */
  | { readonly kind: 'wait'; readonly reason: string }
  | Apply;

export interface Actor<Parsed = unknown> {
  readonly configVersion: number;
  /** Reads a message; throws when it cannot be one (it becomes a dead letter). Called once per message. */
  parse(message: ActorMessage): Parsed;
  /**
   * Asks for records with `need` until it can decide. A throw makes the message a dead letter. When it writes no record,
   * the runtime guards every record that it looked at; otherwise it guards those that the decision names.
   */
  decide(message: ActorMessage, parsed: Parsed, view: RecordView): Decision;
  /** A cheap guess at the records that `decide` will ask for next, so that many messages load in one request. */
  foresee?(parsed: Parsed, view: RecordView): readonly string[];
  /**
   * The state with stamps of these messages, which made it. Deciding one of them again, over this state or over whatever
   * becomes of it, writes nothing. Stamps that `isSettled` are dropped; undefined when there is no room for more.
   */
  stamp?(
    state: unknown,
    messages: readonly ActorMessage[],
    isSettled: (shard: number, sequence: number) => boolean,
  ): unknown;
  /** How long a record is kept when it is not written again, in ms; undefined: for ever. */
  lifetimeMs?(key: string, state: unknown): number | undefined;
  /** The stored form, versioned. */
  encode(key: string, state: unknown): Uint8Array;
  /** Reads any version ever stored. Throws when the bytes are damaged. */
  decode(key: string, bytes: Uint8Array): unknown;
  /** What is kept of a message that cannot be applied. */
  deadLetter(message: ActorMessage, reason: { code: string; message: string }): OutboxEntry;
  /** What whoever waits for such a message is told. */
  refusal?(message: ActorMessage, reason: { code: string; message: string }): Reply | undefined;
}

/** Nothing to do: the message is consumed and changes no record. */
export const NOTHING: Apply = { kind: 'apply', writes: new Map(), guards: [], outbox: [], alarms: [] };
