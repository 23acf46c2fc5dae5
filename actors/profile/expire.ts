// The end of a profile, and of a redirect, by age. Nothing may be left that points to nothing.

import { recordKeys } from '../../shared/contract/names.ts';
import type { AuditFact } from '../../shared/contract/outbox.ts';
import type { Draft } from './draft.ts';
import { chase, linkKeysOf, missingLinks, type Need } from './find-profiles.ts';
import { EXPIRE_TIMER, endOf, REDIRECT_TIMER, rearmExpiry } from './lifecycle.ts';
import type { HeldKey, Link, Profile, Redirect } from './profile.ts';
import type { Rules } from './rules.ts';

/** Links removed by one commit: a profile with more ends in several, each leaving a smaller profile. */
const LINKS_PER_COMMIT = 400;

type Done = { readonly kind: 'done'; readonly facts: readonly AuditFact[] };

/** Removes a profile and its links. With very many keys it removes some and comes back at once for the rest. */
export function expireProfile(draft: Draft, profile: Profile, nowMs: number): Done | Need {
  const missing = missingLinks(draft, profile);
  if (missing.length > 0) return { kind: 'need', keys: missing };
  const linkKeys = linkKeysOf(profile);
  for (const key of linkKeys.slice(0, LINKS_PER_COMMIT)) if (draft.get(key) !== null) draft.put(key, null);
  if (linkKeys.length > LINKS_PER_COMMIT) {
    const rest = { ...profile, keys: withoutFirst(profile.keys, LINKS_PER_COMMIT) };
    draft.put(recordKeys.profile(profile.id), rearmExpiry(rest, nowMs, draft));
    return { kind: 'done', facts: [] };
  }
  draft.put(recordKeys.profile(profile.id), null);
  for (const timer of Object.keys(profile.timers)) draft.cancel(profile.id, timer);
  const lastEventAt = new Date(profile.lastEventAtMs).toISOString();
  return { kind: 'done', facts: [{ kind: 'profile_expired', profileId: profile.id, lastEventAt }] };
}

function withoutFirst(keys: Profile['keys'], count: number): Profile['keys'] {
  let left = count;
  const rest: Record<string, readonly HeldKey[]> = {};
  for (const [name, held] of Object.entries(keys)) {
    const cut = Math.min(left, held.length);
    left -= cut;
    if (cut < held.length) rest[name] = held.slice(cut);
  }
  return rest;
}

export interface TimerMessage {
  readonly profileId: string;
  readonly timer: string;
  readonly generation: number;
}

/** What a fired timer does. One of an old generation, or of a profile that is gone, does nothing. */
export function decideTimer(draft: Draft, timer: TimerMessage, nowMs: number, rules: Rules): Done | Need {
  const key = recordKeys.profile(timer.profileId);
  const state = draft.get(key) as Profile | Redirect | null | undefined;
  if (state === undefined) return { kind: 'need', keys: [key] };
  if (state?.kind === 'redirect' && timer.timer === REDIRECT_TIMER && state.generation === timer.generation) {
    return expireRedirect(draft, timer.profileId, state);
  }
  if (state?.kind === 'profile' && timer.timer === EXPIRE_TIMER) {
    return state.timers[EXPIRE_TIMER]?.generation === timer.generation
      ? expiryDue(draft, state, nowMs, rules)
      : { kind: 'done', facts: [] };
  }
  return { kind: 'done', facts: [] };
}

function expiryDue(draft: Draft, profile: Profile, nowMs: number, rules: Rules): Done | Need {
  const end = endOf(profile, rules.config);
  if (end !== null && end <= nowMs) return expireProfile(draft, profile, nowMs);
  const { [EXPIRE_TIMER]: _, ...timers } = profile.timers;
  const disarmed = { ...profile, timers };
  draft.put(recordKeys.profile(profile.id), end === null ? disarmed : rearmExpiry(disarmed, end, draft));
  return { kind: 'done', facts: [] };
}

/** Points the links that still go through the redirect straight to the survivor, then removes it. */
function expireRedirect(draft: Draft, id: string, redirect: Redirect): Done | Need {
  const end = chase(draft, redirect.to);
  if (end.kind === 'missing') return { kind: 'need', keys: [end.key] };
  if (end.kind === 'profile') {
    const survivor = end.profile;
    const missing = missingLinks(draft, survivor);
    if (missing.length > 0) return { kind: 'need', keys: missing };
    draft.guard(recordKeys.profile(survivor.id));
    for (const key of linkKeysOf(survivor)) {
      const link = draft.get(key) as Link | null;
      if (link?.profileId === id) draft.put(key, { ...link, profileId: survivor.id });
    }
  }
  draft.put(recordKeys.profile(id), null);
  return { kind: 'done', facts: [] };
}
