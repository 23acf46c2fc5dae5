// One customer event, decided: keys -> profile (create, attach, merge, refuse), then attributes, then triggers.
import type { ActorMessage } from '../../shared/contract/actor.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { AuditFact } from '../../shared/contract/outbox.ts';
import { uuidV7From } from '../../shared/kernel/hash.ts';
import type { EventKeys, RejectedKey } from '../identity/keys.ts';
import { resolveKeys, survivorOf } from '../identity/resolve.ts';
import { type AppliedEvent, applyEvent, applyLink, matchKeyEvents } from './apply-event.ts';
import { evaluateAudiences, isAudienceTimerDue, newlyCrossed } from './audiences.ts';
import type { Draft } from './draft.ts';
import { expireProfile } from './expire.ts';
import { findHolders, type KeyHolder, type Need } from './find-profiles.ts';
import { joinBatch, withNewRows } from './join-batch.ts';
import { endOf, mergeProfiles, newProfile, retire } from './lifecycle.ts';
import { afterLogout, missingLinksOf, placeKeys, refuse, unreadLinks } from './place-keys.ts';
import { keyLists, type Profile } from './profile.ts';
import { isIncomplete, noteSince } from './rebuilding.ts';
import type { Rules } from './rules.ts';
import { hasSeen } from './seen.ts';
import { isMomentDue, runMoments } from './sends.ts';
import { isStamped } from './stamps.ts';
import { withTimers } from './timers.ts';
import { isJourneyTimerDue, journeysEndedBy, react as reactTo } from './travel.ts';
import { runTriggers } from './triggers.ts';
import { underConfig } from './under-config.ts';
import { withVariants } from './variants.ts';

export interface EventInput {
  readonly message: ActorMessage;
  readonly event: AppliedEvent;
  readonly keys: EventKeys;
  /** Record keys of the links of the usable keys, in their order. */
  readonly linkKeys: readonly string[];
  /** Version of this segment's config by which a gateway took it; 0: it does not say. */
  readonly acceptedUnder: number;
  /** Makes the id of a profile that this event creates. */
  readonly idEntropy: string;
  /** Keys that a batch found to belong together: identity alone, nothing is counted. */
  readonly isLink: true | undefined;
  /** Personalization service that is asked with it. */
  readonly asks?: string | undefined;
}

export type EventDecision =
  | {
      readonly kind: 'done';
      /** The profile that was changed. */
      readonly profileId: string | undefined;
      /** The profile that the event belongs to, changed or not. */
      readonly belongsTo: string | undefined;
      readonly facts: readonly AuditFact[];
    }
  | { readonly kind: 'wait'; readonly reason: string }
  | Need;

const SHOWN_MAX = 200;

export function decideEvent(draft: Draft, input: EventInput, rules: Rules): EventDecision {
  const facts: AuditFact[] = input.keys.rejected.map(rejectedFact);
  // A link of one key says nothing.
  if (input.keys.usable.length < (input.isLink ? 2 : 1))
    return { kind: 'done', profileId: undefined, belongsTo: undefined, facts };
  const found = findHolders(draft, input.keys.usable, input.linkKeys, input.event.atMs);
  if (found.kind === 'need') return found;
  if (input.acceptedUnder > rules.configVersion)
    return { kind: 'wait', reason: `it was accepted under config version ${input.acceptedUnder}` };
  const newer = found.holders.find(({ holder }) => holder && holder.configVersion > rules.configVersion);
  if (newer)
    return { kind: 'wait', reason: `config version ${newer.holder?.configVersion} is in use already` };
  const applied = profilesOf(found.holders).find((profile) => isStamped(profile, input.message));
  if (applied) return { kind: 'done', profileId: undefined, belongsTo: applied.id, facts: [] };
  const alive = withoutExpired(draft, found.holders, input.event.nowMs, rules, facts);
  if ('kind' in alive) return alive;
  return stitch(draft, alive, input, rules, facts);
}

