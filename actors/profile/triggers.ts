// Triggers: what a key event, or a change of audience, sets off, given the profile as it is afterwards.
import type { ExpressionContext } from '../../shared/contract/expression.ts';
import type { Activation, AuditFact } from '../../shared/contract/outbox.ts';
import { sha256Base64Url } from '../../shared/kernel/hash.ts';
import { isTrue } from '../attributes/evaluate.ts';
import type { AppliedEvent } from './apply-event.ts';
import { type AudienceChange, isHidden } from './audiences.ts';
import type { Profile } from './profile.ts';
import { isUnknown } from './rebuilding.ts';
import type { Rules, TriggerRule } from './rules.ts';
import { keysNewest, profileContext } from './view.ts';

export interface Triggered {
  readonly profile: Profile;
  readonly requests: readonly { readonly activation: Activation; readonly priority: number }[];
}

/** What sets triggers off: a message of the log at its log time. */
export interface Cause {
  /** Message id of an event, or what names a timer's message: the same cause gives the same activation ids. */
  readonly id: string;
  readonly nowMs: number;
  /** Size of the message. */
  readonly bytes?: number;
}

interface Due {
  readonly rule: TriggerRule;
  readonly because:
    | { readonly event: string }
    | { readonly audience: string; readonly change: 'entered' | 'left' }
    | { readonly moment: string }
    /** A bound was crossed. */
    | Readonly<Record<never, never>>;
}

const ID_LENGTH = 22;
const NO_EVENT: Readonly<Record<string, never>> = {};

/** Activations of an event, and the profile with the marks of those that fire once. */
export function runTriggers(
  profile: Profile,
  event: AppliedEvent,
  hits: readonly string[],
  rules: Rules,
  facts: AuditFact[],
): Triggered {
  const due = hits.flatMap((hit) =>
    (rules.triggers.get(hit) ?? []).map((rule): Due => ({ rule, because: { event: hit } })),
  );
  return fire(
    profile,
    due,
    event.root,
    { id: event.messageId, nowMs: event.nowMs, bytes: event.bytes },
    rules,
    facts,
  );
}

/** Activations of changes of audiences. */
export function runAudienceTriggers(
  profile: Profile,
  changes: readonly AudienceChange[],
  cause: Cause,
  rules: Rules,
  facts: AuditFact[],
): Triggered {
  const due = changes.flatMap(({ audience, change }) => {
    const waiting = change === 'entered' ? rules.onEntered : rules.onLeft;
    const because = isHidden(audience) ? {} : { audience, change };
    return (waiting.get(audience) ?? []).map((rule): Due => ({ rule, because }));
  });
  return fire(profile, due, NO_EVENT, cause, rules, facts);
}

/** Activations of a moment that has come. */
export function runMomentTriggers(
  profile: Profile,
  { trigger, atMs }: { readonly trigger: string; readonly atMs: number },
  nowMs: number,
  rules: Rules,
  facts: AuditFact[],
): Triggered {
  const because = { moment: new Date(atMs).toISOString() };
  const due = (rules.onMoment.get(trigger) ?? []).map((rule): Due => ({ rule, because }));
  return fire(profile, due, NO_EVENT, { id: `moment:${profile.id}:${atMs}`, nowMs }, rules, facts);
}

function fire(
  profile: Profile,
  due: readonly Due[],
  event: Readonly<Record<string, unknown>>,
  cause: Cause,
  rules: Rules,
  facts: AuditFact[],
): Triggered {
  if (due.length === 0) return { profile, requests: [] };
  const { bytes = 0 } = cause;
  const context = { ...profileContext(profile, rules.config, event, cause.nowMs, rules.triggerNames), bytes };
  const requests: { activation: Activation; priority: number }[] = [];
  const fired: Record<string, number> = {};
  for (const one of due) {
    const { name, once, everyMs, priority } = one.rule.config;
    const lastMs = fired[name] ?? profile.fired[name];
    if (once && lastMs !== undefined && (everyMs === null || cause.nowMs - lastMs < everyMs)) continue;
    if (isUnknown(profile, one.rule.attributes)) continue;
    if (one.rule.when && !isTrue(one.rule.when, context, facts, `triggers.${name}.when`)) continue;
    if (once) fired[name] = cause.nowMs;
    requests.push({ activation: activationOf(profile, one, cause, rules, context), priority });
  }
  const marked =
    Object.keys(fired).length > 0 ? { ...profile, fired: { ...profile.fired, ...fired } } : profile;
  return { profile: marked, requests };
}

function activationOf(
  profile: Profile,
  { rule, because }: Due,
  cause: Cause,
  rules: Rules,
  context: ExpressionContext,
): Activation {
  const { segment } = rules.config;
  const { name: trigger, activate } = rule.config;
  return {
    id: sha256Base64Url(JSON.stringify([segment, 'trigger', trigger, cause.id]), ID_LENGTH),
    name: activate,
    segment,
    profileId: profile.id,
    keys: keysNewest(profile),
    payload: rule.payload.render(context) as Record<string, unknown>,
    ...(rule.to.length > 0 && { to: rule.to }),
    cause: { trigger, ...because, messageId: cause.id },
    at: new Date(cause.nowMs).toISOString(),
    configVersion: rules.configVersion,
  };
}
