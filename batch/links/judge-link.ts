// What a link would come to, in one word, from what the profile actor says that would happen; and whether it is worth sending.
// Pure. A link of no known time never takes a key from a profile: of two that contradict each other, each run would give the
// key to the other one.
import type { AuditFact } from '../../shared/contract/outbox.ts';

/** The weightiest first. */
export const LINK_OUTCOMES = [
  /** Profiles become one. */
  'merged',
  /** A key goes from one profile to another, makes room, or becomes nobody's. */
  'moved',
  /** A profile begins. */
  'created',
  /** A profile gets keys. */
  'attached',
  /** It would take a key from a profile, and nobody knows when it was seen. */
  'held_back',
  /** A rule speaks against it, and nothing else comes of it. */
  'refused',
  /** All is as it says already, or was when it was seen; or the same link was sent a moment ago. */
  'nothing',
] as const;
export type LinkOutcome = (typeof LINK_OUTCOMES)[number];

export interface Judged {
  readonly outcome: LinkOutcome;
  /** It changes something. */
  readonly isEffective: boolean;
  /** Rules that speak against parts of it. */
  readonly refusals: readonly string[];
}

const TAKING = new Set(['moved', 'replaced', 'max_keys']);

export function judgeLink(facts: readonly AuditFact[], hasTime: boolean): Judged {
  const has = (kind: AuditFact['kind']) => facts.some((fact) => fact.kind === kind);
  const refusals = facts
    .filter(({ kind }) => kind === 'link_refused' || kind === 'key_demoted')
    .map(({ reason }) => reason ?? 'unknown');
  const isTaking = facts.some(({ kind, reason }) => kind === 'key_evicted' && TAKING.has(reason ?? ''));
  const as = (outcome: LinkOutcome, isEffective: boolean): Judged => ({ outcome, isEffective, refusals });
  if (isTaking && !hasTime) return as('held_back', false);
  if (has('profiles_merged')) return as('merged', true);
  if (has('key_evicted')) return as('moved', true);
  if (has('profile_added')) return as('created', true);
  if (has('key_attached')) return as('attached', true);
  return as(refusals.length > 0 ? 'refused' : 'nothing', false);
}
