// Triggers: what a key event sets off, given the profile as it is after the event.
import type { ExpressionContext } from '../../shared/contract/expression.ts';
import type { Activation, AuditFact } from '../../shared/contract/outbox.ts';
import { sha256Base64Url } from '../../shared/kernel/hash.ts';
import { type AppliedEvent, isTrue } from './apply-event.ts';
import type { Profile } from './profile.ts';
import type { Rules, TriggerRule } from './rules.ts';
import { keysNewest, profileContext } from './view.ts';

export interface Triggered {
  readonly profile: Profile;
  readonly activations: readonly Activation[];
}

const ID_LENGTH = 22;

/** Activations of an event, and the profile with the marks of those that fire once. */
export function runTriggers(
  profile: Profile,
  event: AppliedEvent,
  hits: readonly string[],
  rules: Rules,
  facts: AuditFact[],
): Triggered {
  const due = hits.flatMap((hit) => rules.triggers.get(hit) ?? []);
  if (due.length === 0) return { profile, activations: [] };
  const context = profileContext(profile, rules.config, event.root, event.nowMs);
  const activations: Activation[] = [];
  const fired: Record<string, number> = {};
  for (const rule of due) {
    const { name, once, activate } = rule.config;
    if (once && (profile.fired[name] !== undefined || fired[name] !== undefined)) continue;
    if (rule.when && !isTrue(rule.when, context, facts, `triggers.${name}.when`)) continue;
    if (once) fired[name] = event.nowMs;
    activations.push(activationOf(profile, event, rule, activate, rules, context));
  }
  const marked =
    Object.keys(fired).length > 0 ? { ...profile, fired: { ...profile.fired, ...fired } } : profile;
  return { profile: marked, activations };
}

function activationOf(
  profile: Profile,
  event: AppliedEvent,
  rule: TriggerRule,
  name: string,
  rules: Rules,
  context: ExpressionContext,
): Activation {
  const { segment } = rules.config;
  const trigger = rule.config.name;
  return {
    id: sha256Base64Url(JSON.stringify([segment, 'trigger', trigger, event.messageId]), ID_LENGTH),
    name,
    segment,
    profileId: profile.id,
    keys: keysNewest(profile),
    payload: rule.payload.render(context) as Record<string, unknown>,
    cause: { trigger, event: rule.config.on, messageId: event.messageId },
    at: new Date(event.nowMs).toISOString(),
    configVersion: rules.configVersion,
  };
}
