// Counters by hand: totals, windows of event time, late and future events, sums that are exact.
import { describe, expect, it } from 'vitest';
import {
  addToCounter,
  bucketMs,
  mergeCounters,
  totalSum,
  windowSum,
} from '../../../actors/attributes/counter.ts';
import type { CounterState } from '../../../actors/attributes/states.ts';
import type { CounterConfig } from '../../../shared/contract/config/segment-config.ts';
import { DAY, HOUR, MINUTE, T0 } from './harness.ts';

const HOUR_WINDOW = { name: '1h', ms: HOUR };
const CONFIG: CounterConfig = {
  type: 'counter',
  name: 'n',
  on: 'e',
  by: null,
  total: true,
  windows: [HOUR_WINDOW, { name: '7d', ms: 7 * DAY }],
  merge: 'sum',
  backfill: null,
  sensitive: false,
  when: null,
};

function eventAt(atMs: number, nowMs = atMs): { atMs: number; nowMs: number; sequence: number } {
  return { atMs, nowMs, sequence: 1 };
}

/** Adds [amount, event time, log time] one after another; both times in minutes after T0. */
function counted(adds: readonly (readonly [number, number, number])[]): CounterState {
  let state: CounterState | undefined;
  for (const [amount, at, now] of adds) {
    state = addToCounter(state, CONFIG, amount, eventAt(T0 + at * MINUTE, T0 + now * MINUTE));
  }
  return state!;
}

const hourAt = (state: CounterState, minute: number) => windowSum(state, HOUR_WINDOW, T0 + minute * MINUTE);

describe('a window of an hour', () => {
  it('has buckets of a minute', () => {
    expect(bucketMs(HOUR_WINDOW)).toBe(MINUTE);
  });

  it('goes down by itself as time passes', () => {
    const state = counted([
      [1, 0, 0],
      [2, 30, 30],
      [4, 59, 59],
    ]);
    expect([59, 61, 90, 92, 119, 121].map((minute) => hourAt(state, minute))).toEqual([7, 6, 6, 4, 4, 0]);
  });

  it('holds an event whose own time lies within it, however late it comes', () => {
    const state = counted([
      [1, 100, 100],
      [2, 50, 100],
    ]);
    expect(hourAt(state, 100)).toBe(3);
    expect(hourAt(state, 111)).toBe(1);
  });

  it('leaves out an event from before it, which counts in the total', () => {
    const state = counted([
      [1, 100, 100],
      [2, 30, 100],
    ]);
    expect(hourAt(state, 100)).toBe(1);
    expect(totalSum(state)).toBe(3);
  });

  it('holds what comes from the near future', () => {
    expect(hourAt(counted([[1, 5, 0]]), 0)).toBe(1);
  });

  it('is bounded, whatever comes in', () => {
    let state: CounterState | undefined;
    for (let i = 0; i < 5000; i++) state = addToCounter(state, CONFIG, 1, eventAt(T0 + i * MINUTE));
    expect(state!.windows['1h']!.length).toBeLessThanOrEqual(62);
    expect(hourAt(state!, 4999)).toBeGreaterThanOrEqual(60);
    expect(hourAt(state!, 4999)).toBeLessThanOrEqual(61);
  });
});

describe('sums', () => {
  it('are exact in decimals', () => {
    const cents = counted(Array.from({ length: 10 }, () => [0.1, 0, 0] as const));
    expect(totalSum(cents)).toBe(1);
    expect(hourAt(cents, 0)).toBe(1);
  });

  it('take negative amounts, as of a return', () => {
    expect(
      totalSum(
        counted([
          [10, 0, 0],
          [-2.5, 1, 1],
        ]),
      ),
    ).toBe(7.5);
  });

  it('of large amounts lose nothing', () => {
    const state = counted([
      [90_071_992_547, 0, 0],
      [0.01, 0, 0],
    ]);
    expect(totalSum(state)).toBeCloseTo(90_071_992_547.01, 5);
  });
});

describe('merging', () => {
  const a = counted([
    [1, 0, 0],
    [2, 30, 30],
  ]);
  const b = counted([
    [4, 0, 0],
    [8, 15, 15],
  ]);

  it('adds bucket by bucket', () => {
    const both = mergeCounters(a, b);
    expect([totalSum(both), hourAt(both, 30), hourAt(both, 70), hourAt(both, 80)]).toEqual([15, 15, 10, 2]);
  });

  it('gives the same whichever side is which, and whatever is merged first', () => {
    const c = counted([[16, 10, 10]]);
    expect(mergeCounters(a, b)).toEqual(mergeCounters(b, a));
    expect(mergeCounters(mergeCounters(a, b), c)).toEqual(mergeCounters(a, mergeCounters(b, c)));
  });

  it('keeps windows that only one side has', () => {
    const other = addToCounter(
      undefined,
      { ...CONFIG, windows: [{ name: '2h', ms: 2 * HOUR }] },
      1,
      eventAt(T0),
    );
    expect(Object.keys(mergeCounters(a, other).windows).sort()).toEqual(['1h', '2h', '7d']);
  });

  it('changes neither side', () => {
    const before = structuredClone([a, b]);
    mergeCounters(a, b);
    expect([a, b]).toEqual(before);
  });
});

describe('a change of config', () => {
  it('drops windows that are gone and starts new ones with what the longest of them knows', () => {
    const state = addToCounter(
      counted([[1, 0, 0]]),
      { ...CONFIG, windows: [{ name: '1d', ms: DAY }] },
      2,
      eventAt(T0),
    );
    expect(Object.keys(state.windows)).toEqual(['1d']);
    expect([totalSum(state), windowSum(state, { name: '1d', ms: DAY }, T0)]).toEqual([3, 3]);
  });
});
