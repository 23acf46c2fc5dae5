// Sends batches of events to a gateway, one at a time so that order is kept, each until it is answered for good. A
// batch is never re-cut: what is sent again has the same message ids.
import { backoffMs } from '../../shared/kernel/backoff.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { Random } from '../../shared/kernel/random.ts';

export interface Rejected {
  readonly index: number;
  readonly code: string;
  readonly message: string;
}

export interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  readonly body: string;
}

export interface SendDeps {
  /** One POST of a JSON body; throws when nobody answers. */
  post(body: string): Promise<Answer>;
  readonly clock: Clock;
  readonly random: Random;
  /** Told before each wait. */
  onRetry(reason: string, waitMs: number): void;
}

export type SendOutcome =
  | { readonly kind: 'accepted'; readonly rejected: readonly Rejected[] }
  /** The gateway refuses the batch and always will. */
  | { readonly kind: 'refused'; readonly status: number; readonly body: string };

const BACKOFF_BASE_MS = 200;
const BACKOFF_MAX_MS = 5000;

/** Sends one batch. Throws LOG_UNAVAILABLE when it was not answered for `giveUpAfterMs`, or the signal's reason. */
export async function sendBatch(
  events: readonly unknown[],
  deps: SendDeps,
  options: { readonly giveUpAfterMs: number; readonly signal: AbortSignal },
): Promise<SendOutcome> {
  const body = JSON.stringify({ events });
  const deadlineMs = deps.clock.elapsedMs() + options.giveUpAfterMs;
  for (let attempt = 0; ; attempt++) {
    const { reason, retryAfterMs, outcome } = await tryOnce(body, deps);
    if (outcome) return outcome;
    options.signal.throwIfAborted();
    const waitMs = retryAfterMs ?? 50 + backoffMs(attempt, BACKOFF_BASE_MS, BACKOFF_MAX_MS, deps.random);
    if (deps.clock.elapsedMs() + waitMs > deadlineMs)
      throw new StitchworkError('LOG_UNAVAILABLE', `gave up: ${reason}`);
    deps.onRetry(reason, waitMs);
    await deps.clock.sleep(waitMs, options.signal);
  }
}

interface Try {
  readonly outcome?: SendOutcome;
  readonly reason: string;
  readonly retryAfterMs?: number;
}

async function tryOnce(body: string, deps: SendDeps): Promise<Try> {
  let answer: Answer;
  try {
    answer = await deps.post(body);
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
  if (answer.status === 202 || answer.status === 200) {
    const parsed = JSON.parse(answer.body) as { rejected?: readonly Rejected[] };
    return { reason: '', outcome: { kind: 'accepted', rejected: parsed.rejected ?? [] } };
  }
  const again = answer.status === 429 || answer.status >= 500;
  if (!again) return { reason: '', outcome: { kind: 'refused', status: answer.status, body: answer.body } };
  const seconds =
    answer.retryAfter !== undefined && /^\d+$/.test(answer.retryAfter)
      ? Number(answer.retryAfter)
      : undefined;
  const reason = `the gateway answered ${answer.status}`;
  return seconds === undefined ? { reason } : { reason, retryAfterMs: seconds * 1000 };
}
