// How many different values there were. Exact up to a bound; beyond it only the smallest hashes are kept, a uniform sample
// of all values (bottom-k sketch: Cohen and Kaplan, "Summarizing data using bottom-k sketches", PODC 2007), and the number
// is an estimate with a standard error of about 1/sqrt(bound). Neither order nor repeats make a difference.

import type { CounterWindow, DistinctConfig } from '../../shared/contract/config/segment-config.ts';
import { hash48 } from '../../shared/kernel/hash.ts';
import { bucketMs } from './counter.ts';
import { expressionOf, guarded, resultOf } from './evaluate.ts';
import { earlier, type Kind, type Step } from './kind.ts';
import type { DistinctState } from './states.ts';

type Values = DistinctState['values'];

const HASHES = 2 ** 48;

export const distinct: Kind<DistinctConfig, DistinctState> = {
  state: 'distinct',
  steps: (config) => {
    const of = expressionOf(config.distinct);
    const where = `attributes.${config.name}`;
    const run: Step['run'] = (before, { event, context, facts }) => {
      const value = resultOf(of, context, facts, where);
      if (value === undefined || value === null) return before;
      const state = before?.kind === 'distinct' ? before : undefined;
      return addDistinct(state, config, textOf(value), event.atMs, event.nowMs);
    };
    return [{ attribute: config.name, on: config.on, run: guarded(config.when, where, run) }];
  },
  combine: (a, b, config) => {
    const cut = earlier(a.cut ?? undefined, b.cut ?? undefined) ?? null;
    const times = new Map<number, number>();
    for (const [hash, atMs] of [...a.values, ...b.values])
      if (cut === null || hash < cut) times.set(hash, Math.max(atMs, times.get(hash) ?? atMs));
    const values = [...times].sort(([x], [y]) => x - y);
    return bounded({ kind: 'distinct', values, cut }, config.bound);
  },
  view: (state, config, nowMs) => {
    const total = state ? countWhere(state, () => true) : 0;
    if (config.windows.length === 0) return total;
    const windows = config.windows.map(
      (window) =>
        [window.name, state ? countWhere(state, (atMs) => endOf(atMs, window, config) > nowMs) : 0] as const,
    );
    return Object.fromEntries(config.total ? [...windows, ['total', total]] : windows);
  },
  nextChange: (state, config, nowMs) => {
    let next: number | undefined;
    for (const window of config.windows)
      for (const [, atMs] of state.values) {
        const endMs = endOf(atMs, window, config);
        if (endMs > nowMs) next = earlier(next, endMs);
      }
    return next;
  },
};

/** Counts a value seen at event time `atMs`. */
export function addDistinct(
  state: DistinctState | undefined,
  config: DistinctConfig,
  value: string,
  atMs: number,
  nowMs: number,
): DistinctState {
  const before = state ?? { kind: 'distinct', values: [], cut: null };
  const hash = hash48(value);
  if (before.cut !== null && hash >= before.cut) return before;
  const time =
    config.windows.length === 0 ? 0 : Math.floor(atMs / resolutionMs(config)) * resolutionMs(config);
  const at = before.values.findIndex(([other]) => other >= hash);
  const here = before.values[at];
  if (here?.[0] === hash) {
    if (here[1] >= time) return before;
    return { ...before, values: before.values.with(at, [hash, time]) };
  }
  const values = before.values.toSpliced(at < 0 ? before.values.length : at, 0, [hash, time]);
  return bounded({ ...before, values: withoutPassed(values, config, nowMs) }, config.bound);
}

/** Times are kept to a bucket of the shortest window. */
function resolutionMs({ windows }: DistinctConfig): number {
  return Math.min(...windows.map(bucketMs));
}

/** When a value leaves a window: as with counters, with the last part of its bucket. */
function endOf(atMs: number, window: CounterWindow, config: DistinctConfig): number {
  return atMs + resolutionMs(config) + window.ms;
}

/** What no window shows any more is forgotten, unless all values count. */
function withoutPassed(values: Values, config: DistinctConfig, nowMs: number): Values {
  if (config.total) return values;
  const longest = config.windows.toSorted((a, b) => b.ms - a.ms)[0]!;
  return values.some(([, atMs]) => endOf(atMs, longest, config) <= nowMs)
    ? values.filter(([, atMs]) => endOf(atMs, longest, config) > nowMs)
    : values;
}

function bounded(state: DistinctState, bound: number): DistinctState {
  if (state.values.length <= bound) return state;
  return { kind: 'distinct', values: state.values.slice(0, bound), cut: state.values[bound]![0] };
}

function countWhere({ values, cut }: DistinctState, counts: (atMs: number) => boolean): number {
  let count = 0;
  for (const [, atMs] of values) if (counts(atMs)) count += 1;
  return cut === null ? count : Math.round(count / (cut / HASHES));
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}
