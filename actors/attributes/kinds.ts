// The kinds of attributes by the type that the config gives them.
import type { AttributeConfig, SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { counter } from './counter.ts';
import { distinct } from './distinct.ts';
import { average, extreme } from './extremes.ts';
import { mostFrequent } from './frequency.ts';
import type { Kind, Step } from './kind.ts';
import { list } from './list.ts';
import { session } from './session.ts';
import { single } from './single.ts';
import type { AttributeState } from './states.ts';

/** Kept by the profile, as opposed to computed when somebody looks. */
export type KeptConfig = Exclude<AttributeConfig, { type: 'computed' }>;

const KINDS: { readonly [T in KeptConfig['type']]: unknown } = {
  single,
  counter,
  distinct,
  list,
  min: extreme,
  max: extreme,
  avg: average,
  most_frequent: mostFrequent,
  session,
};

/** The kind of an attribute, for its own config and states. */
export function kindOf(config: KeptConfig): Kind<KeptConfig, AttributeState> {
  return KINDS[config.type] as Kind<KeptConfig, AttributeState>;
}

export function isKept(config: AttributeConfig): config is KeptConfig {
  return config.type !== 'computed';
}

/** What is kept of the attribute; undefined also when it was of another kind before: then it starts anew. */
export function stateOf(
  states: Readonly<Record<string, AttributeState>>,
  config: KeptConfig,
): AttributeState | undefined {
  const state = states[config.name];
  return state?.kind === kindOf(config).state ? state : undefined;
}

/** What key events do to the attributes, in the order of the config. */
export function stepsOf({ attributes }: SegmentConfig): readonly Step[] {
  return attributes.filter(isKept).flatMap((config) => kindOf(config).steps(config));
}

/** How two states of an attribute become one. */
export type Joining =
  /** Two profiles': by the attribute's rule; `a` is the survivor's. */
  | 'profiles'
  /** Two parts of one profile's events: as if they had been counted together. */
  | 'parts';

/** The survivor's states come first. All rules but `survivor` give the same whatever the order. */
export function joinAttributes(
  survivor: Readonly<Record<string, AttributeState>>,
  other: Readonly<Record<string, AttributeState>>,
  { attributes }: Pick<SegmentConfig, 'attributes'>,
  joining: Joining,
): Readonly<Record<string, AttributeState>> {
  const joined: Record<string, AttributeState> = {};
  // What the config no longer has is dropped: a merge may hide that one of the two was last decided by an older one.
  for (const config of attributes.filter(isKept)) {
    const [a, b] = [survivor[config.name], other[config.name]];
    const state = a === undefined ? b : b === undefined ? a : joinTwo(a, b, config, joining);
    if (state !== undefined) joined[config.name] = state;
  }
  return joined;
}

function joinTwo(a: AttributeState, b: AttributeState, config: KeptConfig, joining: Joining): AttributeState {
  const kind = kindOf(config);
  // Its type changed between the two.
  if (a.kind !== kind.state) return b.kind === kind.state ? b : a;
  if (b.kind !== kind.state) return a;
  if (joining === 'parts') return kind.combine(a, b, asOnePerson(config));
  return config.merge === 'survivor' ? a : kind.combine(a, b, config);
}

/** The config without a rule for merges. */
function asOnePerson(config: KeptConfig): KeptConfig {
  if (config.type === 'single') return { ...config, merge: config.keep === 'first' ? 'oldest' : 'newest' };
  return config.type === 'counter' ? { ...config, merge: 'sum' } : config;
}
