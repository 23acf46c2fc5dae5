// The time that one call may take: whatever does not come within it is gone without.
import type { Clock } from '../../shared/kernel/clock.ts';

/** What came of waiting. */
export type Waited<T> =
  | { readonly kind: 'came'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'late' };

export interface Budget {
  leftMs(): number;
  /** Settles as the work does, or as late when that takes longer than `ms` (by default all that is left). Never rejects. */
  within<T>(work: Promise<T>, ms?: number): Promise<Waited<T>>;
}

export function startBudget(clock: Clock, ms: number): Budget {
  const endMs = clock.elapsedMs() + ms;
  const leftMs = () => Math.max(0, endMs - clock.elapsedMs());
  return {
    leftMs,
    async within(work, most = leftMs()) {
      const done = new AbortController();
      const settled = work.then(
        (value) => ({ kind: 'came', value }) as const,
        (error: unknown) => ({ kind: 'failed', error }) as const,
      );
      const late = clock.sleep(most, done.signal).then(
        () => ({ kind: 'late' }) as const,
        () => ({ kind: 'late' }) as const,
      );
      try {
        return await Promise.race([settled, late]);
      } finally {
        done.abort();
      }
    },
  };
}
