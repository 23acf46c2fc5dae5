// Counters: a total and sliding windows, each window in 60 buckets of event time. A window is exact to one bucket, late
// events count in the windows they still belong to, and two counters merge bucket by bucket.
import type { CounterConfig, CounterWindow } from '../../shared/contract/config/segment-config.ts';
import { parseDurationMs } from '../../shared/kernel/duration.ts';
import type { AppliedEvent } from '../profile/apply-event.ts';
import { mergedSince, notedSince, type Seed, sumAfter } from './backfill.ts';
import { expressionOf, failed, guarded, resultOf } from './evaluate.ts';
import { earlier, type Kind, type Step } from './kind.ts';
import type { CounterState } from './states.ts';

type Buckets = readonly (readonly [number, number])[];

const BUCKETS_PER_WINDOW = 60;
export const MICRO = 1e6;
/** Largest amount of one event, either way: sums of them stay finite for longer than any profile lives. */
export const INCREMENT_MAX = 1e15;
const EMPTY: CounterState = { kind: 'counter', total: 0, windows: {} };

export const counter: Kind<CounterConfig, CounterState> = {
  state: 'counter',
  steps: (config) => {
    const by = config.by === null ? undefined : expressionOf(config.by);
    const where = `attributes.${config.name}`;
    const run: Step['run'] = (before, { event, context, facts }) => {
      const amount = by ? resultOf(by, context, facts, where) : 1;
      if (amount === undefined || amount === null) return before;
      if (typeof amount !== 'number' || Math.abs(amount) > INCREMENT_MAX) {
        const reason = `the increment is not a number between -${INCREMENT_MAX} and ${INCREMENT_MAX}`;
        facts.push(failed(where, config.by ?? '', reason));
        return before;
      }
      const state = before?.kind === 'counter' ? before : undefined;
      return addToCounter(state, config, amount, event);
    };
    return [{ attribute: config.name, on: config.on, run: guarded(config.when, where, run) }];
  },
  combine: (a, b, config) => {
    const [ours, theirs] = [withWindowsOf(a, config), withWindowsOf(b, config)];
    return config.merge === 'max' ? maxOfCounters(ours, theirs) : mergeCounters(ours, theirs);
  },
  view: (state, config, nowMs, seed) => {
    const total = totalOf(state, seed);
    if (config.windows.length === 0) return total;
    const windows = config.windows.map(
      (window) => [window.name, state ? windowSum(state, window, nowMs) : 0] as const,
    );
    return Object.fromEntries(config.total ? [...windows, ['total', total]] : windows);
  },
  nextChange: (state, { windows }, nowMs) => {
    let next: number | undefined;
    for (const window of windows) {
      const first = bucketsOf(state, window).find(([bucket]) => isAlive(bucket, window, nowMs));
      if (first) next = earlier(next, (first[0] + 1) * bucketMs(window) + window.ms);
    }
    return next;
  },
};

/** Length of one bucket of a window, ms. */
export function bucketMs(window: CounterWindow): number {
  return Math.max(1, Math.ceil(window.ms / BUCKETS_PER_WINDOW));
}

/** Counts `amount` at the event's time. A window that has passed by then is left alone; the total never is. */
export function addToCounter(
  state: CounterState | undefined,
  config: CounterConfig,
  amount: number,
  event: Pick<AppliedEvent, 'atMs' | 'nowMs' | 'sequence'>,
): CounterState {
  const { atMs, nowMs } = event;
  const before = state ?? EMPTY;
  const micros = Math.round(Math.max(-INCREMENT_MAX, Math.min(INCREMENT_MAX, amount)) * MICRO);
  const windows: Record<string, Buckets> = {};
  for (const window of config.windows) {
    const size = bucketMs(window);
    const kept = alive(bucketsOf(before, window), window, nowMs);
    const bucket = Math.floor(atMs / size);
    windows[window.name] = isAlive(bucket, window, nowMs) ? add(kept, bucket, micros) : kept;
  }
  return {
    kind: 'counter',
    total: before.total + micros,
    windows,
    ...notedSince(state, config, micros, event),
  };
}

