// A segment config compiled for deciding: every expression parsed once, attributes and triggers by key event.
import type {
  AttributeConfig,
  JourneyConfig,
  SegmentConfig,
  TriggerConfig,
} from '../../shared/contract/config/segment-config.ts';
import {
  type Expression,
  namedFields,
  namesRoot,
  requiredEventName,
  usesWhole,
} from '../../shared/contract/expression.ts';
import { compileTemplate, expressionsOf, type Template } from '../../shared/contract/template.ts';
import { invariant } from '../../shared/kernel/assert.ts';
import { expressionOf } from '../attributes/evaluate.ts';
import type { Step } from '../attributes/kind.ts';
import { stepsOf } from '../attributes/kinds.ts';
import { ownersOf, withSourcesOf } from '../attributes/view.ts';
import { compileJourney, journeySources } from '../journeys/compile.ts';
import type { JourneyRules } from '../journeys/run.ts';
import { compileMoment, type MomentRule } from '../sending/moments.ts';
import { type CompiledSendRules, compileSendRules, sendSources } from '../sending/rules.ts';
import type { CurrentRuns } from './join-batch.ts';

export interface TriggerRule {
  readonly config: TriggerConfig;
  readonly when: Expression | undefined;
  /** Attributes that the condition depends on. */
  readonly attributes: ReadonlySet<string>;
  readonly payload: Template;
  /** Destinations of the activation. */
  readonly to: readonly string[];
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
  /** Runs of snapshot tables that are in force. */
  readonly runs: CurrentRuns;
  /** Key events that an event of this name can be; those whose condition names no event name are in every list. */
  readonly eventsNamed: (eventName: string) => readonly KeyEventRule[];
  /** What every event does to attributes, and what key events do. */
  readonly everyEvent: readonly Step[];
  readonly steps: ReadonlyMap<string, readonly Step[]>;
  /** By key event: the shortest window of a counter that it feeds, ms. */
  readonly shortestWindow: ReadonlyMap<string, number>;
  /** By key event. */
  readonly triggers: ReadonlyMap<string, readonly TriggerRule[]>;
  /** By audience. */
  readonly onEntered: ReadonlyMap<string, readonly TriggerRule[]>;
  readonly onLeft: ReadonlyMap<string, readonly TriggerRule[]>;
  /** By trigger: those that wait for a moment. */
  readonly onMoment: ReadonlyMap<string, readonly TriggerRule[]>;
  readonly moments: readonly MomentRule[];
  readonly sends: CompiledSendRules;
  /** Values of the profile that rules of sending name; undefined: perhaps any. */
  readonly sendNames: ReadonlySet<string> | undefined;
  /** Whether a change of audience may set off what fires once. */
  readonly audiencesMark: boolean;
  /** Values of the profile that triggers and their payloads name; undefined: perhaps any. */
  readonly triggerNames: ReadonlySet<string> | undefined;
  readonly journeys: JourneyRules;
  /** Values of the profile that journeys name; undefined: perhaps any. */
  readonly journeyNames: ReadonlySet<string> | undefined;
  readonly audiences: readonly AudienceRule[];
  /** Values of the profile that audiences name, with what those are computed of. */
  readonly audienceNames: ReadonlySet<string>;
  /** Whether the clock alone may change the outcome of one. */
  readonly audiencesByClock: boolean;
}

export interface AudienceRule {
  readonly name: string;
  readonly when: Expression;
  /** Attributes that it depends on. */
  readonly attributes: ReadonlySet<string>;
  /** It may depend on more than attributes. */
  readonly always: boolean;
  /** A bound that is only crossed from beyond it. */
  readonly falls: boolean;
}

/** Under which a profile remembers that a bound is crossed; no name of a config has a colon. */
export function hiddenAudience(trigger: string): string {
  return `trigger:${trigger}`;
}

/** The config must have been parsed: what does not compile here is a bug. */
export function compileRules(
  config: SegmentConfig,
  configVersion: number,
  shards: number,
  runs: CurrentRuns = {},
  formerJourneys: readonly JourneyConfig[] = [],
): Rules {
  const activations = new Map(
    config.activations.map(({ name, to, payload }) => [name, { to, payload: templateOf(payload) }]),
  );
  const steps = stepsOf(config);
  const triggers = config.triggers.map((trigger): TriggerRule => {
    const activation = activations.get(trigger.activate);
    invariant(activation, `trigger ${trigger.name} activates ${trigger.activate}, which is not declared`);
    const when = trigger.when === null ? undefined : expressionOf(trigger.when);
    return { config: trigger, when, attributes: attributesIn(trigger.when, config), ...activation };
  });
  return {
    config,
    configVersion,
    shards,
    runs,
    eventsNamed: eventsByName(config),
    everyEvent: steps.filter(({ on }) => on === null),
    steps: groupBy(steps, ({ on }) => on),
    shortestWindow: shortestWindows(config),
    triggers: groupBy(triggers, ({ config: { on } }) => ('event' in on ? on.event : null)),
    onEntered: groupBy(triggers, ({ config: { name, on } }) =>
      'entered' in on ? on.entered : 'becomes' in on ? hiddenAudience(name) : null,
    ),
    onLeft: groupBy(triggers, ({ config: { on } }) => ('left' in on ? on.left : null)),
    onMoment: groupBy(triggers, ({ config: { name, on } }) => ('at' in on ? name : null)),
    moments: config.triggers.flatMap((trigger) => compileMoment(trigger) ?? []),
    sends: compileSendRules(config),
    sendNames: namesIn(sendSources(config)),
    audiencesMark: config.triggers.some(({ on, once }) => once && !('event' in on)),
    triggerNames: namesIn(triggerSources(config)),
    ...journeyRules(config, configVersion, formerJourneys, activations),
    ...audienceRules(config),
  };
}