/** Timers that are due run before the event: a profile whose time is over ends, and the event begins a new one. */
function withoutExpired(
  draft: Draft,
  holders: readonly KeyHolder[],
  nowMs: number,
  rules: Rules,
  facts: AuditFact[],
): readonly KeyHolder[] | Need {
  const ended = new Set<Profile>();
  const eventLinks = new Set(holders.map(({ linkKey }) => linkKey));
  for (const { holder } of holders) {
    const end = holder && !ended.has(holder) ? endOf(holder, rules.config) : null;
    if (!holder || end === null || end > nowMs) continue;
    const expired = expireProfile(draft, holder, nowMs, eventLinks);
    if (expired.kind === 'need') return expired;
    facts.push(...expired.facts);
    ended.add(holder);
  }
  if (ended.size === 0) return holders;
  return holders.map((held) =>
    held.holder && ended.has(held.holder) ? { ...held, holder: undefined, link: null } : held,
  );
}

function stitch(
  draft: Draft,
  candidates: readonly KeyHolder[],
  input: EventInput,
  rules: Rules,
  facts: AuditFact[],
): EventDecision {
  const { event } = input;
  const resolved = resolveKeys<Profile, KeyHolder>(candidates, rules.config, event.atMs);
  const knowing = [...resolved.holders, ...knowersOf(resolved.accepted)].find((profile) =>
    hasSeen(profile.seen, event.seenId),
  );
  if (knowing) {
    // A duplicate changes nothing; what had come to its end before it has. Its place in the log is noted: it was not
    // counted before a split.
    const noted = noteSince(knowing, input.message);
    if (noted !== knowing) draft.put(recordKeys.profile(knowing.id), noted);
    const ended = facts.filter(({ kind }) => kind === 'profile_expired');
    return { kind: 'done', profileId: undefined, belongsTo: knowing.id, facts: ended };
  }
  const missing = missingLinksOf(draft, resolved);
  if (missing.length > 0) return { kind: 'need', keys: missing };
  if (resolved.accepted.length === 0) {
    refuse(draft, resolved, undefined, event, rules, facts);
    return { kind: 'done', profileId: undefined, belongsTo: undefined, facts };
  }
  const holders = resolved.holders.map((holder) => byTheClock(draft, holder, input, rules, facts));
  const joined = joinHolders(draft, holders, input, rules, facts);
  const placed = placeKeys(draft, joined, resolved, input, rules, facts);
  const enriched = joinBatch(placed, rules.config.batchTables, rules.runs, (key) => draft.row(key));
  if (enriched.kind === 'need') return enriched;
  const stitched = withNewRows(placed, enriched.profile, rules.config);
  const triggered = react(draft, stitched, holders, input, rules, facts);
  const left = afterLogout(draft, triggered, candidates, event, rules, facts);
  if (left === undefined) return { kind: 'need', keys: unreadLinks(candidates) };
  const known = withoutKeys(draft, left, triggered, event, rules, facts);
  const profile = input.asks === undefined ? known : withVariants(known, input.asks, rules.config);
  for (const { id, before, after } of draft.profileChanges())
    if (id !== profile.id && before?.kind === 'profile' && after?.kind === 'profile') {
      const other = withoutKeys(draft, after, before, event, rules, facts);
      draft.put(recordKeys.profile(id), withTimers(other, rules, event.nowMs, facts, draft));
    }
  draft.put(recordKeys.profile(profile.id), withTimers(profile, rules, event.nowMs, facts, draft));
  return { kind: 'done', profileId: profile.id, belongsTo: profile.id, facts };
}

/** What time alone has changed before the event happens to it. */
function byTheClock(
  draft: Draft,
  profile: Profile,
  { event }: EventInput,
  rules: Rules,
  facts: AuditFact[],
): Profile {
  const byAudiences = isAudienceTimerDue(profile, event.nowMs);
  const byMoments = isMomentDue(profile, event.nowMs);
  if (!byAudiences && !byMoments && !isJourneyTimerDue(profile, event.nowMs)) return profile;
  const looked = byAudiences
    ? evaluateAudiences(profile, undefined, event.nowMs, rules, facts)
    : { profile, changes: [] };
  const changes = newlyCrossed(looked.changes, [profile], rules, facts);
  const cause = { id: `${event.messageId}:before:${profile.id}`, nowMs: event.nowMs };
  const moved = byMoments ? runMoments(looked.profile, event.nowMs, rules, facts, draft) : looked.profile;
  const reacted = reactTo(moved, { cause, changes }, rules, facts, draft);
  draft.stage(reacted);
  return reacted;
}

