// What leaves a commit: activations, audit entries and dead letters. JSON on the wire, ids in the body.
import type { LogEnvelope } from './event.ts';

export const AUDIT_KINDS = [
  'profile_added',
  'key_attached',
  'key_rejected',
  'key_demoted',
  'profiles_merged',
  'link_refused',
  'key_evicted',
  'profile_split',
  'profile_erased',
  'profile_expired',
  'audience_entered',
  'audience_left',
  'journey_entered',
  'journey_left',
  'condition_failed',
  'dead_lettered',
  'config_applied',
  'activation_delivered',
  'activation_failed',
] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];

export interface Activation {
  /** Deterministic by cause: the same cause gives the same id, so a redo or replay never fires twice. */
  readonly id: string;
  readonly name: string;
  readonly segment: string;
  readonly profileId: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly payload: Readonly<Record<string, unknown>>;
  readonly cause: {
    readonly trigger?: string;
    readonly event?: string;
    readonly journey?: string;
    readonly messageId: string;
  };
  /** ISO 8601, log time of the cause. */
  readonly at: string;
  readonly configVersion: number;
}

/** One thing that happened to an identity or profile while a message was applied. */
export interface AuditFact {
  readonly kind: AuditKind;
  readonly reason?: string;
  readonly key?: { readonly name: string; readonly value: string };
  readonly [detail: string]: unknown;
}

/** One audit message per log message: its kind is the weightiest fact's, its body has all of them. */
export interface AuditEntry {
  readonly id: string;
  readonly kind: AuditKind;
  readonly segment: string;
  readonly profileId: string | undefined;
  readonly messageId: string | undefined;
  readonly facts: readonly AuditFact[];
  readonly at: string;
  readonly configVersion: number;
}

export interface DeadLetter {
  /** `<shard>.<sequence>` of the message in the event log. */
  readonly id: string;
  readonly segment: string;
  readonly shard: number;
  readonly sequence: number;
  readonly code: string;
  readonly message: string;
  /** The message as it stood in the log: parsed when it is JSON, else base64. */
  readonly envelope: LogEnvelope | undefined;
  readonly payloadBase64: string | undefined;
  readonly at: string;
}
