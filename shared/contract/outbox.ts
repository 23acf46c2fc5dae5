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
  'key_flagged',
  'profile_split',
  'profile_rebuilt',
  'profile_erased',
  'profile_expired',
  'audience_entered',
  'audience_left',
  'journey_entered',
  'journey_left',
  'activation_held',
  'activation_suppressed',
  'condition_failed',
  'dead_lettered',
  'config_applied',
  'activation_delivered',
  'activation_failed',
] as const;
export type AuditKind = (typeof AUDIT_KINDS)[number];

/** What happens to identities: counted in metrics, by reason. */
export const IDENTITY_KINDS = [
  'profile_added',
  'key_attached',
  'profiles_merged',
  'link_refused',
  'key_demoted',
  'key_rejected',
  'key_evicted',
  'key_flagged',
  'profile_split',
] as const satisfies readonly AuditKind[];

export interface Activation {
  /** Deterministic by cause: the same cause gives the same id, so a redo or replay never fires twice. */
  readonly id: string;
  readonly name: string;
  readonly segment: string;
  readonly profileId: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly payload: Readonly<Record<string, unknown>>;
  /** Destinations that it is delivered to, as the config said when it was decided. */
  readonly to?: readonly string[];
  /** Sent again by hand, to `to` alone: which time this is. Its id stays. */
  readonly redriven?: number;
  readonly cause: {
    readonly trigger?: string;
    readonly event?: string;
    readonly audience?: string;
    readonly change?: 'entered' | 'left';
    readonly journey?: string;
    /** Of a journey. */
    readonly step?: string;
    /** That a trigger waited for, ISO 8601. */
    readonly moment?: string;
    /** Of the event, or what names the timer that rang. */
    readonly messageId: string;
  };
  /** ISO 8601, log time of the cause; of what was held back the time when it was let out. */
  readonly at: string;
  /** Of what was held back: log time of the cause. */
  readonly decidedAt?: string;
  readonly configVersion: number;
}

/** Why a value was not taken for an identity at all (`key_rejected`). */
export const REJECT_REASONS = [
  'junk',
  'listed_invalid',
  'not_valid',
  'too_short',
  'too_long',
  'too_uniform',
  'not_a_phone_number',
  'malformed',
  'empty',
  'unknown_key',
] as const;
/** Why a key was left out of an event (`key_demoted`, `link_refused`). */
export const REFUSE_REASONS = [
  /** The profile would hold more values of a key than its limit. */
  'limit',
  /** It would hold more keys than any profile may. */
  'max_keys',
  /** One value would be seen with more values of another key than it may. */
  'link_limit',
  /** The value belongs to whoever had it first. */
  'owner',
  /** The value is nobody's, since several persons use it. */
  'shared',
  /** The profiles were parted by hand. */
  'apart',
  /** The value was freed after the event happened. */
  'freed',
] as const;
/** Why a profile lost a key (`key_evicted`). */
export const EVICT_REASONS = [
  'replaced',
  'moved',
  'logout',
  'shared',
  'max_keys',
  'split',
  'removed',
] as const;
/** Why a profile came into an audience or left it, when it was no event (`audience_entered`, `audience_left`). */
export const AUDIENCE_REASONS = ['merged', 'ended'] as const;
/** Why a profile left a journey (`journey_left`). */
export const JOURNEY_REASONS = [
  'end',
  'goal',
  'exit',
  /** Nothing went on for too long. */
  'stale',
  /** It became one with a profile that is further. */
  'merged',
  /** The profile is no more. */
  'ended',
  /** The config has no such journey any more. */
  'config',
  /** Its steps go round without a wait. */
  'loop',
] as const;
/** Why an activation that was decided was not sent (`activation_suppressed`). */
export const SUPPRESS_REASONS = [
  /** A cap on how often the profile gets it, or anything of its channel. */
  'capped',
  'no_consent',
  /** More is held back for the profile than is kept. */
  'too_many_held',
  /** The config has no such activation any more. */
  'config',
  /** The profile is no more. */
  'ended',
] as const;
export type RejectReason = (typeof REJECT_REASONS)[number];
export type RefuseReason = (typeof REFUSE_REASONS)[number];
export type EvictReason = (typeof EVICT_REASONS)[number];

/** One thing that happened to an identity or profile while a message was applied. */
export interface AuditFact {
  readonly kind: AuditKind;
  /** A code: few values, so that they can be counted. */
  readonly reason?: string;
  /** The same in words, with the numbers. */
  readonly detail?: string;
  readonly key?: { readonly name: string; readonly value: string };
  readonly [more: string]: unknown;
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
