// The states that the profile actor keeps: profiles, redirects of retired ids, links from keys to profiles. All
// immutable: a reducer returns the same reference when nothing changed.
import type { Seen } from './seen.ts';
import type { Stamp } from './stamps.ts';

export interface HeldKey {
  readonly value: string;
  /** Log time of the first event that had it on this profile, and of the last one that attached it anew. */
  readonly firstSeenMs: number;
  /** Message id of the event that attached it. */
  readonly source: string;
}

export interface SingleState {
  readonly kind: 'single';
  readonly value: unknown;
  /** Event time, and message id to break ties. */
  readonly atMs: number;
  readonly messageId: string;
}

/** Sums in micro-units (10^-6), so that they are exact and do not depend on the order of addition. */
export interface CounterState {
  readonly kind: 'counter';
  readonly total: number;
  /** By window name: [bucket number, sum] in bucket order. */
  readonly windows: Readonly<Record<string, readonly (readonly [number, number])[]>>;
}

export type AttributeState = SingleState | CounterState;

export interface TimerState {
  readonly dueMs: number;
  readonly generation: number;
}

export interface Profile {
  readonly kind: 'profile';
  readonly id: string;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly lastEventAtMs: number;
  readonly keys: Readonly<Record<string, readonly HeldKey[]>>;
  readonly attributes: Readonly<Record<string, AttributeState>>;
  readonly seen: Seen;
  readonly timers: Readonly<Record<string, TimerState>>;
  /** Of the newest timer: never used twice. */
  readonly generation: number;
  /** Triggers with `once` that have fired, with the log time. */
  readonly fired: Readonly<Record<string, number>>;
  readonly mergedFrom: readonly string[];
  readonly mergedCount: number;
  readonly configVersion: number;
  /** Its end has begun and takes more than one commit: whatever is still there is over. */
  readonly ending?: true;
  /** Messages that were applied without a checkpoint. */
  readonly stamps?: readonly Stamp[];
}

export interface Redirect {
  readonly kind: 'redirect';
  readonly to: string;
  readonly atMs: number;
  readonly generation: number;
}

export interface Link {
  readonly kind: 'link';
  readonly profileId: string;
  readonly atMs: number;
  readonly source: string;
}

/** Ids of merged profiles that a profile lists; all are counted. */
export const MERGED_FROM_MAX = 100;

/** Whether a profile lists a key. */
export function holdsKey(profile: Profile, name: string, value: string): boolean {
  return profile.keys[name]?.some((held) => held.value === value) ?? false;
}
