// Folds one customer event into a profile. Pure: same inputs, same result, for ever.
import type { ExpressionContext } from '../../shared/contract/expression.ts';
import type { AuditFact } from '../../shared/contract/outbox.ts';
import { isTrue } from '../attributes/evaluate.ts';
import type { Step } from '../attributes/kind.ts';
import type { AttributeState } from '../attributes/states.ts';
import type { Profile } from './profile.ts';
import type { Rules } from './rules.ts';
import { markSeen, type SeenId } from './seen.ts';
import { underConfig } from './under-config.ts';

/** An event as expressions see it, with the times that count. */
export interface AppliedEvent {
  readonly messageId: string;
  readonly name: string;
  readonly seenId: SeenId;
  readonly root: Readonly<Record<string, unknown>>;
  /** Event time, clamped. */
  readonly atMs: number;
  /** The sender's clock was too far ahead. */
  readonly isAhead: boolean;
  /** Log time. */
  readonly nowMs: number;
  /** Size of the message. */
  readonly bytes: number;
  /** Position in the log. */
  readonly sequence: number;
}

const NOTHING: Readonly<Record<string, never>> = {};

/** Names of the key events that the event is. */
export function matchKeyEvents(event: AppliedEvent, rules: Rules, facts: AuditFact[]): readonly string[] {
  const hits: string[] = [];
  for (const { name, when } of rules.eventsNamed(event.name)) {
    if (!when || isTrue(when, contextOf(event), facts, `events.${name}.when`)) hits.push(name);
  }
  return hits;
}

/** The profile with the event counted, its id marked as seen. What could not be evaluated is noted in `facts`. */
export function applyEvent(
  before: Profile,
  event: AppliedEvent,
  hits: readonly string[],
  rules: Rules,
  facts: AuditFact[],
): Profile {
  const profile = underConfig(before, rules);
  const changed: Record<string, AttributeState> = {};
  const input = { event, hits, context: contextOf(event), facts };
  const run = ({ attribute, run }: Step) => {
    const before = changed[attribute] ?? profile.attributes[attribute];
    const after = run(before, input);
    if (after !== undefined && after !== before) changed[attribute] = after;
  };
  rules.everyEvent.forEach(run);
  for (const hit of hits) rules.steps.get(hit)?.forEach(run);
  return {
    ...profile,
    attributes: { ...profile.attributes, ...changed },
    seen: markSeen(profile.seen, event.seenId, event.nowMs),
    updatedAtMs: Math.max(profile.updatedAtMs, event.nowMs),
    lastEventAtMs: Math.max(profile.lastEventAtMs, event.nowMs),
  };
}

/** The profile after a link: its id marked as seen, nothing counted, its time no longer than before. */
export function applyLink(before: Profile, { seenId, nowMs }: AppliedEvent, rules: Rules): Profile {
  const profile = underConfig(before, rules);
  const updatedAtMs = Math.max(profile.updatedAtMs, nowMs);
  return { ...profile, seen: markSeen(profile.seen, seenId, nowMs), updatedAtMs };
}

/** Key events and attributes see the event alone, so that they do not depend on what was applied before. */
function contextOf({ root, nowMs, bytes }: AppliedEvent): ExpressionContext {
  const keys = root.keys as Record<string, string>;
  return { event: root, profile: NOTHING, keys, keys_all: NOTHING, now: new Date(nowMs), bytes };
}
