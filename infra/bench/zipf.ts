// Which profile an event is about, drawn deterministically. Zipf by the exact inverse of its distribution function: one
// table of cumulative weights, one binary search a draw.
import { type Random, randomBelow } from '../../shared/kernel/random.ts';

export type Draw = () => number;

/** Indexes 0 to count - 1, all equally likely. */
export function uniform(count: number, random: Random): Draw {
  return () => randomBelow(random, count);
}

/** Ranks 0 to count - 1, rank r with weight 1 / (r + 1)^exponent. */
export function zipf(count: number, exponent: number, random: Random): Draw {
  const cumulative = cumulativeWeights(count, exponent);
  const total = cumulative[count - 1]!;
  return () => firstAbove(cumulative, random.next() * total);
}

/** The share of all draws that falls on a rank. */
export function zipfShare(rank: number, count: number, exponent: number): number {
  return (rank + 1) ** -exponent / cumulativeWeights(count, exponent)[count - 1]!;
}

/** 0 to count - 1 in turn, and again: every index once a round. */
export function eachInTurn(count: number): Draw {
  let drawn = 0;
  return () => drawn++ % count;
}

/**
 * A fixed reordering of 0 to count - 1, so that neighbouring ranks are not neighbouring profiles: multiplication by a
 * number that shares no factor with `count`.
 */
export function scatter(count: number): (index: number) => number {
  let factor = Math.max(1, Math.floor(count * 0.618));
  while (greatestCommonDivisor(factor, count) !== 1) factor += 1;
  return (index) => (index * factor) % count;
}

function cumulativeWeights(count: number, exponent: number): Float64Array {
  const cumulative = new Float64Array(count);
  let sum = 0;
  for (let rank = 0; rank < count; rank++) {
    sum += (rank + 1) ** -exponent;
    cumulative[rank] = sum;
  }
  return cumulative;
}

/** Index of the first element above `value`. */
function firstAbove(sorted: Float64Array, value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sorted[middle]! > value) high = middle;
    else low = middle + 1;
  }
  return low;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
