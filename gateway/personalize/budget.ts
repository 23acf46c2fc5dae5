// The time that one call may take: whatever does not come within it is gone without. Timers end with the call, all at once.
import type { Clock } from '../../shared/kernel/clock.ts';

/** What came of waiting. */
export type Waited<T> =
  | { readonly kind: 'came'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: unknown }
  | { readonly kind: 'late' };

export interface Budget {
  leftMs(): number;
  /** Of what is left, without the part that is kept for what comes after a commit. */
  leftForCommitMs(): number;
  /** Settles as the work does, or as late when the budget, or the part for the commit, ends before. Never rejects. */
  within<T>(work: Promise<T>, part?: 'all' | 'commit'): Promise<Waited<T>>;
  /** Calls back when this part of the budget is gone, unless the call is over. */
  after(part: number, callback: () => void): void;
  /** The call is over. */
  end(): void;
}

const LATE = { kind: 'late' } as const;
/** Of the budget, kept for what comes after the commit. */
const SPARE_PART = 0.2;
const SPARE_MS_MAX = 50;
/** An abort without a reason would make an exception of its own, with a stack, for every call. */
const OVER = 'over';

export function startBudget(clock: Clock, ms: number): Budget {
  const startMs = clock.elapsedMs();
  const spareMs = Math.min(SPARE_MS_MAX, ms * SPARE_PART);
  const leftMs = () => Math.max(0, startMs + ms - clock.elapsedMs());
  const leftForCommitMs = () => Math.max(0, leftMs() - spareMs);
  const over = new AbortController();
  const lateAfter = (delayMs: number): Promise<typeof LATE> =>
    clock.sleep(delayMs, over.signal).then(
      () => LATE,
      () => LATE,
    );
  const late: { all?: Promise<typeof LATE>; commit?: Promise<typeof LATE> } = {};
  return {
    leftMs,
    leftForCommitMs,
    within(work, part = 'all') {
      late[part] ??= lateAfter(part === 'all' ? leftMs() : leftForCommitMs());
      const settled = work.then(
        (value) => ({ kind: 'came', value }) as const,
        (error: unknown) => ({ kind: 'failed', error }) as const,
      );
      return Promise.race([settled, late[part]]);
    },
    after(part, callback) {
      clock.sleep(ms * part, over.signal).then(callback, () => {});
    },
    end: () => over.abort(OVER),
  };
}
