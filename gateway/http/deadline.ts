// A deadline over somebody else's promise. The timer ends with the promise, so nothing is left behind.
import type { Clock } from '../../shared/kernel/clock.ts';
import { type ErrorCode, StitchworkError } from '../../shared/kernel/errors.ts';

export interface Deadline {
  readonly clock: Clock;
  readonly ms: number;
  readonly code: ErrorCode;
}

/** Settles as the work does, or rejects with the deadline's code when it takes longer. */
export async function withDeadline<T>(work: Promise<T>, deadline: Deadline): Promise<T> {
  const done = new AbortController();
  const late = deadline.clock.sleep(deadline.ms, done.signal).then(() => {
    throw new StitchworkError(deadline.code, `no answer within ${deadline.ms} ms`);
  });
  // Whichever of the two loses the race must not become an unhandled rejection.
  late.catch(() => {});
  work.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } finally {
    done.abort();
  }
}
