// Every timer that a profile needs, armed.
import { withAudienceTimer } from './audiences.ts';
import type { Draft } from './draft.ts';
import { withExpiry } from './lifecycle.ts';
import type { Profile } from './profile.ts';
import type { Rules } from './rules.ts';
import { withJourneyTimer } from './travel.ts';

export function withTimers(profile: Profile, rules: Rules, nowMs: number, draft: Draft): Profile {
  const known = withAudienceTimer(withExpiry(profile, rules.config, draft), rules, nowMs, draft);
  return withJourneyTimer(known, rules, nowMs, draft);
}
