// The end of a decision about a profile: moments that have come, what is to be sent, and every timer that it needs armed.
import type { AuditFact } from '../../shared/contract/outbox.ts';
import { withAudienceTimer } from './audiences.ts';
import type { Draft } from './draft.ts';
import { withExpiry } from './lifecycle.ts';
import type { Profile } from './profile.ts';
import type { Rules } from './rules.ts';
import { runMoments, settleSends, withSendTimer } from './sends.ts';
import { withJourneyTimer } from './travel.ts';

export function withTimers(
  profile: Profile,
  rules: Rules,
  nowMs: number,
  facts: AuditFact[],
  draft: Draft,
): Profile {
  const moved = runMoments(profile, nowMs, rules, facts, draft);
  return armed(settleSends(moved, nowMs, rules, facts, draft), rules, nowMs, draft);
}

function armed(profile: Profile, rules: Rules, nowMs: number, draft: Draft): Profile {
  const known = withAudienceTimer(withExpiry(profile, rules.config, draft), rules, nowMs, draft);
  return withSendTimer(withJourneyTimer(known, rules, nowMs, draft), nowMs, draft);
}
