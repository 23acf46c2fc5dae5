// Journeys of a profile: whatever happens to it is handed to them, what they set is counted in, and one timer rings when the
// first of them goes on by time alone.
import type { AuditFact } from '../../shared/contract/outbox.ts';
import { newerSingle } from '../attributes/single.ts';
import type { SingleState } from '../attributes/states.ts';
import { nextDue } from '../journeys/due.ts';
import { type Happening, travel } from '../journeys/run.ts';
import { mergeJourneys } from '../journeys/states.ts';
import type { AppliedEvent } from './apply-event.ts';
import { type AudienceChange, evaluateAudiences } from './audiences.ts';
import type { Draft } from './draft.ts';
import type { Profile } from './profile.ts';
import { isIncomplete } from './rebuilding.ts';
import type { Rules } from './rules.ts';
import { type Cause, runAudienceTriggers } from './triggers.ts';
import { keysNewest, profileContext } from './view.ts';

export const JOURNEY_TIMER = 'journeys';
const TIMER_STEP_MS = 1_000;
/** While a profile is counted anew, or a journey is paused, its clocks are looked at so often. */
const LATER_MS = 60_000;
/** What journeys set may change audiences, and these set off journeys. */
const ROUNDS_MAX = 3;
const NO_EVENT: Readonly<Record<string, never>> = {};

export interface Occasion {
  readonly cause: Cause;
  readonly event?: { readonly applied: AppliedEvent; readonly hits: readonly string[] };
  readonly changes: readonly AudienceChange[];
}

/** The profile after triggers of audiences and journeys; activations go into the draft. */
export function react(
  profile: Profile,
  occasion: Occasion,
  rules: Rules,
  facts: AuditFact[],
  draft: Draft,
): Profile {
  let current = profile;
  let { changes } = occasion;
  let event = occasion.event;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const triggered = runAudienceTriggers(current, changes, causeOf(occasion.cause, round), rules, facts);
    for (const { activation, priority } of triggered.requests) draft.request(activation, priority);
    current = goThrough(
      triggered.profile,
      { ...occasion, changes, ...(event && { event }) },
      round,
      rules,
      facts,
      draft,
    );
    if (current.attributes === triggered.profile.attributes) return current;
    const looked = evaluateAudiences(current, triggered.profile, occasion.cause.nowMs, rules, facts);
    current = looked.profile;
    changes = looked.changes;
    if (changes.length === 0) return current;
    event = undefined;
  }
  return current;
}

/** Each round is a cause of its own. */
function causeOf(cause: Cause, round: number): Cause {
  return round === 0 ? cause : { ...cause, id: `${cause.id}:${round}` };
}

function goThrough(
  profile: Profile,
  { cause, event, changes }: Occasion,
  round: number,
  rules: Rules,
  facts: AuditFact[],
  draft: Draft,
): Profile {
  const { journeys = NONE, journeyPasts: pasts = NONE } = profile;
  if (rules.journeys.journeys.length === 0 && Object.keys(journeys).length === 0) return profile;
  if (isIncomplete(profile)) return profile;
  const { nowMs, bytes = 0 } = cause;
  const happening: Happening = {
    id: causeOf(cause, round).id,
    nowMs,
    entered: changes.flatMap(({ audience, change }) => (change === 'entered' ? audience : [])),
    ...(event && {
      event: { mark: { atMs: event.applied.atMs, messageId: event.applied.messageId }, hits: event.hits },
    }),
  };
  const root = event?.applied.root ?? NO_EVENT;
  const contextOf = (set: Readonly<Record<string, SingleState>>) => ({
    ...profileContext(withSet(profile, set), rules.config, root, nowMs, rules.journeyNames),
    bytes,
  });
  const traveller = { profileId: profile.id, journeys, pasts };
  const travelled = travel(traveller, happening, rules.journeys, contextOf);
  facts.push(...travelled.facts);
  const keys = keysNewest(profile);
  for (const activation of travelled.activations) {
    const rule = rules.journeys.journeys.find(({ name }) => name === activation.cause.journey);
    draft.request({ ...activation, keys }, rule?.config.priority ?? 0);
  }
  if (travelled.facts.length === 0 && isSame(journeys, travelled.journeys) && isSame(pasts, travelled.pasts))
    return profile;
  return withJourneys(withSet(profile, travelled.set), travelled.journeys, travelled.pasts);
}

const NONE: Readonly<Record<string, never>> = {};

function isSame(a: object, b: object): boolean {
  const entries = Object.entries(b);
  return (
    entries.length === Object.keys(a).length && entries.every(([name, value]) => (a as never)[name] === value)
  );
}

function withSet(profile: Profile, set: Readonly<Record<string, SingleState>>): Profile {
  const names = Object.keys(set);
  if (names.length === 0) return profile;
  const attributes = { ...profile.attributes };
  for (const name of names) {
    const before = attributes[name];
    attributes[name] = before?.kind === 'single' ? newerSingle(before, set[name]!) : set[name]!;
  }
  return { ...profile, attributes };
}

function withJourneys(
  profile: Profile,
  journeys: Profile['journeys'],
  pasts: Profile['journeyPasts'],
): Profile {
  const { journeys: _, journeyPasts: __, ...rest } = profile;
  return {
    ...rest,
    ...(journeys && Object.keys(journeys).length > 0 && { journeys }),
    ...(pasts && Object.keys(pasts).length > 0 && { journeyPasts: pasts }),
  };
}

export function isJourneyTimerDue({ timers }: Profile, nowMs: number): boolean {
  const armed = timers[JOURNEY_TIMER];
  return armed !== undefined && armed.dueMs <= nowMs;
}

export function withoutJourneyTimer(profile: Profile): Profile {
  const { [JOURNEY_TIMER]: _, ...timers } = profile.timers;
  return { ...profile, timers };
}

/** A clock that rings too early is harmless: it is set again only when it would ring too late. */
export function withJourneyTimer(profile: Profile, rules: Rules, nowMs: number, draft: Draft): Profile {
  if (!profile.journeys) return profile;
  const armed = profile.timers[JOURNEY_TIMER];
  // It has rung, and its message is on the way.
  if (armed && armed.dueMs <= nowMs) return profile;
  const next = nextDue(profile.journeys, rules.journeys);
  if (next === undefined || (armed && armed.dueMs <= Math.max(next, nowMs))) return profile;
  // What is due already and did not go on waits for something.
  const dueMs = next <= nowMs ? nowMs + LATER_MS : Math.max(next, nowMs + TIMER_STEP_MS);
  const generation = profile.generation + 1;
  draft.arm(profile.id, JOURNEY_TIMER, dueMs, generation);
  return { ...profile, generation, timers: { ...profile.timers, [JOURNEY_TIMER]: { dueMs, generation } } };
}

/** What is to be told of two profiles that become one: of journeys that both are in, one goes on. */
export function journeysEndedBy(survivor: Profile, other: Profile): readonly AuditFact[] {
  const { ended } = mergeJourneys(survivor.journeys, other.journeys);
  return ended.map(({ journey, of }) => {
    const left = of === 'a' ? survivor : other;
    const step = left.journeys?.[journey]?.stepId;
    return { kind: 'journey_left', journey, profileId: left.id, reason: 'merged', step };
  });
}
