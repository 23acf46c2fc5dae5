// Counters: a total and sliding windows, each window in 60 buckets of event time. A window is exact to one bucket, late
// events count in the windows they still belong to, and two counters merge bucket by bucket.
import type { CounterConfig, CounterWindow } from '../../shared/contract/config/segment-config.ts';
import type { CounterState } from './profile.ts';

type Buckets = readonly (readonly [number, number])[];

const BUCKETS_PER_WINDOW = 60;
const MICRO = 1e6;
/** Largest amount of one event, either way: sums of them stay finite for longer than any profile lives. */
export const INCREMENT_MAX = 1e15;
const EMPTY: CounterState = { kind: 'counter', total: 0, windows: {} };

/** Length of one bucket of a window, ms. */
export function bucketMs(window: CounterWindow): number {
  return Math.max(1, Math.ceil(window.ms / BUCKETS_PER_WINDOW));
}

/** Counts `amount` at event time `atMs`. A window that has passed by `nowMs` is left alone; the total never is. */
export function addToCounter(
  state: CounterState | undefined,
  config: CounterConfig,
  amount: number,
  atMs: number,
  nowMs: number,
): CounterState {
  const before = state ?? EMPTY;
  const micros = Math.round(Math.max(-INCREMENT_MAX, Math.min(INCREMENT_MAX, amount)) * MICRO);
  const windows: Record<string, Buckets> = {};
  for (const window of config.windows) {
    const size = bucketMs(window);
    const kept = alive(before.windows[window.name] ?? [], window, nowMs);
    const bucket = Math.floor(atMs / size);
    windows[window.name] = isAlive(bucket, window, nowMs) ? add(kept, bucket, micros) : kept;
  }
  return { kind: 'counter', total: before.total + micros, windows };
}

/** Sum over a window that ends at `nowMs`. */
export function windowSum(state: CounterState, window: CounterWindow, nowMs: number): number {
  let micros = 0;
  for (const [bucket, sum] of state.windows[window.name] ?? [])
    if (isAlive(bucket, window, nowMs)) micros += sum;
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
  return { kind: 'counter', total: a.total + b.total, windows };
}

/** The greater of both, bucket by bucket: for two profiles that counted the same. */
export function maxOfCounters(a: CounterState, b: CounterState): CounterState {
  const windows: Record<string, Buckets> = { ...a.windows };
  for (const [name, buckets] of Object.entries(b.windows)) {
    const both = new Map(windows[name]);
    for (const [bucket, micros] of buckets) both.set(bucket, Math.max(micros, both.get(bucket) ?? micros));
    windows[name] = [...both].sort(([x], [y]) => x - y);
  }
  return { kind: 'counter', total: Math.max(a.total, b.total), windows };
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
