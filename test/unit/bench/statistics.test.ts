// Medians, percentiles, and what the report makes of several runs.
import { describe, expect, it } from 'vitest';
import { reportScenario, showNumber } from '../../../infra/bench/report.ts';
import type { Case } from '../../../infra/bench/scenario.ts';
import { withCeilingShare } from '../../../infra/bench/shares.ts';
import { latenciesOf, percentile, spreadOf } from '../../../infra/bench/statistics.ts';

describe('spread', () => {
  it('is the middle of an odd and the mean of the middle two of an even number of values', () => {
    expect(spreadOf([9, 1, 5])).toEqual({ median: 5, min: 1, max: 9 });
    expect(spreadOf([10, 2, 4, 8])).toEqual({ median: 6, min: 2, max: 10 });
    expect(spreadOf([3])).toEqual({ median: 3, min: 3, max: 3 });
  });

  it('of nothing is refused', () => {
    expect(() => spreadOf([])).toThrow(RangeError);
  });
});

describe('percentiles', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1);

  it('are the nearest rank', () => {
    expect(percentile(hundred, 0.5)).toBe(50);
    expect(percentile(hundred, 0.99)).toBe(99);
    expect(percentile(hundred, 1)).toBe(100);
    expect(percentile(hundred, 0)).toBe(1);
    expect(percentile([7], 0.99)).toBe(7);
    expect(percentile([], 0.5)).toBeNaN();
  });

  it('do not depend on the order, and numbers are not sorted as text', () => {
    expect(latenciesOf([100, 9, 20])).toEqual({ count: 3, p50: 20, p90: 100, p95: 100, p99: 100, max: 100 });
    expect(latenciesOf([...hundred].reverse()).p99).toBe(99);
  });
});

describe('report', () => {
  const scenario = { name: 'apply', about: 'x' };
  const done = (figures: Record<string, number>) =>
    ({ kind: 'done', cases: [{ name: 'one', figures }] }) as const;

  it('tells the median of the runs and keeps every value', () => {
    const report = reportScenario(scenario, [done({ rate: 3 }), done({ rate: 1 }), done({ rate: 2 })]);
    expect(report.cases).toEqual([
      { name: 'one', figures: { rate: { median: 2, min: 1, max: 3, values: [3, 1, 2] } } },
    ]);
  });

  it('tells of a failed run and uses the others', () => {
    const report = reportScenario(scenario, [done({ rate: 3 }), { kind: 'failed', reason: 'no server' }]);
    expect(report.failures).toEqual(['no server']);
    expect(report.cases[0]?.figures.rate?.values).toEqual([3]);
  });

  it('leaves out what is no number', () => {
    const report = reportScenario(scenario, [done({ rate: 3, ratio: Number.NaN })]);
    expect(Object.keys(report.cases[0]?.figures ?? {})).toEqual(['rate']);
  });

  it.each([
    [1234.6, '1,235'],
    [0.123, '0.12'],
    [45.67, '45.7'],
    [123.4, '123'],
    [7, '7'],
  ])('shows %d as %s', (value, shown) => {
    expect(showNumber(value)).toBe(shown);
  });
});

describe('share of the ceiling', () => {
  const apply = [{ name: 'apply uniform', figures: { 'events/s': 200, 'records/event': 0.5 } }];
  const ceiling = [{ name: 'ceiling, 4 in flight', figures: { 'records/s': 400 } }];

  it('is that of the same run', () => {
    const cases = withCeilingShare(
      new Map<string, readonly Case[]>([
        ['apply', apply],
        ['ceiling', ceiling],
      ]),
    ).get('apply');
    expect(cases?.[0]?.figures).toMatchObject({ 'events, % of ceiling': 50, 'records, % of ceiling': 25 });
  });

  it('is not told without a ceiling', () => {
    expect(withCeilingShare(new Map([['apply', apply]])).get('apply')).toEqual(apply);
  });
});
