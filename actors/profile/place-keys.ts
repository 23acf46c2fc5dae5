// Carries out what the resolution of an event's keys decided: keys attached, moved, freed, evicted, refused; each with its
// link and its fact. Whatever takes a key from one profile to another writes both.
import { recordKeys } from '../../shared/contract/names.ts';
import type { AuditFact, EvictReason } from '../../shared/contract/outbox.ts';
import type { EventKey } from '../identity/keys.ts';
import type { Resolution } from '../identity/resolve.ts';
import type { AppliedEvent } from './apply-event.ts';
import type { EventInput } from './decide-event.ts';
import type { Draft } from './draft.ts';
import type { KeyHolder } from './find-profiles.ts';
import {
  FORMER_MAX,
  type HeldKey,
  type HeldKeys,
  joinLists,
  type KeyLists,
  type Link,
  OBSERVED_MAX,
  PAST_OWNERS_MAX,
  type Profile,
} from './profile.ts';
import type { Rules } from './rules.ts';
import { markSeen, mergeSeen } from './seen.ts';
import { mergeStamps } from './stamps.ts';

type Resolved = Resolution<KeyHolder>;

/** First and last use are kept to the minute, so that most events leave the list of keys as it is. */
const USE_PRECISION_MS = 60_000;

/** Links of keys that are to go from a profile and have not been read. */
export function missingLinksOf(draft: Draft, { evicted, moved, freed }: Resolved): readonly string[] {
  const going = [
    ...evicted.map(({ name, value }) => recordKeys.link(name, value)),
    ...[...moved, ...freed].map(({ linkKey }) => linkKey),
  ];
  return going.filter((key) => draft.get(key) === undefined);
}

/** Links of the event's keys that there was no need to read so far. */
export function unreadLinks(candidates: readonly KeyHolder[]): readonly string[] {
  return candidates.filter(({ link }) => link === undefined).map(({ linkKey }) => linkKey);
}

/** The profile with the keys that the event gives it, and without those that make room. */
export function placeKeys(
  draft: Draft,
  joined: Profile,
  resolved: Resolved,
  input: EventInput,
  rules: Rules,
  facts: AuditFact[],
): Profile {
  const { event } = input;
  let profile = joined;
  for (const { name, value, reason } of resolved.evicted)
    profile = evict(draft, profile, { name, value, reason }, event, facts);
  for (const candidate of resolved.moved) profile = takeFrom(draft, profile, candidate, event, facts);
  for (const candidate of resolved.accepted) {
    if (candidate.isPast) noteApplied(draft, candidate, profile, event);
    else {
      const isMoved = resolved.moved.includes(candidate);
      profile = attach(draft, profile, candidate, isMoved, event, facts);
      if (!candidate.knower || candidate.knower.id === profile.id) continue;
      // What it knows must be all that there is to know.
      draft.guard(recordKeys.profile(candidate.knower.id));
      profile = knowing(profile, candidate.knower, event.nowMs);
    }
  }
  noteTouches(draft, resolved.accepted, event);
  refuse(draft, resolved, profile, event, rules, facts);
  return withObserved(profile, input.keys.observed);
}

/** Lists a key that is new to the profile, and points its link straight at it. */
function attach(
  draft: Draft,
  profile: Profile,
  { key, linkKey, link }: KeyHolder,
  isMoved: boolean,
  event: AppliedEvent,
  facts: AuditFact[],
): Profile {
  const { name } = key.config;
  const { nowMs, messageId } = event;
  // A link that was not read leads to a profile that lists the key, if need be by a redirect.
  const now = isMoved ? (draft.get(linkKey) as Link) : link;
  if (now !== undefined && now?.profileId !== profile.id) {
    if (link?.profileId) noteUse(draft, link.profileId, nowMs);
    draft.put(linkKey, {
      ...now,
      kind: 'link',
      profileId: profile.id,
      atMs: atOf(now, event),
      source: messageId,
    });
  }
  const known = profile.keys[name]?.find(({ value }) => value === key.value);
  if (known) return withUse(profile, name, known, event.atMs);
  const held = { value: key.value, firstSeenMs: event.atMs, lastSeenMs: event.atMs, source: messageId };
  facts.push({ kind: 'key_attached', profileId: profile.id, key: { name, value: key.value } });
  return { ...profile, keys: { ...profile.keys, [name]: [...(profile.keys[name] ?? []), held] } };
}

