// Birth, merging and end of profiles. A profile's timers stand in its record; the alarm clocks outside only wake it.
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { joinAttributes } from '../attributes/kinds.ts';
import { mergeJourneys, mergePasts } from '../journeys/states.ts';
import { mergeSending } from '../sending/states.ts';
import type { Draft } from './draft.ts';
import {
  FORMER_MAX,
  type HeldKey,
  joinLists,
  keyLists,
  MERGED_FROM_MAX,
  OBSERVED_MAX,
  type Profile,
  type Redirect,
} from './profile.ts';
import { mergeSeen } from './seen.ts';
import { mergeStamps } from './stamps.ts';

export const EXPIRE_TIMER = 'expire';
export const REDIRECT_TIMER = 'redirect';

/** A profile that nothing has happened to yet. */
export function newProfile(id: string, nowMs: number, configVersion: number): Profile {
  return {
    kind: 'profile',
    id,
    createdAtMs: nowMs,
    updatedAtMs: nowMs,
    lastEventAtMs: nowMs,
    keys: {},
    attributes: {},
    seen: [],
    timers: {},
    generation: 0,
    fired: {},
    mergedFrom: [],
    mergedCount: 0,
    configVersion,
  };
}

/** Known: it has a key of the kind `person`. */
export function isKnown(profile: Profile, config: SegmentConfig): boolean {
  return config.stitching.keys.some(
    ({ name, kind }) => kind === 'person' && (profile.keys[name]?.length ?? 0) > 0,
  );
}

/** When the profile ends if nothing more happens; null: never. */
export function endOf(profile: Profile, config: SegmentConfig): number | null {
  if (profile.ending) return profile.lastEventAtMs;
  const { anonymousMs, knownMs } = config.stitching.retention;
  const retentionMs = isKnown(profile, config) ? knownMs : anonymousMs;
  return retentionMs === null ? null : profile.lastEventAtMs + retentionMs;
}

/** Sees to it that a profile that may end has a timer. Its alarm is set once and again only when it rings too early. */
export function withExpiry(profile: Profile, config: SegmentConfig, draft: Draft): Profile {
  const end = endOf(profile, config);
  if (end === null || profile.timers[EXPIRE_TIMER]) return profile;
  return rearmExpiry(profile, end, draft);
}

export function rearmExpiry(profile: Profile, dueMs: number, draft: Draft): Profile {
  const generation = profile.generation + 1;
  draft.arm(profile.id, EXPIRE_TIMER, dueMs, generation);
  return { ...profile, generation, timers: { ...profile.timers, [EXPIRE_TIMER]: { dueMs, generation } } };
}

/** Two profiles as one under the survivor's id. Whatever the order of merges, keys and attributes come out the same. */
export function mergeProfiles(
  survivor: Profile,
  other: Profile,
  config: SegmentConfig,
  nowMs: number,
): Profile {
  const stamps = mergeStamps(survivor, other);
  return {
    ...survivor,
    createdAtMs: Math.min(survivor.createdAtMs, other.createdAtMs),
    updatedAtMs: Math.max(survivor.updatedAtMs, other.updatedAtMs),
    lastEventAtMs: Math.max(survivor.lastEventAtMs, other.lastEventAtMs),
    keys: mergeKeys(survivor.keys, other.keys),
    attributes: joinAttributes(survivor.attributes, other.attributes, config, 'profiles'),
    seen: mergeSeen(survivor.seen, other.seen, nowMs),
    generation: Math.max(survivor.generation, other.generation),
    fired: latest(survivor.fired, other.fired),
    mergedFrom: [...survivor.mergedFrom, ...other.mergedFrom, other.id].slice(-MERGED_FROM_MAX),
    mergedCount: survivor.mergedCount + other.mergedCount + 1,
    configVersion: Math.max(survivor.configVersion, other.configVersion),
    ...(stamps && { stamps }),
    ...mergeSideLists(survivor, other),
  };
}

function latest(a: Profile['fired'], b: Profile['fired']): Profile['fired'] {
  const both: Record<string, number> = { ...a };
  for (const [name, atMs] of Object.entries(b)) both[name] = Math.max(atMs, both[name] ?? atMs);
  return both;
}

function mergeSideLists(a: Profile, b: Profile): Partial<Profile> {
  const apart = [...(a.apart ?? []), ...(b.apart ?? [])];
  const rebuilding = [...(a.rebuilding ?? []), ...(b.rebuilding ?? [])];
  const observed = joinLists(b.observed, a.observed, OBSERVED_MAX);
  const former = joinLists(b.former, a.former, FORMER_MAX);
  const sending = mergeSending(a.sending, b.sending);
  return {
    ...(apart.length > 0 && { apart }),
    ...(observed && { observed }),
    ...(rebuilding.length > 0 && { rebuilding }),
    ...(former && { former }),
    ...(sending && { sending }),
    ...((a.batch || b.batch) && { batch: { ...b.batch, ...a.batch } }),
    ...((a.journeys || b.journeys) && { journeys: mergeJourneys(a.journeys, b.journeys).journeys }),
    ...((a.journeyPasts || b.journeyPasts) && { journeyPasts: mergePasts(a.journeyPasts, b.journeyPasts) }),
    ...((a.audiences || b.audiences) && { audiences: mergeMemberships(a.audiences, b.audiences) }),
  };
}

/** Members of an audience since the earlier of both. */
function mergeMemberships(
  a: Profile['audiences'] = {},
  b: Profile['audiences'] = {},
): NonNullable<Profile['audiences']> {
  const both: Record<string, number> = { ...a };
  for (const [name, sinceMs] of Object.entries(b)) both[name] = Math.min(sinceMs, both[name] ?? sinceMs);
  return both;
}

function mergeKeys(a: Profile['keys'], b: Profile['keys']): Profile['keys'] {
  const keys: Record<string, readonly HeldKey[]> = { ...a };
  for (const [name, held] of Object.entries(b)) {
    const both = [...(keys[name] ?? []), ...held];
    keys[name] = both.sort((x, y) => x.firstSeenMs - y.firstSeenMs || (x.value < y.value ? -1 : 1));
  }
  return keys;
}

/** Turns a merged profile into a redirect and moves its clocks. */
export function retire(
  profile: Profile,
  to: string,
  config: SegmentConfig,
  nowMs: number,
  draft: Draft,
): void {
  const generation = profile.generation + 1;
  const was = { createdAtMs: profile.createdAtMs, keys: keyLists(profile) };
  const redirect: Redirect = { kind: 'redirect', to, atMs: nowMs, generation, was };
  draft.put(recordKeys.profile(profile.id), redirect);
  for (const timer of Object.keys(profile.timers)) draft.cancel(profile.id, timer);
  const { redirectsMs } = config.stitching.retention;
  if (redirectsMs !== null) draft.arm(profile.id, REDIRECT_TIMER, nowMs + redirectsMs, generation);
}