function journeyRules(
  config: SegmentConfig,
  configVersion: number,
  former: readonly JourneyConfig[],
  activations: JourneyRules['activations'],
): Pick<Rules, 'journeys' | 'journeyNames'> {
  const journeys = config.journeys.map(compileJourney);
  // What an older config says may name what this one has not: then it does not hold.
  const all = [...former.map(compileJourney), ...journeys];
  const byDef = new Map(all.map((rule) => [rule.def, rule]));
  const sent = config.activations.flatMap(({ payload }) => expressionsOf(payload));
  const sources = [...all.flatMap((rule) => journeySources(rule.config)), ...sent];
  const { segment } = config;
  return {
    journeys: { segment, configVersion, journeys, byDef, activations },
    journeyNames: namesIn(sources),
  };
}

function shortestWindows({ attributes }: SegmentConfig): ReadonlyMap<string, number> {
  const shortest = new Map<string, number>();
  for (const attribute of attributes) {
    if (attribute.type !== 'counter' && attribute.type !== 'distinct') continue;
    for (const { ms } of attribute.windows)
      shortest.set(attribute.on, Math.min(ms, shortest.get(attribute.on) ?? ms));
  }
  return shortest;
}

function triggerSources({ triggers, activations }: SegmentConfig): readonly string[] {
  const payloads = activations.flatMap(({ payload }) => expressionsOf(payload));
  return [...triggers.flatMap(({ when }) => when ?? []), ...payloads];
}

/** Attributes that a condition depends on, through all that is computed. */
function attributesIn(when: string | null, config: SegmentConfig): ReadonlySet<string> {
  const owners = ownersOf(config);
  const names = withSourcesOf(namesIn(when === null ? [] : [when]) ?? new Set(owners.keys()), config);
  return new Set([...names].flatMap((each) => owners.get(each)?.name ?? []));
}

/** What expressions name of the profile; undefined when that cannot be told. */
function namesIn(sources: readonly string[]): ReadonlySet<string> | undefined {
  if (sources.some((source) => usesWhole(source, 'profile'))) return undefined;
  return new Set(sources.flatMap((source) => namedFields(source, 'profile')));
}

function audienceRules(
  config: SegmentConfig,
): Pick<Rules, 'audiences' | 'audienceNames' | 'audiencesByClock'> {
  const owners = ownersOf(config);
  const everything: ReadonlySet<string> = new Set(owners.keys());
  // A bound that is crossed is an audience that nobody sees.
  const crossings = config.triggers.flatMap(({ name, on }) =>
    'becomes' in on ? { name: hiddenAudience(name), when: on.becomes, falls: on.falls } : [],
  );
  const all: readonly { name: string; when: string; falls?: boolean }[] = [...config.audiences, ...crossings];
  const audiences = all.map(({ name, when, falls = false }) => {
    const named = namesIn([when]);
    const names = withSourcesOf(named ?? everything, config);
    const sources = [when, ...[...names].flatMap((each) => sourceOf(owners.get(each)))];
    const attributes = new Set([...names].flatMap((each) => owners.get(each)?.name ?? []));
    const always = sources.some((text) => namesRoot(text, 'keys') || namesRoot(text, 'keys_all'));
    const byClock = sources.some((text) => /(?<![.\w])now(?!\w)/.test(text));
    return {
      rule: { name, when: expressionOf(when), attributes, always: always || byClock, falls },
      names,
      byClock,
    };
  });
  return {
    audiences: audiences.map(({ rule }) => rule),
    audienceNames: new Set(audiences.flatMap(({ names }) => [...names])),
    audiencesByClock: audiences.some(({ byClock }) => byClock),
  };
}

/** Expressions that are evaluated when the attribute is looked at. */
function sourceOf(config: AttributeConfig | undefined): readonly string[] {
  if (config?.type === 'list') return config.aggregate.flatMap(({ of }) => of ?? []);
  return config?.type === 'computed' ? [config.value] : [];
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

/** Those of which `keyOf` says null are left out. */
function groupBy<T>(rules: readonly T[], keyOf: (rule: T) => string | null): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const rule of rules) {
    const key = keyOf(rule);
    if (key !== null) groups.set(key, [...(groups.get(key) ?? []), rule]);
  }
  return groups;
}

function templateOf(source: unknown): Template {
  const compiled = compileTemplate(source);
  invariant(compiled.kind === 'ok', 'template does not compile');
  return compiled.template;
}
