// What of an audit entry is counted in metrics: what happened to identities, by kind and reason. A reason that is no code is
// none of its own: texts must never become labels.
import type { Counted } from '../../shared/contract/actor.ts';
import {
  type AuditFact,
  EVICT_REASONS,
  IDENTITY_KINDS,
  REFUSE_REASONS,
  REJECT_REASONS,
  SUPPRESS_REASONS,
} from '../../shared/contract/outbox.ts';

/** The kind of counts about messages. */
export const EVENT_FLAGGED = 'event';
/** The kind of counts about activations that were not sent. */
export const ACTIVATION_SUPPRESSED = 'activation_suppressed';

/** One for each activation that was held back or suppressed, by reason. */
export function suppressedCounts(facts: readonly AuditFact[]): readonly Counted[] {
  return facts.flatMap(({ kind, reason }) =>
    kind === 'activation_suppressed'
      ? { kind: ACTIVATION_SUPPRESSED, reason: SUPPRESS.has(reason ?? '') ? reason! : 'other' }
      : kind === 'activation_held'
        ? { kind: ACTIVATION_SUPPRESSED, reason: 'held' }
        : [],
  );
}
export type EventFlag =
  /** It came when a window of a counter that it feeds had passed: it counts in totals and longer windows. */
  | 'late'
  /** Its time was further ahead of the log than is believed, and was cut. */
  | 'clock_ahead'
  /** An expression could not be evaluated on it. */
  | 'condition_failed';

const SUPPRESS: ReadonlySet<string> = new Set(SUPPRESS_REASONS);
const KINDS: ReadonlySet<string> = new Set(IDENTITY_KINDS);
const REASONS: ReadonlySet<string> = new Set([...REJECT_REASONS, ...REFUSE_REASONS, ...EVICT_REASONS]);

/** One for each fact about identities. */
export function identityCounts(facts: readonly AuditFact[]): readonly Counted[] {
  const counts: Counted[] = [];
  for (const { kind, reason } of facts) {
    if (!KINDS.has(kind)) continue;
    counts.push({ kind, reason: reason === undefined ? 'none' : REASONS.has(reason) ? reason : 'other' });
  }
  return counts;
}
