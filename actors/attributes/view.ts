// Attributes as a profile shows them at a time: what is kept, aggregates by their own names, and what is computed of it.
import type { AttributeConfig, SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { type Expression, type ExpressionContext, namedFields } from '../../shared/contract/expression.ts';
import { seedOf } from './backfill.ts';
import { expressionOf } from './evaluate.ts';
import { earlier } from './kind.ts';
import { isKept, kindOf, stateOf } from './kinds.ts';
import type { AttributeState } from './states.ts';

type States = Readonly<Record<string, AttributeState>>;

interface Computed {
  readonly name: string;
  readonly value: Expression;
}

/** What one config shows, prepared once. */
interface Shown {
  /** By every name that stands in a profile: the attributes that have to be looked at for it. */
  readonly owners: ReadonlyMap<string, AttributeConfig>;
  /** Each after those that it is computed of. */
  readonly computed: readonly Computed[];
  readonly computedOf: ReadonlyMap<string, readonly string[]>;
}

const NOTHING: Readonly<Record<string, never>> = {};
const prepared = new WeakMap<SegmentConfig['attributes'], Shown>();

/** Names of values that an attribute puts into the profile, its own first. */
export function namesOf(config: AttributeConfig): readonly string[] {
  if (config.type === 'list') return [config.name, ...config.aggregate.map(({ name }) => name)];
  return config.type === 'session' ? [config.name, ...config.counts.map(({ name }) => name)] : [config.name];
}

/**
 * Values by name at `nowMs`; what has none is absent. `only`: these names and what they are computed of, for expressions
 * that name no others. `tables`: rows of snapshots, which stand beside the attributes.
 */
export function viewAttributes(
  states: States,
  { attributes }: Pick<SegmentConfig, 'attributes'>,
  keys: Pick<ExpressionContext, 'keys' | 'keys_all'>,
  nowMs: number,
  only?: ReadonlySet<string>,
  tables: Readonly<Record<string, unknown>> = NOTHING,
): Record<string, unknown> {
  const shown = shownBy(attributes);
  const wanted = only && withSources(only, shown);
  const values: Record<string, unknown> = { ...tables };
  for (const config of attributes) {
    if (!isKept(config) || (wanted && !namesOf(config).some((name) => wanted.has(name)))) continue;
    const state = stateOf(states, config);
    const kind = kindOf(config);
    const value = kind.view(state, config, nowMs, 'backfill' in config ? seedOf(config, tables) : undefined);
    if (value !== undefined) values[config.name] = value;
    if (kind.aggregates) Object.assign(values, kind.aggregates(state, config, nowMs));
  }
  if (shown.computed.length === 0) return values;
  const context = { event: NOTHING, profile: values, ...keys, now: new Date(nowMs) };
  for (const { name, value } of shown.computed) {
    if (wanted && !wanted.has(name)) continue;
    const result = value.evaluate(context);
    if (result.kind === 'value' && result.value !== null) values[name] = result.value;
  }
  return values;
}

/** When a value of these names next changes without an event; undefined: never. */
export function nextChangeOf(
  states: States,
  { attributes }: Pick<SegmentConfig, 'attributes'>,
  names: ReadonlySet<string>,
  nowMs: number,
): number | undefined {
  const wanted = withSources(names, shownBy(attributes));
  let next: number | undefined;
  for (const config of attributes) {
    if (!isKept(config) || !namesOf(config).some((name) => wanted.has(name))) continue;
    const state = stateOf(states, config);
    if (state) next = earlier(next, kindOf(config).nextChange(state, config, nowMs));
  }
  return next;
}

/** Attributes by every name of theirs. */
export function ownersOf({
  attributes,
}: Pick<SegmentConfig, 'attributes'>): ReadonlyMap<string, AttributeConfig> {
  return shownBy(attributes).owners;
}

/** The names with those of everything that they are computed of. */
export function withSourcesOf(
  names: ReadonlySet<string>,
  { attributes }: Pick<SegmentConfig, 'attributes'>,
): ReadonlySet<string> {
  return withSources(names, shownBy(attributes));
}

function withSources(names: ReadonlySet<string>, { computedOf }: Shown): ReadonlySet<string> {
  const all = new Set(names);
  // Iteration reaches what is added on the way.
  for (const name of all) for (const source of computedOf.get(name) ?? []) all.add(source);
  return all;
}

function shownBy(attributes: SegmentConfig['attributes']): Shown {
  const known = prepared.get(attributes);
  if (known) return known;
  const owners = new Map(
    attributes.flatMap((config) => namesOf(config).map((name) => [name, config] as const)),
  );
  const computedOf = new Map<string, readonly string[]>();
  for (const config of attributes)
    if (config.type === 'computed') computedOf.set(config.name, namedFields(config.value, 'profile'));
  const shown = { owners, computedOf, computed: inOrder(attributes, computedOf) };
  prepared.set(attributes, shown);
  return shown;
}

/** The config's check has refused circles. */
function inOrder(
  attributes: SegmentConfig['attributes'],
  computedOf: ReadonlyMap<string, readonly string[]>,
): readonly Computed[] {
  const ordered = new Map<string, Computed>();
  const add = (name: string) => {
    const config = attributes.find((each) => each.name === name);
    if (config?.type !== 'computed' || ordered.has(name)) return;
    for (const source of computedOf.get(name) ?? []) add(source);
    ordered.set(name, { name, value: expressionOf(config.value) });
  };
  for (const { name } of attributes) add(name);
  return [...ordered.values()];
}
