// Attributes of two profiles as one, by the rule of each. All rules but `survivor` give the same whatever the order.
import type {
  AttributeConfig,
  SegmentConfig,
  SingleMerge,
} from '../../shared/contract/config/segment-config.ts';
import { newerSingle } from './apply-event.ts';
import { maxOfCounters, mergeCounters } from './counter.ts';
import type { AttributeState, Profile, SingleState } from './profile.ts';

/** Words for a consent that is not given. */
const REFUSALS: ReadonlySet<unknown> = new Set([
  false,
  0,
  'false',
  'no',
  'none',
  'denied',
  'deny',
  'refused',
  'revoked',
  'withdrawn',
  'unsubscribed',
  'opt_out',
  'opted_out',
  'suppressed',
]);

/** The survivor's attributes come first: they stay where the rule says so. */
export function mergeAttributes(
  survivor: Profile['attributes'],
  other: Profile['attributes'],
  config: Pick<SegmentConfig, 'attributes'>,
): Profile['attributes'] {
  const attributes: Record<string, AttributeState> = { ...survivor };
  const rules = new Map(config.attributes.map((attribute) => [attribute.name, attribute]));
  for (const [name, state] of Object.entries(other)) {
    const mine = attributes[name];
    attributes[name] = mine === undefined ? state : mergeAttribute(mine, state, rules.get(name));
  }
  return attributes;
}

const ONE_PERSON = { attributes: [] };

/** Two parts of one profile's events, each counted by itself, as all of them counted together: no merge rule applies. */
export function addAttributes(a: Profile['attributes'], b: Profile['attributes']): Profile['attributes'] {
  return mergeAttributes(a, b, ONE_PERSON);
}

function mergeAttribute(
  a: AttributeState,
  b: AttributeState,
  rule: AttributeConfig | undefined,
): AttributeState {
  if (rule?.merge === 'survivor') return a;
  if (a.kind === 'single' && b.kind === 'single')
    return mergeSingles(a, b, rule?.type === 'single' ? rule.merge : 'newest');
  if (a.kind === 'counter' && b.kind === 'counter')
    return rule?.merge === 'max' ? maxOfCounters(a, b) : mergeCounters(a, b);
  // The attribute's type changed between the two: the survivor's state is the one of the newer config or as good.
  return a;
}

function mergeSingles(a: SingleState, b: SingleState, rule: SingleMerge): SingleState {
  const newer = newerSingle(a, b);
  const older = newer === a ? b : a;
  switch (rule) {
    case 'oldest':
      return older;
    case 'min':
    case 'max': {
      const order = compare(a.value, b.value);
      if (order === undefined || order === 0) return newer;
      return order < 0 === (rule === 'min') ? a : b;
    }
    case 'restrictive': {
      const refusing = [newer, older].filter(({ value }) => isRefusal(value));
      return refusing[0] ?? newer;
    }
    default:
      return newer;
  }
}

/** Numbers by size, text by code points; undefined: they cannot be compared. */
function compare(a: unknown, b: unknown): number | undefined {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a === b ? 0 : 1;
  return undefined;
}

function isRefusal(value: unknown): boolean {
  return REFUSALS.has(typeof value === 'string' ? value.trim().toLowerCase().replaceAll('-', '_') : value);
}
