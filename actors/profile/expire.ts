// The end of a profile, and of a redirect, by age. Nothing may be left that points to nothing.

import { recordKeys } from '../../shared/contract/names.ts';
import type { AuditFact } from '../../shared/contract/outbox.ts';
import { AUDIENCE_TIMER, evaluateAudiences, newlyCrossed, withoutAudienceTimer } from './audiences.ts';
import type { Draft } from './draft.ts';
import { chase, linkKeysOf, missingLinks, type Need } from './find-profiles.ts';
import { EXPIRE_TIMER, endOf, REDIRECT_TIMER, rearmExpiry } from './lifecycle.ts';
import type { HeldKey, Link, Profile, Redirect } from './profile.ts';
import type { Rules } from './rules.ts';
import { SEND_TIMER, sendsEnded, withoutSendTimer } from './sends.ts';
import { withTimers } from './timers.ts';
import { JOURNEY_TIMER, react, withoutJourneyTimer } from './travel.ts';
import { underConfig } from './under-config.ts';

/** Links removed by one commit: a profile with more ends in several, each leaving a smaller profile. */
const LINKS_PER_COMMIT = 400;

type Done = { readonly kind: 'done'; readonly facts: readonly AuditFact[] };
type Wait = { readonly kind: 'wait'; readonly reason: string };

/**
 * Removes a profile, its links and the redirects to it. With very many keys it removes some, `first` among them, and
 * comes back at once for the rest.
 */
export function expireProfile(
  draft: Draft,
  profile: Profile,
  nowMs: number,
  first: ReadonlySet<string> = new Set(),
): Done | Need {
  const missing = [...missingLinks(draft, profile), ...missingRedirects(draft, profile)];
  if (missing.length > 0) return { kind: 'need', keys: missing };
  const linkKeys = [...linkKeysOf(profile)].sort((a, b) => Number(first.has(b)) - Number(first.has(a)));
  const now = new Set(linkKeys.slice(0, LINKS_PER_COMMIT));
  for (const key of now) if (draft.get(key) !== null) draft.put(key, null);
  if (linkKeys.length > LINKS_PER_COMMIT) {
    const rest: Profile = { ...profile, keys: withoutKeys(profile.keys, now), ending: true };
    draft.put(recordKeys.profile(profile.id), rearmExpiry(rest, nowMs, draft));
    return { kind: 'done', facts: [] };
  }
  for (const id of profile.mergedFrom) {
    if (draft.get(recordKeys.profile(id)) === null) continue;
    draft.put(recordKeys.profile(id), null);
    draft.cancel(id, REDIRECT_TIMER);
  }
  draft.put(recordKeys.profile(profile.id), null);
  for (const timer of Object.keys(profile.timers)) draft.cancel(profile.id, timer);
  const lastEventAt = new Date(profile.lastEventAtMs).toISOString();
  const fact: AuditFact = { kind: 'profile_expired', profileId: profile.id, lastEventAt };
  return { kind: 'done', facts: [fact, ...sendsEnded(profile)] };
}

function missingRedirects(draft: Draft, profile: Profile): readonly string[] {
  return profile.mergedFrom.map(recordKeys.profile).filter((key) => draft.get(key) === undefined);
}

function withoutKeys(keys: Profile['keys'], gone: ReadonlySet<string>): Profile['keys'] {
  const rest: Record<string, readonly HeldKey[]> = {};
  for (const [name, held] of Object.entries(keys)) {
    const kept = held.filter(({ value }) => !gone.has(recordKeys.link(name, value)));
    if (kept.length > 0) rest[name] = kept;
  }
  return rest;
}

export interface TimerMessage {
  readonly profileId: string;
  readonly timer: string;
  readonly generation: number;
}

/** What a fired timer does. One of an old generation, or of a profile that is gone, does nothing. */
export function decideTimer(
  draft: Draft,
  timer: TimerMessage,
  nowMs: number,
  rules: Rules,
): Done | Need | Wait {
  const key = recordKeys.profile(timer.profileId);
  const state = draft.get(key) as Profile | Redirect | null | undefined;
  if (state === undefined) return { kind: 'need', keys: [key] };
  if (state?.kind === 'redirect' && timer.timer === REDIRECT_TIMER && state.generation === timer.generation) {
    return redirectDue(draft, timer.profileId, state, nowMs, rules);
  }
  if (state?.kind === 'profile' && timer.timer === EXPIRE_TIMER) {
    if (state.configVersion > rules.configVersion) {
      return { kind: 'wait', reason: `config version ${state.configVersion} is in use already` };
    }
    if (state.timers[EXPIRE_TIMER]?.generation === timer.generation)
      return expiryDue(draft, state, nowMs, rules);
  }
  const due = DUE[timer.timer];
  if (state?.kind === 'profile' && due) {
    if (state.configVersion > rules.configVersion) {
      return { kind: 'wait', reason: `config version ${state.configVersion} is in use already` };
    }
    if (state.timers[timer.timer]?.generation === timer.generation)
      return due(draft, state, timer, nowMs, rules);
  }
  return { kind: 'done', facts: [] };
}

