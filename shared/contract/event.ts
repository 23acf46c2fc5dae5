// A customer event: an immutable fact received from outside, as it stands in the event log.
import type { IdentityCommand } from './command.ts';

export const EVENT_LIMITS = {
  eventsPerRequest: 500,
  eventBytes: 1_048_576,
  requestBytes: 5_242_880,
  /** Of a stitching key's value, as sent and as normalized, in UTF-16 units. */
  keyValueChars: 1024,
} as const;

export interface CustomerEvent {
  readonly messageId: string;
  readonly name: string;
  /** Stitching keys as sent (not normalized), one value a name. */
  readonly keys: Readonly<Record<string, string>>;
  readonly properties: Readonly<Record<string, unknown>>;
  /** When it happened by the sender's clock, ms; the log's time when the sender gave none. Not yet clamped. */
  readonly timestampMs: number | undefined;
  readonly table: string | undefined;
}

/** What a gateway that waits for an event is told once the event is committed. */
export interface CommitReply {
  readonly messageId: string;
  /** The profile that the event belongs to; null when its keys identify nobody. */
  readonly profileId: string | null;
  /** Why the event could not be applied: it is a dead letter. */
  readonly code?: string;
  /** Of an event that asks a service: the profile with the event in it, as it is stored (base64), unless it is large. */
  readonly record?: string;
}

export interface ShadowMark {
  readonly nowMs: number;
  /** Position in what is replayed: a sequence of the log, or a row of the file. */
  readonly position: number;
}

/** A stitching key, as sent. */
export interface LinkedKey {
  readonly name: string;
  readonly value: string;
}

/** Keys of one link, at most. */
export const LINK_KEYS_MAX = 32;

/** What stands in EVENTS_<seg>: JSON, so that anything that speaks NATS can read the log. */
export type LogEnvelope =
  | {
      readonly v: 1;
      readonly type: 'event';
      readonly event: CustomerEvent;
      /**
       * `<segment>@<version>` of the config by which it was accepted: no worker that knows only an older one decides it,
       * since that one may not know its keys.
       */
      readonly config?: string | undefined;
      /** Subject of a gateway that waits for the commit. Worth nothing once it does not wait any more. */
      readonly replyTo?: string | undefined;
      /** Personalization service that is asked with it: the profile is given variants of its sections. */
      readonly asks?: string | undefined;
      /** Trace context of the request that brought the event (W3C), when it is traced. */
      readonly traceparent?: string | undefined;
      /** In a shadow segment, where the clock is the events': the time of the message, and what it was made of. */
      readonly shadow?: ShadowMark | undefined;
    }
  /** A timer of a profile that fired. */
  | {
      readonly v: 1;
      readonly type: 'timer';
      readonly profileId: string;
      readonly timer: string;
      readonly generation: number;
      readonly dueMs: number;
      readonly shadow?: ShadowMark | undefined;
    }
  /** A row of a snapshot table changed: its profile is to be joined with it, if there is one. */
  | {
      readonly v: 1;
      readonly type: 'row';
      readonly table: string;
      /** The run that is in force. */
      readonly run: number;
      /** Name of the stitching key, and its value as it stands in record keys. */
      readonly key: string;
      readonly encodedValue: string;
    }
  /**
   * Keys that belong to one customer, as a batch has found: by the same rules as the keys of an event, which it is not. It
   * creates, attaches and joins; nothing is counted, no key event happens, and nobody is kept longer for it.
   */
  | {
      readonly v: 1;
      readonly type: 'link';
      /** The same for the same finding: what is sent twice is applied once. */
      readonly id: string;
      /** As for an event not normalized; 2 to LINK_KEYS_MAX, also several of one name. */
      readonly keys: readonly LinkedKey[];
      /** When they were seen together, ms; the log's time when nobody knows. */
      readonly atMs?: number | undefined;
      /** Who found it. */
      readonly by: string;
      /** As of an event. */
      readonly config?: string | undefined;
      readonly shadow?: ShadowMark | undefined;
    }
  /** A command to the identity of profiles. */
  | {
      readonly v: 1;
      readonly type: 'command';
      readonly command: IdentityCommand;
      /** Of a split also the id under which it is filled. */
      readonly id: string;
      /** Who asked for it, as far as they say. */
      readonly by: string;
      /** When, ISO 8601. */
      readonly at: string;
      readonly replyTo?: string | undefined;
    };

/** What a replay sends again: what customers did, and what a batch found about their identities. */
export type Replayable = Extract<LogEnvelope, { type: 'event' | 'link' }>;
