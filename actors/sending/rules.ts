// When something may be sent, prepared for deciding: the rules of an activation and of its channel together.
import type { SegmentConfig, SendRules } from '../../shared/contract/config/segment-config.ts';
import type { Expression, ExpressionContext } from '../../shared/contract/expression.ts';
import { compileTemplate, expressionsOf } from '../../shared/contract/template.ts';
import { invariant } from '../../shared/kernel/assert.ts';
import { isZone } from '../../shared/kernel/time-zone.ts';
import { expressionOf } from '../attributes/evaluate.ts';

/** Gives the name of a time zone. */
export type ZoneOf = (context: () => ExpressionContext) => string;

export interface SendRule {
  readonly caps: readonly {
    /** What is counted: of a channel all that is sent by it. */
    readonly counts: string;
    readonly count: number;
    readonly ms: number;
  }[];
  readonly quiet: readonly { readonly from: string; readonly to: string; readonly zone: ZoneOf }[];
  readonly consent: readonly { readonly when: Expression; readonly where: string }[];
}

const FALLBACK_ZONE = 'UTC';

export interface CompiledSendRules {
  /** By activation; those without a rule are not among them. */
  readonly byActivation: ReadonlyMap<string, SendRule>;
  /** By what is counted: how far back, and how many, any cap asks. */
  readonly counted: ReadonlyMap<string, { readonly ms: number; readonly count: number }>;
}

export function compileSendRules({ activations, channels }: SegmentConfig): CompiledSendRules {
  const rules = new Map<string, SendRule>();
  for (const activation of activations) {
    const channel = channels.find(({ name }) => name === activation.channel);
    const own = ruleOf(activation, `a:${activation.name}`, `activations.${activation.name}`);
    const shared = channel && ruleOf(channel, `c:${channel.name}`, `channels.${channel.name}`);
    const rule: SendRule = {
      caps: [...own.caps, ...(shared?.caps ?? [])],
      quiet: [...own.quiet, ...(shared?.quiet ?? [])],
      consent: [...own.consent, ...(shared?.consent ?? [])],
    };
    if (rule.caps.length + rule.quiet.length + rule.consent.length > 0) rules.set(activation.name, rule);
  }
  const counted = new Map<string, { ms: number; count: number }>();
  for (const { counts, ms, count } of [...rules.values()].flatMap(({ caps }) => caps)) {
    const before = counted.get(counts);
    counted.set(counts, { ms: Math.max(ms, before?.ms ?? 0), count: Math.max(count, before?.count ?? 0) });
  }
  return { byActivation: rules, counted };
}

function ruleOf({ caps, quiet, consent }: SendRules, counts: string, where: string): SendRule {
  return {
    caps: caps.map((cap) => ({ counts, ...cap })),
    quiet: quiet ? [{ ...quiet, zone: zoneOf(quiet.zone) }] : [],
    consent: consent === null ? [] : [{ when: expressionOf(consent), where: `${where}.consent` }],
  };
}

/** What the rules evaluate over the profile. */
export function sendSources({ activations, channels, triggers }: SegmentConfig): readonly string[] {
  const rules: readonly SendRules[] = [...activations, ...channels];
  const moments = triggers.flatMap(({ on }) => ('at' in on ? [on.at, ...expressionsOf(on.zone)] : []));
  const own = rules.flatMap(({ consent, quiet }) => [
    ...(consent === null ? [] : [consent]),
    ...expressionsOf(quiet?.zone),
  ]);
  return [...own, ...moments];
}

/** A zone that a customer does not have, or that there is not, is UTC. */
export function zoneOf(text: string): ZoneOf {
  if (expressionsOf(text).length === 0) return () => text;
  const compiled = compileTemplate(text);
  invariant(compiled.kind === 'ok', `zone does not compile: ${text}`);
  return (context) => {
    const zone = compiled.template.render(context());
    return typeof zone === 'string' && zone !== '' && isZone(zone) ? zone : FALLBACK_ZONE;
  };
}