/** Of a key that has had other owners: the event time from which on it is this one's. */
function atOf(link: Link | null, { atMs, nowMs }: AppliedEvent): number {
  return link?.past ? Math.max(atMs, link.atMs) : nowMs;
}

function withUse(profile: Profile, name: string, known: HeldKey, atMs: number): Profile {
  const isNewer = atMs >= known.lastSeenMs + USE_PRECISION_MS;
  const isOlder = atMs <= known.firstSeenMs - USE_PRECISION_MS;
  if (!isNewer && !isOlder) return profile;
  const firstSeenMs = Math.min(known.firstSeenMs, atMs);
  const lastSeenMs = Math.max(known.lastSeenMs, atMs);
  const used = profile.keys[name]!.map((held) =>
    held === known ? { ...held, firstSeenMs, lastSeenMs } : held,
  );
  return { ...profile, keys: { ...profile.keys, [name]: used } };
}

/** A redirect that was followed is kept for its time from now on. */
function noteUse(draft: Draft, retiredId: string, nowMs: number): void {
  const key = recordKeys.profile(retiredId);
  const state = draft.get(key);
  if (state?.kind === 'redirect' && state.atMs < nowMs) draft.put(key, { ...state, atMs: nowMs });
}

interface Evicted {
  readonly name: string;
  readonly value: string;
  readonly reason: EvictReason;
}

/** The profile without one of its keys, which is nobody's from the event on. */
export function evict(
  draft: Draft,
  profile: Profile,
  { name, value, reason }: Evicted,
  event: AppliedEvent,
  facts: AuditFact[],
): Profile {
  const linkKey = recordKeys.link(name, value);
  const link = draft.get(linkKey) as Link | null;
  draft.put(linkKey, freedLink(link, profile.id, event, reason === 'shared'));
  facts.push({ kind: 'key_evicted', profileId: profile.id, key: { name, value }, reason });
  const former = joinLists(profile.former, { [name]: [value] }, FORMER_MAX);
  return { ...profile, keys: withoutKey(profile.keys, name, value), ...(former && { former }) };
}

function freedLink(link: Link | null, ownerId: string, event: AppliedEvent, isShared: boolean): Link {
  const { messageId } = event;
  // Never back: an event of a time that went to one owner must not go to another when it comes again.
  const atMs = link?.past ? Math.max(event.atMs, link.atMs) : event.atMs;
  const past = [...(link?.past ?? []), { profileId: ownerId, untilMs: atMs }].slice(-PAST_OWNERS_MAX);
  const profiles = [...new Set([...(link?.profiles ?? []), ownerId])];
  return {
    kind: 'link',
    profileId: null,
    atMs,
    source: messageId,
    past,
    profiles,
    ...((isShared || link?.shared) && { shared: true }),
    ...(link?.touches && { touches: link.touches }),
  };
}

/** Takes a key from the profile that holds it. What that one has applied is known to this one too. */
function takeFrom(
  draft: Draft,
  profile: Profile,
  { key, holder }: KeyHolder,
  event: AppliedEvent,
  facts: AuditFact[],
): Profile {
  const recordKey = recordKeys.profile(holder!.id);
  const loser = draft.get(recordKey) as Profile;
  const { name } = key.config;
  draft.put(recordKey, evict(draft, loser, { name, value: key.value, reason: 'moved' }, event, facts));
  return knowing(profile, loser, event.nowMs);
}

/** Who has the key now knows every event with it that was applied, also to a former owner. */
function noteApplied(
  draft: Draft,
  { knower }: KeyHolder,
  profile: Profile,
  { seenId, nowMs }: AppliedEvent,
): void {
  if (!knower || knower.id === profile.id) return;
  const key = recordKeys.profile(knower.id);
  const current = draft.get(key);
  // It may have become part of the profile with this very event.
  if (current?.kind !== 'profile') return;
  draft.put(key, { ...current, seen: markSeen(current.seen, seenId, nowMs) });
}

/** The profile, knowing what another has applied: it has a key that the other had. */
function knowing(profile: Profile, other: Profile, nowMs: number): Profile {
  const stamps = mergeStamps(profile, other);
  return { ...profile, seen: mergeSeen(profile.seen, other.seen, nowMs), ...(stamps && { stamps }) };
}

/** The keys without one value. */
export function withoutKey(keys: HeldKeys, name: string, value: string): HeldKeys {
  const left = (keys[name] ?? []).filter((held) => held.value !== value);
  const { [name]: _, ...others } = keys;
  return left.length === 0 ? others : { ...others, [name]: left };
}

