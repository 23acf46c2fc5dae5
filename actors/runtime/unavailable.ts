// The server cannot be reached: trying again later may help. Nothing is given up before the signal says so.
import { backoffMs } from '../../shared/kernel/backoff.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { isStitchworkError } from '../../shared/kernel/errors.ts';
import type { Random } from '../../shared/kernel/random.ts';

const FIRST_WAIT_MS = 20;
const WAIT_MIN_MS = 5;

export function isUnavailable(error: unknown): boolean {
  return isStitchworkError(error, 'LOG_UNAVAILABLE') || isStitchworkError(error, 'STORE_UNAVAILABLE');
}

/** Repeats a look at the log or store while the server is out of reach. Rejects only when `signal` aborts. */
export async function whileUnavailable<T>(
  deps: { readonly clock: Clock; readonly random: Random; readonly backoffMaxMs: number },
  look: () => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    signal.throwIfAborted();
    try {
      return await look();
    } catch (error) {
      if (!isUnavailable(error)) throw error;
    }
    const waitMs = WAIT_MIN_MS + backoffMs(attempt, FIRST_WAIT_MS, deps.backoffMaxMs, deps.random);
    await deps.clock.sleep(waitMs, signal);
  }
}
