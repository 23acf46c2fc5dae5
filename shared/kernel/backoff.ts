import type { Random } from './random.ts';

/** Exponential back-off with full jitter: a delay in [0, min(maxMs, baseMs * 2^attempt)). Attempt counts from 0. */
export function backoffMs(attempt: number, baseMs: number, maxMs: number, random: Random): number {
  return Math.floor(random.next() * Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30)));
}
