// What a request is told whose events the log did not take.
import { unreachable } from '../../shared/kernel/assert.ts';
import { ERRORS } from '../../shared/kernel/errors.ts';
import type { AppendOutcome } from '../../shared/ports/event-log.ts';
import type { Refusal } from '../http/errors.ts';
import type { Prepared, Reject } from './prepare.ts';

/** With nothing accepted, 202 would be a lie: the answer is the rejects' own code when they agree on one. */
export function allRejected(rejected: readonly Reject[]): Refusal {
  const [first] = rejected;
  const code =
    first !== undefined && rejected.every((r) => r.code === first.code) ? first.code : 'INVALID_EVENT';
  const message =
    rejected.length === 1 && first ? first.message : `None of the ${rejected.length} events was accepted.`;
  return { code, message, details: rejected };
}

export function appendRefusal(
  outcome: Exclude<AppendOutcome, { kind: 'stored' }>,
  prepared: Prepared,
): Refusal {
  switch (outcome.kind) {
    case 'full':
      return { code: 'LOG_FULL', message: ERRORS.LOG_FULL.text };
    case 'overloaded':
      return { code: 'OVERLOADED', message: ERRORS.OVERLOADED.text, retryAfterMs: outcome.retryAfterMs };
    case 'unavailable':
      return { code: 'LOG_UNAVAILABLE', message: `${ERRORS.LOG_UNAVAILABLE.text} Nothing was accepted.` };
    case 'unknown':
      return {
        code: 'LOG_UNAVAILABLE',
        message:
          'The event log did not answer in time: the events may be stored or not. Send them again with the same message ids; those that this gateway assigned are in details.',
        details: prepared.assigned,
      };
    default:
      return unreachable(outcome);
  }
}
