// Audiences: who is in them now. A profile is looked at when something of it changes that a condition names, and by one
// timer at the earliest moment at which time alone may change one. How many are in is counted in the commit itself.
import { recordKeys } from '../../shared/contract/names.ts';
import type { AuditFact } from '../../shared/contract/outbox.ts';
import { isTrue, resultOf } from '../attributes/evaluate.ts';
import { nextChangeOf } from '../attributes/view.ts';
import type { Draft } from './draft.ts';
import type { Need } from './find-profiles.ts';
import { countJourneys, journeyMoves } from './journey-counts.ts';
import type { Members, Profile, Redirect } from './profile.ts';
import { isIncomplete, isUnknown } from './rebuilding.ts';
import type { AudienceRule, Rules } from './rules.ts';
import { underConfig } from './under-config.ts';
import { profileContext } from './view.ts';

export const AUDIENCE_TIMER = 'audiences';
/** Conditions that speak of `now` are looked at so often without an event. */
const RECHECK_MS = 3_600_000;
const TIMER_STEP_MS = 1_000;
/** Ids that a shard remembers of each audience. */
const SAMPLE_MAX = 10;

export interface AudienceChange {
  readonly audience: string;
  readonly change: 'entered' | 'left';
}

export interface Evaluated {
  readonly profile: Profile;
  /** In the order of the config. */
  readonly changes: readonly AudienceChange[];
}

const NO_EVENT: Readonly<Record<string, never>> = {};

/**
 * The profile with its memberships as they are at `nowMs`. `before`: the same profile when they were last looked at;
 * undefined: everything is looked at. What is being counted anew changes nothing until it is known.
 */
export function evaluateAudiences(
  profile: Profile,
  before: Profile | undefined,
  nowMs: number,
  rules: Rules,
  facts: AuditFact[],
): Evaluated {
  if (rules.audiences.length === 0 || isIncomplete(profile)) return { profile, changes: [] };
  const due = rules.audiences.filter(
    (rule) =>
      (before === undefined || mayDiffer(rule, profile, before)) && !isUnknown(profile, rule.attributes),
  );
  const known = before === undefined ? knownOf(profile, rules) : (profile.audiences ?? {});
  if (due.length === 0) return { profile, changes: [] };
  const context = profileContext(profile, rules.config, NO_EVENT, nowMs, rules.audienceNames);
  const changes: AudienceChange[] = [];
  const members: Record<string, number> = { ...known };
  for (const { name, when } of due) {
    const isIn = isTrue(when, context, facts, whereOf(name));
    if (isIn === (members[name] !== undefined)) continue;
    if (isIn) members[name] = nowMs;
    else delete members[name];
    changes.push({ audience: name, change: isIn ? 'entered' : 'left' });
  }
  if (changes.length === 0 && known === profile.audiences) return { profile, changes };
  const { audiences: _, ...rest } = profile;
  const isEmpty = Object.keys(members).length === 0;
  if (isEmpty && profile.audiences === undefined) return { profile, changes };
  return { profile: isEmpty ? rest : { ...rest, audiences: members }, changes };
}

/**
 * Without bounds that were crossed before: a profile that another config decided last may not remember it. One that is crossed
 * by falling is only crossed from beyond it. `olds`: profiles as they were stored before what happens now.
 */
export function newlyCrossed(
  changes: readonly AudienceChange[],
  olds: readonly Profile[],
  rules: Rules,
  facts: AuditFact[],
): readonly AudienceChange[] {
  if (!changes.some(({ audience }) => isHidden(audience))) return changes;
  return changes.filter(({ audience, change }) => {
    const rule = rules.audiences.find(({ name }) => name === audience);
    if (!isHidden(audience) || change === 'left' || !rule) return true;
    const held = olds.map((old) => ({ old, result: heldThen(old, rule, rules, facts) }));
    if (rule.falls) return held.some(({ result }) => result === false);
    return !held.some(({ old, result }) => result === true && old.configVersion !== rules.configVersion);
  });
}

/** Whether a condition held of a profile when it was written last; undefined: it could not be told. */
function heldThen(old: Profile, { name, when }: AudienceRule, rules: Rules, facts: AuditFact[]): unknown {
  const then = underConfig(old, rules);
  const context = profileContext(then, rules.config, NO_EVENT, old.updatedAtMs, rules.audienceNames);
  return resultOf(when, context, facts, whereOf(name));
}

function mayDiffer(rule: AudienceRule, profile: Profile, before: Profile): boolean {
  if (rule.always) return true;
  if (profile.batch !== before.batch) return true;
  for (const name of rule.attributes) if (profile.attributes[name] !== before.attributes[name]) return true;
  return false;
}

/** Without audiences that the config no longer has. */
function knownOf({ audiences }: Profile, rules: Rules): Readonly<Record<string, number>> {
  if (!audiences) return {};
  const names = new Set(rules.audiences.map(({ name }) => name));
  const gone = Object.keys(audiences).some((name) => !names.has(name));
  return gone ? Object.fromEntries(Object.entries(audiences).filter(([name]) => names.has(name))) : audiences;
}