/** A profile that lost keys to the event, looked at again: audiences may speak of keys. */
function withoutKeys(
  draft: Draft,
  after: Profile,
  before: Profile,
  { messageId, nowMs }: AppliedEvent,
  rules: Rules,
  facts: AuditFact[],
): Profile {
  if (after.keys === before.keys) return after;
  const known = before.configVersion === rules.configVersion ? before : undefined;
  const looked = evaluateAudiences(underConfig(after, rules), known, nowMs, rules, facts);
  const cause = { id: `${messageId}:after:${after.id}`, nowMs };
  const changes = newlyCrossed(looked.changes, [before], rules, facts);
  return reactTo(looked.profile, { cause, changes }, rules, facts, draft);
}

/** What is to be told of the event's own time. */
function flag(
  draft: Draft,
  { atMs, nowMs, isAhead }: AppliedEvent,
  hits: readonly string[],
  rules: Rules,
): void {
  if (isAhead) draft.flag('clock_ahead');
  const ageMs = nowMs - atMs;
  if (hits.some((hit) => ageMs > (rules.shortestWindow.get(hit) ?? Number.POSITIVE_INFINITY)))
    draft.flag('late');
}

/** The event counted, and what it sets off. */
function react(
  draft: Draft,
  stitched: Profile,
  holders: readonly Profile[],
  { event, message, isLink }: EventInput,
  rules: Rules,
  facts: AuditFact[],
): Profile {
  const hits = isLink ? [] : matchKeyEvents(event, rules, facts);
  flag(draft, event, hits, rules);
  const counted = isLink
    ? applyLink(stitched, event, rules)
    : applyEvent(stitched, event, hits, rules, facts);
  const applied = noteSince(counted, message);
  // While its attributes are not complete, what they say sets nothing off.
  if (isIncomplete(applied)) return applied;
  const before = holders.length === 1 ? holders[0] : undefined;
  // Under another config everything may have changed.
  const known = before?.configVersion === rules.configVersion ? before : undefined;
  const looked = evaluateAudiences(applied, known, event.nowMs, rules, facts);
  const byEvent = runTriggers(looked.profile, event, hits, rules, facts);
  const cause = { id: event.messageId, nowMs: event.nowMs };
  for (const { activation, priority } of byEvent.requests) draft.request(activation, priority);
  const changes = newlyCrossed(looked.changes, holders, rules, facts);
  const occasion = { cause, event: { applied: event, hits }, changes };
  return reactTo(byEvent.profile, occasion, rules, facts, draft);
}

/** Who holds the keys, and who else knows what was applied. */
function profilesOf(candidates: readonly KeyHolder[]): readonly Profile[] {
  return [...candidates.flatMap(({ holder }) => holder ?? []), ...knowersOf(candidates)];
}

function knowersOf(candidates: readonly KeyHolder[]): readonly Profile[] {
  return candidates.flatMap(({ knower }) => knower ?? []);
}

/** The one profile that the accepted keys stand for: new, known, or several merged. */
function joinHolders(
  draft: Draft,
  holders: readonly Profile[],
  input: EventInput,
  rules: Rules,
  facts: AuditFact[],
): Profile {
  const { nowMs } = input.event;
  if (holders.length === 0) {
    const id = uuidV7From(nowMs, input.idEntropy);
    facts.push({ kind: 'profile_added', profileId: id });
    return newProfile(id, nowMs, rules.configVersion);
  }
  const survivor = survivorOf(holders, rules.config);
  let merged = survivor;
  for (const other of holders) {
    if (other === survivor) continue;
    const ended = journeysEndedBy(merged, other);
    merged = mergeProfiles(merged, other, rules.config, nowMs);
    retire(other, survivor.id, rules.config, nowMs, draft);
    facts.push({ kind: 'profiles_merged', into: survivor.id, from: other.id, keys: keyLists(other) });
    facts.push(...ended);
  }
  return merged;
}

function rejectedFact({ name, value, reason, detail }: RejectedKey): AuditFact {
  return { kind: 'key_rejected', key: { name, value: value.slice(0, SHOWN_MAX) }, reason, detail };
}
