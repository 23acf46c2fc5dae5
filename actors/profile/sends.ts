// What leaves for a profile: moments that have come set off their triggers, and all that one message asks for is let out, held
// back or suppressed together. One timer rings for both.
import type { AuditFact } from '../../shared/contract/outbox.ts';
import { letOut, type SendRequest, suppressed } from '../sending/let-out.ts';
import { lookAtMoments } from '../sending/moments.ts';
import { isNothing, isPending, NOTHING_SENT, nextSendDue, type Sending } from '../sending/states.ts';
import type { Draft } from './draft.ts';
import type { Profile } from './profile.ts';
import { isIncomplete } from './rebuilding.ts';
import type { Rules } from './rules.ts';
import { runMomentTriggers } from './triggers.ts';
import { keysNewest, profileContext } from './view.ts';

export const SEND_TIMER = 'sends';
const TIMER_STEP_MS = 1_000;
/** A profile that is counted anew lets nothing out: its clock is looked at so often. */
const LATER_MS = 60_000;
const NO_EVENT: Readonly<Record<string, never>> = {};

/** Moments that have come set off what waits for them. */
export function runMoments(
  profile: Profile,
  nowMs: number,
  rules: Rules,
  facts: AuditFact[],
  draft: Draft,
): Profile {
  const { sending = NOTHING_SENT } = profile;
  if (rules.moments.length === 0 && Object.keys(sending.moments).length === 0) return profile;
  if (isIncomplete(profile)) return profile;
  const { moments, due } = lookAtMoments(
    sending.moments,
    rules.moments,
    nowMs,
    contextOf(profile, rules, nowMs),
  );
  if (moments === sending.moments && due.length === 0) return profile;
  let current = withSending(profile, { ...sending, moments });
  for (const moment of due) {
    const triggered = runMomentTriggers(current, moment, nowMs, rules, facts);
    current = triggered.profile;
    for (const request of triggered.requests) draft.request(request.activation, request.priority);
  }
  return current;
}

/** Everything that was asked for leaves, waits, or is told of. Call it when nothing more happens to the profile. */
export function settleSends(
  profile: Profile,
  nowMs: number,
  rules: Rules,
  facts: AuditFact[],
  draft: Draft,
): Profile {
  const requests = draft.takeRequests(profile.id);
  const { sending = NOTHING_SENT } = profile;
  const isDue = sending.held.some(({ dueMs }) => dueMs <= nowMs) && !isIncomplete(profile);
  if (requests.length === 0 && !isDue) return profile;
  const asked = requests.map(({ activation, priority }): SendRequest => {
    const { profileId: _, keys: __, ...rest } = activation;
    return { activation: rest, priority };
  });
  const world = {
    rules: rules.sends,
    activations: rules.journeys.activations,
    nowMs,
    context: contextOf(profile, rules, nowMs),
    facts,
  };
  const settled = letOut(sending, asked, world);
  // What a profile was when it was decided stands in what it was decided for.
  const askedFor = new Map(requests.map(({ activation }) => [activation.id, activation]));
  const own = { profileId: profile.id, keys: keysNewest(profile) };
  for (const activation of settled.out) {
    const { profileId, keys } = askedFor.get(activation.id) ?? own;
    draft.activation({ ...activation, profileId, keys });
  }
  return withSending(profile, settled.sending);
}

/** Evaluated once, and only when somebody asks. */
function contextOf(profile: Profile, rules: Rules, nowMs: number) {
  let context: ReturnType<typeof profileContext> | undefined;
  return () => (context ??= profileContext(profile, rules.config, NO_EVENT, nowMs, rules.sendNames));
}

function withSending(profile: Profile, sending: Sending): Profile {
  const { sending: _, ...rest } = profile;
  return isNothing(sending) ? rest : { ...rest, sending };
}

/** What is held back for a profile that ends is not sent. */
export function sendsEnded({ sending }: Profile): readonly AuditFact[] {
  return (sending?.held ?? []).map(({ activation }) => suppressed(activation, 'ended'));
}

export function isMomentDue({ sending }: Profile, nowMs: number): boolean {
  if (!sending) return false;
  return Object.values(sending.moments).some((moment) => moment.atMs <= nowMs && isPending(moment));
}

export function withoutSendTimer(profile: Profile): Profile {
  const { [SEND_TIMER]: _, ...timers } = profile.timers;
  return { ...profile, timers };
}

/** A clock that rings too early is harmless: it is set again only when it would ring too late. */
export function withSendTimer(profile: Profile, nowMs: number, draft: Draft): Profile {
  if (!profile.sending) return profile;
  const armed = profile.timers[SEND_TIMER];
  // It has rung, and its message is on the way.
  if (armed && armed.dueMs <= nowMs) return profile;
  const next = nextSendDue(profile.sending);
  if (next === undefined || (armed && armed.dueMs <= Math.max(next, nowMs))) return profile;
  const dueMs = next <= nowMs ? nowMs + LATER_MS : Math.max(next, nowMs + TIMER_STEP_MS);
  const generation = profile.generation + 1;
  draft.arm(profile.id, SEND_TIMER, dueMs, generation);
  return { ...profile, generation, timers: { ...profile.timers, [SEND_TIMER]: { dueMs, generation } } };
}
