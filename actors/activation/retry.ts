// What follows an attempt: nothing, another one after a while, or a dead letter. Pure.
import type { RetryConfig } from '../../shared/contract/config/destination-config.ts';
import type { DeadReason, PastAttempts } from '../../shared/contract/delivery.ts';
import { unreachable } from '../../shared/kernel/assert.ts';
import type { Random } from '../../shared/kernel/random.ts';
import type { Outcome } from './destination.ts';

export type NextStep =
  | { readonly kind: 'done' }
  | { readonly kind: 'again'; readonly afterMs: number; readonly past: PastAttempts }
  | { readonly kind: 'dead'; readonly reason: DeadReason };

/** While a destination cannot be reached an activation does not wait longer than this: the breaker keeps it from being tried. */
const UNAVAILABLE_WAIT_MAX_MS = 30_000;

/** `past` is what was tried before this attempt; `ageMs` is since the activation was decided. */
export function afterAttempt(
  outcome: Outcome,
  past: PastAttempts,
  {
    config,
    ageMs,
    random,
  }: { readonly config: RetryConfig; readonly ageMs: number; readonly random: Random },
): NextStep {
  switch (outcome.kind) {
    case 'delivered':
      return { kind: 'done' };
    case 'rejected':
      return { kind: 'dead', reason: 'rejected' };
    case 'refused':
    case 'unavailable': {
      const counted = outcome.kind === 'refused' ? 1 : 0;
      const tried = { attempts: past.attempts + 1, refusals: past.refusals + counted };
      if (tried.refusals >= config.attempts) return { kind: 'dead', reason: 'attempts' };
      const maxMs = counted === 1 ? config.maxMs : Math.min(config.maxMs, UNAVAILABLE_WAIT_MAX_MS);
      const waitMs = backoffWithFloorMs(tried.attempts - 1, config.baseMs, maxMs, random);
      const afterMs = Math.max(waitMs, Math.min(outcome.retryAfterMs ?? 0, config.maxMs));
      return ageMs + afterMs > config.maxAgeMs
        ? { kind: 'dead', reason: 'too_old' }
        : { kind: 'again', afterMs, past: tried };
    }
    default:
      return unreachable(outcome);
  }
}

/** Doubles from try to try up to `maxMs`; half of it is certain, half is chance. */
export function backoffWithFloorMs(tries: number, baseMs: number, maxMs: number, random: Random): number {
  const whole = Math.min(maxMs, baseMs * 2 ** Math.min(tries, 30));
  return Math.round(whole / 2 + (random.next() * whole) / 2);
}