/** Tells of the keys that were left out; those that become nobody's leave their holders. */
export function refuse(
  draft: Draft,
  { refused, freed }: Resolved,
  profile: Profile | undefined,
  event: AppliedEvent,
  rules: Rules,
  facts: AuditFact[],
): void {
  for (const { candidate, reason, detail } of refused) {
    const { key, holder, linkKey } = candidate;
    const shown = { name: key.config.name, value: key.value };
    const kind = holder ? 'link_refused' : 'key_demoted';
    facts.push({ kind, key: shown, reason, detail, heldBy: holder?.id });
    const isFreed = freed.includes(candidate);
    if (isFreed) {
      const recordKey = recordKeys.profile(holder!.id);
      const loser = draft.get(recordKey) as Profile;
      draft.put(recordKey, evict(draft, loser, { ...shown, reason: 'shared' }, event, facts));
    }
    const isCounted = countProfiles(draft, candidate, [holder?.id, profile?.id], rules, facts);
    // The refusal stands on the other profile as it is now, or on the key being nobody's.
    if (!isFreed && holder) draft.guard(recordKeys.profile(holder.id));
    else if (!isFreed && !isCounted) draft.guard(linkKey);
  }
}

/** Counts the profiles that a value was seen on; true when that wrote its link. */
function countProfiles(
  draft: Draft,
  { key, linkKey }: KeyHolder,
  ids: readonly (string | undefined)[],
  rules: Rules,
  facts: AuditFact[],
): boolean {
  const link = draft.get(linkKey) as Link | null | undefined;
  const max = rules.config.stitching.flagAfterProfiles;
  const known = link?.profiles ?? [];
  if (!link || known.length > max) return false;
  const all = [...new Set([...known, ...ids.flatMap((id) => id ?? [])])];
  if (all.length === known.length) return false;
  draft.put(linkKey, { ...link, profiles: all.slice(0, max + 1) });
  if (all.length > max) {
    const detail = `seen on more than ${max} profiles`;
    facts.push({ kind: 'key_flagged', key: { name: key.config.name, value: key.value }, detail });
  }
  return true;
}

/** Notes on the links of keys with link limits which values they were seen with. */
function noteTouches(draft: Draft, accepted: readonly KeyHolder[], event: AppliedEvent): void {
  for (const { key, linkKey, touches } of accepted) {
    let seen: KeyLists = touches;
    for (const other of accepted) {
      const { name } = other.key.config;
      if (other.key === key || key.config.links[name] === undefined) continue;
      if (seen[name]?.includes(other.key.value)) continue;
      seen = { ...seen, [name]: [...(seen[name] ?? []), other.key.value] };
    }
    if (seen === touches) continue;
    const link = draft.get(linkKey) as Link | null | undefined;
    const base = link ?? { kind: 'link', profileId: null, atMs: event.nowMs, source: event.messageId };
    draft.put(linkKey, { ...base, touches: seen });
  }
}

function withObserved(profile: Profile, observed: readonly EventKey[]): Profile {
  let lists = profile.observed;
  for (const { config, value } of observed) {
    const { name } = config;
    const before = lists?.[name] ?? [];
    if (before.includes(value)) continue;
    lists = { ...lists, [name]: [...before, value].slice(-OBSERVED_MAX) };
  }
  return lists === undefined || lists === profile.observed ? profile : { ...profile, observed: lists };
}

/**
 * An event that ends a visit frees the device keys on it, as long as the profile keeps another key: the next event with
 * the device alone begins a new anonymous profile. Undefined when a link has to be read first.
 */
export function afterLogout(
  draft: Draft,
  profile: Profile,
  candidates: readonly KeyHolder[],
  event: AppliedEvent,
  { config }: Rules,
  facts: AuditFact[],
): Profile | undefined {
  if (!config.stitching.logout.includes(event.name)) return profile;
  const own = candidates.filter(
    ({ key }) =>
      key.config.kind === 'device' &&
      profile.keys[key.config.name]?.some(({ value }) => value === key.value) === true,
  );
  if (own.some(({ linkKey }) => draft.get(linkKey) === undefined)) return undefined;
  const count = Object.values(profile.keys).reduce((sum, held) => sum + held.length, 0);
  if (count <= own.length) return profile;
  let left = profile;
  for (const { key } of own) {
    const gone = { name: key.config.name, value: key.value, reason: 'logout' } as const;
    left = evict(draft, left, gone, event, facts);
  }
  return left;
}