/** A clock that rings too early is harmless: it is set again only when it would ring too late. */
export function withAudienceTimer(profile: Profile, rules: Rules, nowMs: number, draft: Draft): Profile {
  if (rules.audiences.length === 0) return profile;
  const armed = profile.timers[AUDIENCE_TIMER];
  // It has rung, and its message is on the way.
  if (armed && armed.dueMs <= nowMs) return profile;
  const next = nextLook(profile, rules, nowMs);
  if (next === undefined || (armed && armed.dueMs <= next)) return profile;
  const dueMs = Math.max(next, nowMs + TIMER_STEP_MS);
  const generation = profile.generation + 1;
  draft.arm(profile.id, AUDIENCE_TIMER, dueMs, generation);
  return { ...profile, generation, timers: { ...profile.timers, [AUDIENCE_TIMER]: { dueMs, generation } } };
}

function nextLook({ attributes }: Profile, rules: Rules, nowMs: number): number | undefined {
  const byValue = nextChangeOf(attributes, rules.config, rules.audienceNames, nowMs);
  if (!rules.audiencesByClock) return byValue;
  return Math.min(byValue ?? Number.POSITIVE_INFINITY, nowMs + RECHECK_MS);
}

/** Whether time alone may have changed a membership. */
export function isAudienceTimerDue(profile: Profile, nowMs: number): boolean {
  const armed = profile.timers[AUDIENCE_TIMER];
  return armed !== undefined && armed.dueMs <= nowMs;
}

/** The profile without the timer that has rung. */
export function withoutAudienceTimer(profile: Profile): Profile {
  const { [AUDIENCE_TIMER]: _, ...timers } = profile.timers;
  return { ...profile, timers };
}

/**
 * Tells and counts who came into an audience or left it by what the draft has decided, whatever the cause: an event, a
 * merge, an end. Call it last.
 */
export function settleMembers(draft: Draft, shard: number, facts: AuditFact[]): Need | undefined {
  const changes = draft
    .profileSteps()
    .flatMap(({ before, after, id }) => membershipChanges(id, before, after));
  const moves = journeyMoves(draft, facts);
  if (changes.length === 0 && moves.length === 0) return undefined;
  const key = recordKeys.members(shard);
  const stored = draft.get(key) as Members | null | undefined;
  if (stored === undefined) return { kind: 'need', keys: [key] };
  const handedOn = new Set(
    changes.filter(({ reason }) => reason === 'merged').map(({ audience }) => audience),
  );
  const audiences: Record<string, readonly [number, ...string[]]> = {
    ...(stored?.audiences as Members['audiences']),
  } as never;
  for (const { audience, profileId, kind, reason } of changes) {
    const inherited = kind === 'audience_entered' && handedOn.has(audience) ? 'merged' : reason;
    facts.push({ kind, audience, profileId, ...(inherited && { reason: inherited }) });
    audiences[audience] = counted(audiences[audience], profileId, kind === 'audience_entered');
  }
  const journeys = countJourneys(stored?.journeys, moves);
  draft.put(key, { kind: 'members', audiences, ...(journeys && { journeys }) });
  return undefined;
}

interface MembershipChange {
  readonly kind: 'audience_entered' | 'audience_left';
  readonly audience: string;
  readonly profileId: string;
  readonly reason: 'merged' | 'ended' | undefined;
}

function whereOf(audience: string): string {
  return isHidden(audience)
    ? `triggers.${audience.slice(audience.indexOf(':') + 1)}.on`
    : `audiences.${audience}.when`;
}

/** It is no audience of the config, but the memory of a trigger. */
export function isHidden(audience: string): boolean {
  return audience.includes(':');
}

function membershipChanges(
  profileId: string,
  before: Profile | Redirect | null,
  after: Profile | Redirect | null,
): readonly MembershipChange[] {
  const had = before?.kind === 'profile' ? before.audiences : undefined;
  const has = after?.kind === 'profile' ? after.audiences : undefined;
  if (had === has) return [];
  const reason = after === null ? 'ended' : after.kind === 'redirect' ? 'merged' : undefined;
  const seen = (audiences: Profile['audiences']) =>
    Object.keys(audiences ?? {}).filter((audience) => !isHidden(audience));
  const left = seen(had).filter((audience) => has?.[audience] === undefined);
  const entered = seen(has).filter((audience) => had?.[audience] === undefined);
  return [
    ...left.map((audience) => ({ kind: 'audience_left', audience, profileId, reason }) as const),
    ...entered.map(
      (audience) => ({ kind: 'audience_entered', audience, profileId, reason: undefined }) as const,
    ),
  ];
}

function counted(
  before: Members['audiences'][string] | undefined,
  profileId: string,
  isIn: boolean,
): readonly [number, ...string[]] {
  const [count, ...sample] = before ?? [0];
  const others = sample.filter((id) => id !== profileId);
  return isIn ? [count + 1, ...others.slice(1 - SAMPLE_MAX), profileId] : [count - 1, ...others];
}
