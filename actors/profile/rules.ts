// A segment config compiled for deciding: every expression parsed once, attributes and triggers by key event.
import type {
  AttributeConfig,
  SegmentConfig,
  TriggerConfig,
} from '../../shared/contract/config/segment-config.ts';
import { compileExpression, type Expression, requiredEventName } from '../../shared/contract/expression.ts';
import { compileTemplate, type Template } from '../../shared/contract/template.ts';
import { invariant } from '../../shared/kernel/assert.ts';

export interface AttributeRule {
  readonly config: AttributeConfig;
  /** The value, or the increment; undefined: 1. */
  readonly expression: Expression | undefined;
}

export interface TriggerRule {
  readonly config: TriggerConfig;
  readonly when: Expression | undefined;
  readonly payload: Template;
}

export interface KeyEventRule {
  readonly name: string;
  /** Undefined: the name of the event says it all. */
  readonly when: Expression | undefined;
}

export interface Rules {
  readonly config: SegmentConfig;
  readonly configVersion: number;
  readonly shards: number;
  /** Key events that an event of this name can be; those whose condition names no event name are in every list. */
  readonly eventsNamed: (eventName: string) => readonly KeyEventRule[];
  readonly attributes: ReadonlyMap<string, readonly AttributeRule[]>;
  readonly triggers: ReadonlyMap<string, readonly TriggerRule[]>;
}

/** The config must have been parsed: what does not compile here is a bug. */
export function compileRules(config: SegmentConfig, configVersion: number, shards: number): Rules {
  const payloads = new Map(config.activations.map(({ name, payload }) => [name, templateOf(payload)]));
  const attributes = config.attributes.map((attribute): AttributeRule => {
    const source = attribute.type === 'single' ? attribute.value : attribute.by;
    return { config: attribute, expression: source === null ? undefined : expressionOf(source) };
  });
  const triggers = config.triggers.map((trigger): TriggerRule => {
    const payload = payloads.get(trigger.activate);
    invariant(payload, `trigger ${trigger.name} activates ${trigger.activate}, which is not declared`);
    return { config: trigger, when: trigger.when === null ? undefined : expressionOf(trigger.when), payload };
  });
  return {
    config,
    configVersion,
    shards,
    eventsNamed: eventsByName(config),
    attributes: groupByEvent(attributes),
    triggers: groupByEvent(triggers),
  };
}

/** Most conditions ask for one event name first: by it the few that can hold are found without evaluating the others. */
function eventsByName(config: SegmentConfig): (eventName: string) => readonly KeyEventRule[] {
  const rules = config.events.map(({ name, when }) => {
    const required = requiredEventName(when);
    const rule: KeyEventRule = { name, when: required?.isAll ? undefined : expressionOf(when) };
    return { rule, eventName: required?.eventName };
  });
  const anyName = rules.filter(({ eventName }) => eventName === undefined).map(({ rule }) => rule);
  const byName = new Map<string, readonly KeyEventRule[]>();
  for (const { eventName } of rules) {
    if (eventName === undefined || byName.has(eventName)) continue;
    const possible = rules.filter((other) => other.eventName === undefined || other.eventName === eventName);
    byName.set(
      eventName,
      possible.map(({ rule }) => rule),
    );
  }
  return (eventName) => byName.get(eventName) ?? anyName;
}

function groupByEvent<T extends { readonly config: { readonly on: string } }>(
  rules: readonly T[],
): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const rule of rules) groups.set(rule.config.on, [...(groups.get(rule.config.on) ?? []), rule]);
  return groups;
}

function expressionOf(source: string): Expression {
  const compiled = compileExpression(source);
  invariant(compiled.kind === 'ok', `expression does not compile: ${source}`);
  return compiled.expression;
}

function templateOf(source: unknown): Template {
  const compiled = compileTemplate(source);
  invariant(compiled.kind === 'ok', 'template does not compile');
  return compiled.template;
}
