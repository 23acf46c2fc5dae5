// What a profile looks like from outside, at a time: the JSON of GET /v1/profiles and the roots that CEL and templates
// see. Windows go down by themselves as time passes; a value beyond its ttl is gone.
import type { AttributeConfig, SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { ExpressionContext } from '../../shared/contract/expression.ts';
import { totalSum, windowSum } from './counter.ts';
import type { AttributeState, Profile } from './profile.ts';

export interface ProfileView {
  readonly id: string;
  readonly keys: Readonly<Record<string, readonly string[]>>;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly batch: Readonly<Record<string, never>>;
  readonly audiences: readonly string[];
  readonly journeys: Readonly<Record<string, never>>;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly mergedFrom: readonly string[];
  /** Number of profiles merged into this one; `mergedFrom` lists the last 100. */
  readonly mergedCount: number;
  /** Version of the config that decided last. */
  readonly configVersion: number;
}

/** The unified profile at `nowMs`. */
export function viewProfile(profile: Profile, config: SegmentConfig, nowMs: number): ProfileView {
  return {
    id: profile.id,
    keys: keysAll(profile),
    attributes: viewAttributes(profile, config, nowMs),
    batch: {},
    audiences: [],
    journeys: {},
    createdAt: new Date(profile.createdAtMs).toISOString(),
    updatedAt: new Date(profile.updatedAtMs).toISOString(),
    mergedFrom: profile.mergedFrom,
    mergedCount: profile.mergedCount,
    configVersion: profile.configVersion,
  };
}

/** Counters of which nothing was counted stand as 0, singles without a value are absent. */
export function viewAttributes(
  profile: Profile,
  config: SegmentConfig,
  nowMs: number,
): Record<string, unknown> {
  const attributes: Record<string, unknown> = {};
  for (const attribute of config.attributes) {
    const value = viewAttribute(profile.attributes[attribute.name], attribute, nowMs);
    if (value !== undefined) attributes[attribute.name] = value;
  }
  return attributes;
}

function viewAttribute(state: AttributeState | undefined, config: AttributeConfig, nowMs: number): unknown {
  if (config.type === 'single') {
    if (state?.kind !== 'single') return undefined;
    return config.ttlMs !== null && state.atMs + config.ttlMs <= nowMs ? undefined : state.value;
  }
  const counter = state?.kind === 'counter' ? state : undefined;
  const total = counter ? totalSum(counter) : 0;
  if (config.windows.length === 0) return total;
  const windows = config.windows.map(
    (window) => [window.name, counter ? windowSum(counter, window, nowMs) : 0] as const,
  );
  return Object.fromEntries(config.total ? [...windows, ['total', total]] : windows);
}

/** Values by key name, oldest first. */
export function keysAll(profile: Profile): Record<string, readonly string[]> {
  return Object.fromEntries(
    Object.entries(profile.keys).map(([name, held]) => [name, held.map(({ value }) => value)]),
  );
}

/** The newest value of each key. */
export function keysNewest(profile: Profile): Record<string, string> {
  return Object.fromEntries(Object.entries(profile.keys).map(([name, held]) => [name, held.at(-1)!.value]));
}

/** What expressions about a profile see. */
export function profileContext(
  profile: Profile,
  config: SegmentConfig,
  event: Readonly<Record<string, unknown>>,
  nowMs: number,
): ExpressionContext {
  return {
    event,
    profile: viewAttributes(profile, config, nowMs),
    keys: keysNewest(profile),
    keys_all: keysAll(profile),
    now: new Date(nowMs),
  };
}