/** What the batch counted and what came after it; without a batch all that was counted here. */
function totalOf(state: CounterState | undefined, seed: Seed | undefined): number {
  if (seed === undefined || typeof seed.base !== 'number') return state ? totalSum(state) : 0;
  return state ? (Math.round(seed.base * MICRO) + sumAfter(state, seed)) / MICRO : seed.base;
}

/** Sum over a window that ends at `nowMs`. */
export function windowSum(state: CounterState, window: CounterWindow, nowMs: number): number {
  let micros = 0;
  for (const [bucket, sum] of bucketsOf(state, window)) if (isAlive(bucket, window, nowMs)) micros += sum;
  return micros / MICRO;
}

export function totalSum(state: CounterState): number {
  return state.total / MICRO;
}

/** Bucket by bucket: the order of merging makes no difference. */
export function mergeCounters(a: CounterState, b: CounterState): CounterState {
  const windows: Record<string, Buckets> = { ...a.windows };
  for (const [name, buckets] of Object.entries(b.windows)) {
    windows[name] = buckets.reduce((sum, [bucket, micros]) => add(sum, bucket, micros), windows[name] ?? []);
  }
  const since = mergedSince(a, b, (x, y) => x + y);
  return { kind: 'counter', total: a.total + b.total, windows, ...since };
}

/** The greater of both, bucket by bucket: for two profiles that counted the same. */
export function maxOfCounters(a: CounterState, b: CounterState): CounterState {
  const windows: Record<string, Buckets> = { ...a.windows };
  for (const [name, buckets] of Object.entries(b.windows)) {
    const both = new Map(windows[name]);
    for (const [bucket, micros] of buckets) both.set(bucket, Math.max(micros, both.get(bucket) ?? micros));
    windows[name] = [...both].sort(([x], [y]) => x - y);
  }
  return { kind: 'counter', total: Math.max(a.total, b.total), windows, ...mergedSince(a, b, Math.max) };
}

/** Of two counters one may have been written under other windows: what it keeps of these is carried over. */
function withWindowsOf(state: CounterState, { windows }: CounterConfig): CounterState {
  return { ...state, windows: Object.fromEntries(windows.map((one) => [one.name, bucketsOf(state, one)])) };
}

/** A window that the config got since the counter was last written starts with what the longest other one knows. */
function bucketsOf(state: CounterState, window: CounterWindow): Buckets {
  const own = state.windows[window.name];
  if (own) return own;
  const others = Object.keys(state.windows).map((name) => ({ name, ms: parseDurationMs(name) ?? 0 }));
  const [longest] = others.sort((a, b) => b.ms - a.ms);
  if (!longest || longest.ms === 0) return [];
  let buckets: Buckets = [];
  for (const [bucket, micros] of state.windows[longest.name]!)
    buckets = add(buckets, Math.floor((bucket * bucketMs(longest)) / bucketMs(window)), micros);
  return buckets;
}

/** A bucket counts while any part of it lies within the window. */
function isAlive(bucket: number, window: CounterWindow, nowMs: number): boolean {
  return (bucket + 1) * bucketMs(window) > nowMs - window.ms;
}

function alive(buckets: Buckets, window: CounterWindow, nowMs: number): Buckets {
  const first = buckets.findIndex(([bucket]) => isAlive(bucket, window, nowMs));
  if (first === 0) return buckets;
  return first < 0 ? [] : buckets.slice(first);
}

function add(buckets: Buckets, bucket: number, micros: number): Buckets {
  const at = buckets.findLastIndex(([other]) => other <= bucket);
  const here = buckets[at];
  if (here && here[0] === bucket) return buckets.with(at, [bucket, here[1] + micros]);
  return buckets.toSpliced(at + 1, 0, [bucket, micros]);
}
