// The states that the profile actor keeps: profiles, redirects of retired ids, links from keys to profiles. All
// immutable: a reducer returns the same reference when nothing changed.

import type { AttributeState } from '../attributes/states.ts';
import type { JourneyPasts, Journeys } from '../journeys/states.ts';
import type { Sending } from '../sending/states.ts';
import type { Rebuilding } from './rebuilding.ts';
import type { Seen } from './seen.ts';
import type { Stamp } from './stamps.ts';

export interface HeldKey {
  readonly value: string;
  /** Time of the first event of the profile that had it, to the minute. */
  readonly firstSeenMs: number;
  /** Time of the last one, to the minute. */
  readonly lastSeenMs: number;
  /** Message id of the event that attached it. */
  readonly source: string;
}

/** By key name. */
export type HeldKeys = Readonly<Record<string, readonly HeldKey[]>>;

/** Values by key name. */
export type KeyLists = Readonly<Record<string, readonly string[]>>;

/** Another profile that this one was parted from by hand: the two are never joined by events again. */
export interface Apart {
  readonly profileId: string;
  readonly atMs: number;
}

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
  readonly keys: HeldKeys;
  /** Values of keys that are only observed, the newest last. */
  readonly observed?: KeyLists;
  readonly attributes: Readonly<Record<string, AttributeState>>;
  readonly seen: Seen;
  readonly timers: Readonly<Record<string, TimerState>>;
  /** Audiences that it is in, and bounds that it has crossed, by name, with the log time since which it is. */
  readonly audiences?: Readonly<Record<string, number>>;
  /** Of the newest timer: never used twice. */
  readonly generation: number;
  /** Triggers with `once` that have fired, with the log time of the last. */
  readonly fired: Readonly<Record<string, number>>;
  readonly mergedFrom: readonly string[];
  readonly mergedCount: number;
  readonly configVersion: number;
  /** Its end has begun and takes more than one commit: whatever is still there is over. */
  readonly ending?: true;
  readonly apart?: readonly Apart[];
  /** By table: the row of the newest snapshot that it was joined with. */
  readonly batch?: Readonly<Record<string, JoinedRow>>;
  /** Journeys that it is in, and what is kept of those that it was in. */
  readonly journeys?: Journeys;
  readonly journeyPasts?: JourneyPasts;
  /** What is sent to it: caps, what is held back, moments to come. */
  readonly sending?: Sending;
  /** Messages that were applied without a checkpoint. */
  readonly stamps?: readonly Stamp[];
  /** Splits of which the attributes of before are still to come. */
  readonly rebuilding?: readonly Rebuilding[];
  /** Keys that it lost, the latest last: their events of before are still its own. */
  readonly former?: KeyLists;
}

/** A row of a snapshot, as the profile keeps it. */
export interface JoinedRow {
  readonly run: number;
  /** When the snapshot was made, ms. */
  readonly atMs: number;
  /** The values of the key that were looked up, newest first: others may have other rows. */
  readonly of: readonly string[];
  /** Null: there is none. */
  readonly values: Readonly<Record<string, unknown>> | null;
}

/** A row of a snapshot as it is read; there is none where it is absent. */
export interface SnapshotRow {
  readonly kind: 'row';
  readonly values: Readonly<Record<string, unknown>>;
}

export interface Redirect {
  readonly kind: 'redirect';
  readonly to: string;
  readonly atMs: number;
  readonly generation: number;
  /** What the profile was when it was merged: what a split needs to bring it back. */
  readonly was?: { readonly createdAtMs: number; readonly keys: KeyLists };
}

/** An owner that a key had before, until this event time. */
export interface PastOwner {
  readonly profileId: string;
  readonly untilMs: number;
}

export interface Link {
  readonly kind: 'link';
  /** Null: the key is nobody's now. */
  readonly profileId: string | null;
  /** Event time from which on it is as it is. */
  readonly atMs: number;
  /** Message id of the event that made it so. */
  readonly source: string;
  /** Oldest first, a few. */
  readonly past?: readonly PastOwner[];
  /** Seen with several persons, and of a key that is nobody's then. */
  readonly shared?: true;
  /** Values of other keys that it was seen with, of those that it may be seen with only so many of. */
  readonly touches?: KeyLists;
  /** Profiles that held it or were refused it, as far as they are counted. */
  readonly profiles?: readonly string[];
}

/** Former owners that a link remembers. */
export const PAST_OWNERS_MAX = 5;

/** Ids of merged profiles that a profile lists; all are counted. */
export const MERGED_FROM_MAX = 100;

/** The values of a profile's keys, by key name. */
export function keyLists({ keys }: Pick<Profile, 'keys'>): KeyLists {
  return Object.fromEntries(
    Object.entries(keys).map(([name, held]) => [name, held.map(({ value }) => value)]),
  );
}

/** Whether a profile lists a key. */
export function holdsKey(profile: Profile, name: string, value: string): boolean {
  return profile.keys[name]?.some((held) => held.value === value) ?? false;
}

/** Values of an observed key that a profile remembers. */
export const OBSERVED_MAX = 20;

/** Values of a key that a profile remembers to have lost. */
export const FORMER_MAX = 50;

/** Both lists by name, each value once, the last `max` of each. */
export function joinLists(a: KeyLists = {}, b: KeyLists = {}, max: number): KeyLists | undefined {
  const names = [...new Set([...Object.keys(a), ...Object.keys(b)])];
  if (names.length === 0) return undefined;
  const both = names.map((name) => [
    name,
    [...new Set([...(a[name] ?? []), ...(b[name] ?? [])])].slice(-max),
  ]);
  return Object.fromEntries(both) as KeyLists;
}

/** How many of the profiles that a shard has decided about are in each audience. Summed over shards: its size. */
export interface Members {
  readonly kind: 'members';
  /** By audience: the number, and some ids, the newest last. */
  readonly audiences: Readonly<Record<string, readonly [count: number, ...sample: readonly string[]]>>;
  /** By journey and step: how many stand there. */
  readonly journeys?: Readonly<Record<string, Readonly<Record<string, number>>>>;
}
