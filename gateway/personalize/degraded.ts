// What an answer goes without, by name, and what of that is a surprise.
import { isStitchworkError } from '../../shared/kernel/errors.ts';
import type { GatewayDeps } from '../deps.ts';

/** Why an answer is not what it could be. */
export const DEGRADED_REASONS = [
  /** The event was not committed in time: the answer knows what was committed before. */
  'worker_slow',
  /** The log did not acknowledge the event in time: it is stored or not. */
  'log_slow',
  /** The event cannot be applied: it is a dead letter. */
  'event_not_applied',
  /** The profile could not be read in time: the visitor is answered as one that nobody knows. */
  'profile_unavailable',
  /** Newer rows of batch tables, or rows of catalogs, could not be read in time. */
  'rows_unavailable',
] as const;
export type DegradedReason = (typeof DEGRADED_REASONS)[number];

/** What is out of reach is told by the answer; anything else is a surprise. */
export function noteFailure({ logger }: Pick<GatewayDeps, 'logger'>, error: unknown): void {
  if (!isStitchworkError(error, 'STORE_UNAVAILABLE'))
    logger.error({ err: error }, 'a decision went without a read');
}
