import { expect, it } from 'vitest';
import { longestPauseMs } from './outages.ts';

it('is the longest time between two moments, the start included', () => {
  expect(longestPauseMs(100, 1000, [90, 110, 120, 620, 640])).toBe(500);
  expect(longestPauseMs(100, 1000, [90, 400, 410])).toBe(300);
});

it('counts a pause that lasts beyond the end, and none that begins after it', () => {
  expect(longestPauseMs(100, 500, [110, 200, 510, 5000])).toBe(310);
});

it('is unknown when nothing came any more', () => {
  expect(longestPauseMs(100, 500, [50, 100])).toBeUndefined();
});