/** Time has passed: memberships are looked at, and the clock is set for the next change. */
function audiencesDue(
  draft: Draft,
  profile: Profile,
  { generation }: TimerMessage,
  nowMs: number,
  rules: Rules,
): Done {
  const facts: AuditFact[] = [];
  const current = underConfig(withoutAudienceTimer(profile), rules);
  const looked = evaluateAudiences(current, undefined, nowMs, rules, facts);
  const cause = { id: `timer:${profile.id}:${AUDIENCE_TIMER}:${generation}`, nowMs };
  const changes = newlyCrossed(looked.changes, [profile], rules, facts);
  const reacted = react(looked.profile, { cause, changes }, rules, facts, draft);
  draft.put(recordKeys.profile(profile.id), withTimers(reacted, rules, nowMs, facts, draft));
  return { kind: 'done', facts };
}

/** Journeys go on. */
function journeysDue(
  draft: Draft,
  profile: Profile,
  { generation }: TimerMessage,
  nowMs: number,
  rules: Rules,
): Done {
  const facts: AuditFact[] = [];
  const current = underConfig(withoutJourneyTimer(profile), rules);
  const cause = { id: `timer:${profile.id}:${JOURNEY_TIMER}:${generation}`, nowMs };
  const reacted = react(current, { cause, changes: [] }, rules, facts, draft);
  draft.put(recordKeys.profile(profile.id), withTimers(reacted, rules, nowMs, facts, draft));
  return { kind: 'done', facts };
}

/** Moments have come, or what was held back may leave. */
function sendsDue(draft: Draft, profile: Profile, _timer: TimerMessage, nowMs: number, rules: Rules): Done {
  const facts: AuditFact[] = [];
  const current = underConfig(withoutSendTimer(profile), rules);
  draft.put(recordKeys.profile(profile.id), withTimers(current, rules, nowMs, facts, draft));
  return { kind: 'done', facts };
}

const DUE: Readonly<Record<string, typeof sendsDue>> = {
  [AUDIENCE_TIMER]: audiencesDue,
  [JOURNEY_TIMER]: journeysDue,
  [SEND_TIMER]: sendsDue,
};

function expiryDue(draft: Draft, profile: Profile, nowMs: number, rules: Rules): Done | Need {
  const end = endOf(profile, rules.config);
  if (end !== null && end <= nowMs) return expireProfile(draft, profile, nowMs);
  const { [EXPIRE_TIMER]: _, ...timers } = profile.timers;
  const disarmed = { ...profile, timers };
  draft.put(recordKeys.profile(profile.id), end === null ? disarmed : rearmExpiry(disarmed, end, draft));
  return { kind: 'done', facts: [] };
}

function redirectDue(draft: Draft, id: string, redirect: Redirect, nowMs: number, rules: Rules): Done | Need {
  const { redirectsMs } = rules.config.stitching.retention;
  if (redirectsMs === null) return { kind: 'done', facts: [] };
  const dueMs = redirect.atMs + redirectsMs;
  if (dueMs <= nowMs) return expireRedirect(draft, id, redirect);
  // It was used since the clock was set.
  const generation = redirect.generation + 1;
  draft.arm(id, REDIRECT_TIMER, dueMs, generation);
  draft.put(recordKeys.profile(id), { ...redirect, generation });
  return { kind: 'done', facts: [] };
}

/** Points the links and redirects that still go through this one straight to the survivor, then removes it. */
function expireRedirect(draft: Draft, id: string, redirect: Redirect): Done | Need {
  const end = chase(draft, redirect.to);
  if (end.kind === 'missing') return { kind: 'need', keys: [end.key] };
  if (end.kind === 'profile') {
    const survivor = end.profile;
    const missing = [...missingLinks(draft, survivor), ...missingRedirects(draft, survivor)];
    if (missing.length > 0) return { kind: 'need', keys: missing };
    draft.guard(recordKeys.profile(survivor.id));
    for (const key of linkKeysOf(survivor)) {
      const link = draft.get(key) as Link | null;
      if (link?.profileId === id) draft.put(key, { ...link, profileId: survivor.id });
    }
    for (const key of survivor.mergedFrom.map(recordKeys.profile)) {
      const other = draft.get(key) as Redirect | Profile | null;
      if (other?.kind === 'redirect' && other.to === id) draft.put(key, { ...other, to: survivor.id });
    }
  }
  draft.put(recordKeys.profile(id), null);
  return { kind: 'done', facts: [] };
}
