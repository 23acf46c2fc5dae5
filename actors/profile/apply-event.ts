// Folds one customer event into a profile. Pure: same inputs, same result, for ever.
import type { SingleConfig } from '../../shared/contract/config/segment-config.ts';
import type { Evaluated, Expression, ExpressionContext } from '../../shared/contract/expression.ts';
import type { AuditFact } from '../../shared/contract/outbox.ts';
import { addToCounter, INCREMENT_MAX } from './counter.ts';
import type { AttributeState, Profile, SingleState } from './profile.ts';
import type { AttributeRule, Rules } from './rules.ts';
import { markSeen, type SeenId } from './seen.ts';

/** An event as expressions see it, with the times that count. */
export interface AppliedEvent {
  readonly messageId: string;
  readonly name: string;
  readonly seenId: SeenId;
  readonly root: Readonly<Record<string, unknown>>;
  /** Event time, clamped. */
  readonly atMs: number;
  /** Log time. */
  readonly nowMs: number;
}

/** Largest value of a `single` attribute, as JSON. */
const SINGLE_BYTES_MAX = 16_384;

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
  profile: Profile,
  event: AppliedEvent,
  hits: readonly string[],
  rules: Rules,
  facts: AuditFact[],
): Profile {
  const changed: Record<string, AttributeState> = {};
  const context = contextOf(event);
  for (const hit of hits) {
    for (const rule of rules.attributes.get(hit) ?? []) {
      const { name } = rule.config;
      const before = changed[name] ?? profile.attributes[name];
      const after = reduceAttribute(before, rule, event, context, facts);
      if (after !== undefined && after !== before) changed[name] = after;
    }
  }
  return {
    ...profile,
    attributes: { ...profile.attributes, ...changed },
    seen: markSeen(profile.seen, event.seenId, event.nowMs),
    updatedAtMs: Math.max(profile.updatedAtMs, event.nowMs),
    lastEventAtMs: Math.max(profile.lastEventAtMs, event.nowMs),
    configVersion: rules.configVersion,
  };
}

function reduceAttribute(
  before: AttributeState | undefined,
  rule: AttributeRule,
  event: AppliedEvent,
  context: ExpressionContext,
  facts: AuditFact[],
): AttributeState | undefined {
  const { config, expression } = rule;
  const value = expression ? resultOf(expression, context, facts, `attributes.${config.name}`) : 1;
  if (value === undefined || value === null) return before;
  if (config.type === 'single') return reduceSingle(before, config, value, event, facts);
  if (typeof value !== 'number' || Math.abs(value) > INCREMENT_MAX) {
    const reason = `the increment is not a number between -${INCREMENT_MAX} and ${INCREMENT_MAX}`;
    facts.push(failed(`attributes.${config.name}`, expression!.source, reason));
    return before;
  }
  const counter = before?.kind === 'counter' ? before : undefined;
  return addToCounter(counter, config, value, event.atMs, event.nowMs);
}

/** Newest by event time wins, ties go to the greater message id, so that the order of arrival makes no difference. */
function reduceSingle(
  before: AttributeState | undefined,
  config: SingleConfig,
  value: unknown,
  event: AppliedEvent,
  facts: AuditFact[],
): AttributeState | undefined {
  const after: SingleState = { kind: 'single', value, atMs: event.atMs, messageId: event.messageId };
  const bytes = sizeOf(value);
  if (bytes > SINGLE_BYTES_MAX) {
    facts.push(failed(`attributes.${config.name}`, config.value, `the value has ${bytes} bytes`));
    return before;
  }
  return before?.kind === 'single' ? newerSingle(before, after) : after;
}

/** As JSON, in bytes; of a text that is far below the limit an upper bound. */
function sizeOf(value: unknown): number {
  if (typeof value === 'number' || typeof value === 'boolean') return 8;
  if (typeof value === 'string' && value.length * 6 < SINGLE_BYTES_MAX) return value.length * 6;
  return Buffer.byteLength(JSON.stringify(value));
}

export function newerSingle(a: SingleState, b: SingleState): SingleState {
  if (a.atMs !== b.atMs) return a.atMs > b.atMs ? a : b;
  return a.messageId >= b.messageId ? a : b;
}

/** Key events and attributes see the event alone, so that they do not depend on what was applied before. */
function contextOf({ root, nowMs }: AppliedEvent): ExpressionContext {
  const keys = root.keys as Record<string, string>;
  return { event: root, profile: NOTHING, keys, keys_all: NOTHING, now: new Date(nowMs) };
}

/** Whether a condition holds; one that cannot be evaluated does not, and is noted. */
export function isTrue(
  expression: Expression,
  context: ExpressionContext,
  facts: AuditFact[],
  where: string,
): boolean {
  return resultOf(expression, context, facts, where) === true;
}

function resultOf(
  expression: Expression,
  context: ExpressionContext,
  facts: AuditFact[],
  where: string,
): unknown {
  const result: Evaluated = expression.evaluate(context);
  if (result.kind === 'value') return result.value;
  if (result.kind === 'failed') facts.push(failed(where, expression.source, result.reason));
  return undefined;
}

function failed(where: string, expression: string, reason: string): AuditFact {
  return { kind: 'condition_failed', where, expression, reason };
}
