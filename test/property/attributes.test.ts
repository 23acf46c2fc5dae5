// Laws of counters and single values: windows against a naive count, merging commutes and associates, and what is counted
// in parts is what is counted in one.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addToCounter,
  bucketMs,
  mergeCounters,
  totalSum,
  windowSum,
} from '../../actors/attributes/counter.ts';
import { newerSingle } from '../../actors/attributes/single.ts';
import type { CounterState, SingleState } from '../../actors/attributes/states.ts';
import type { CounterConfig } from '../../shared/contract/config/segment-config.ts';
import { DAY, HOUR, MINUTE, T0 } from '../unit/profile/harness.ts';

const WINDOWS = [
  { name: '1m', ms: MINUTE },
  { name: '1h', ms: HOUR },
  { name: '7d', ms: 7 * DAY },
];
const CONFIG: CounterConfig = {
  type: 'counter',
  name: 'n',
  on: 'e',
  by: null,
  total: true,
  windows: WINDOWS,
  merge: 'sum',
  backfill: null,
  sensitive: false,
  when: null,
};

interface Add {
  readonly cents: number;
  readonly atMs: number;
}

const NOW = T0 + 8 * DAY;
const add: fc.Arbitrary<Add> = fc.record({
  cents: fc.integer({ min: -10_000, max: 10_000 }),
  atMs: fc.oneof(
    fc.integer({ min: T0, max: NOW + 5 * MINUTE }),
    fc.integer({ min: NOW - 2 * HOUR, max: NOW }),
    fc.integer({ min: NOW - 2 * MINUTE, max: NOW + 5 * MINUTE }),
  ),
});
const adds = fc.array(add, { maxLength: 60 });

function count(list: readonly Add[], before?: CounterState): CounterState | undefined {
  return list.reduce<CounterState | undefined>(
    (state, { cents, atMs }) => addToCounter(state, CONFIG, cents / 100, { atMs, nowMs: NOW, sequence: 1 }),
    before,
  );
}

const cents = (list: readonly Add[], fromMs: number) =>
  list.filter(({ atMs }) => atMs >= fromMs).reduce((sum, one) => sum + one.cents, 0);
const counts = (list: readonly Add[]) => list.map((one) => ({ ...one, cents: 100 }));

describe('a counter', () => {
  it('has the exact total', () => {
    fc.assert(
      fc.property(adds, (list) => {
        const state = count(list);
        if (state) expect(totalSum(state)).toBe(list.reduce((sum, one) => sum + one.cents, 0) / 100);
      }),
    );
  });

  it('counts in a window what a naive count does, to one bucket', () => {
    fc.assert(
      fc.property(adds, fc.integer({ min: 0, max: 8 * DAY }), (list, laterMs) => {
        const state = count(counts(list));
        const now = NOW + laterMs;
        for (const window of WINDOWS) {
          const sum = state ? windowSum(state, window, now) : 0;
          const inside = cents(counts(list), now - window.ms) / 100;
          const around = cents(counts(list), now - window.ms - bucketMs(window)) / 100;
          expect(sum).toBeGreaterThanOrEqual(inside);
          expect(sum).toBeLessThanOrEqual(around);
        }
      }),
    );
  });

  it('is exact at the edges of buckets', () => {
    fc.assert(
      fc.property(adds, fc.integer({ min: 0, max: 60 }), (list, buckets) => {
        const state = count(list);
        if (!state) return;
        for (const window of WINDOWS) {
          const size = bucketMs(window);
          const fromMs = Math.ceil((NOW - window.ms) / size + buckets) * size;
          expect(windowSum(state, window, fromMs + window.ms)).toBe(cents(list, fromMs) / 100);
        }
      }),
    );
  });

  it('only goes down while nothing comes in', () => {
    fc.assert(
      fc.property(adds, fc.nat({ max: DAY }), fc.nat({ max: DAY }), (list, a, b) => {
        const state = count(counts(list));
        if (!state) return;
        const [sooner, later] = [NOW + Math.min(a, b), NOW + Math.max(a, b)];
        for (const window of WINDOWS) {
          expect(windowSum(state, window, later)).toBeLessThanOrEqual(windowSum(state, window, sooner));
        }
      }),
    );
  });

  it('is the same in any order', () => {
    fc.assert(
      fc.property(
        adds.chain((list) =>
          fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
        ),
        ([list, shuffled]) => {
          expect(count(shuffled)).toEqual(count(list));
        },
      ),
    );
  });

  it('keeps a bounded number of buckets', () => {
    fc.assert(
      fc.property(fc.array(add, { minLength: 200, maxLength: 400 }), (list) => {
        for (const { ms, name } of WINDOWS) {
          const ahead = Math.ceil((5 * MINUTE) / bucketMs({ ms, name }));
          expect(count(list)!.windows[name]!.length).toBeLessThanOrEqual(62 + ahead);
        }
      }),
      { numRuns: 10 },
    );
  });
});

describe('merging counters', () => {
  const parts = fc.tuple(adds, adds, adds).map((lists) => lists.map((list) => count(list)));

  it('commutes and associates', () => {
    fc.assert(
      fc.property(parts, ([a, b, c]) => {
        if (!a || !b || !c) return;
        expect(mergeCounters(a, b)).toEqual(mergeCounters(b, a));
        expect(mergeCounters(mergeCounters(a, b), c)).toEqual(mergeCounters(a, mergeCounters(b, c)));
      }),
    );
  });

  it('is counting all in one', () => {
    fc.assert(
      fc.property(adds, adds, (first, second) => {
        const [a, b] = [count(first), count(second)];
        if (!a || !b) return;
        expect(mergeCounters(a, b)).toEqual(count([...first, ...second]));
        expect(count(second, a)).toEqual(count([...first, ...second]));
      }),
    );
  });
});

describe('single values', () => {
  const single: fc.Arbitrary<SingleState> = fc.record({
    kind: fc.constant('single' as const),
    value: fc.jsonValue(),
    atMs: fc.integer({ min: 0, max: 3 }),
    messageId: fc.integer({ min: 0, max: 1000 }).map(String),
  });

  it('the newest of any list is the same in any order', () => {
    fc.assert(
      fc.property(
        fc
          .uniqueArray(single, { minLength: 1, maxLength: 10, selector: ({ messageId }) => messageId })
          .chain((list) =>
            fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
          ),
        ([list, shuffled]) => {
          const newest = list.reduce(newerSingle);
          expect(shuffled.reduce(newerSingle)).toBe(newest);
          expect(newest.atMs).toBe(Math.max(...list.map(({ atMs }) => atMs)));
        },
      ),
    );
  });
});
