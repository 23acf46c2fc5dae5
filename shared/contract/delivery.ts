// What becomes of an activation on its way to a destination: one entry for each attempt, and a dead letter when there will
// be no other. JSON on the wire, ids in the body.
import type { Activation } from './outbox.ts';

export const DELIVERY_OUTCOMES = ['delivered', 'retrying', 'failed'] as const;
export type DeliveryOutcome = (typeof DELIVERY_OUTCOMES)[number];

/** Why there is no other attempt. */
export const DEAD_REASONS = ['rejected', 'attempts', 'too_old'] as const;
export type DeadReason = (typeof DEAD_REASONS)[number];

/** One attempt, or that there was to be none any more. */
export interface DeliveryEntry {
  readonly activationId: string;
  readonly name: string;
  readonly segment: string;
  readonly destination: string;
  readonly profileId: string;
  readonly cause: Activation['cause'];
  readonly outcome: DeliveryOutcome;
  /** Of a failed one. */
  readonly reason?: DeadReason;
  /** Counted from 1; 0: it was too old before the first. */
  readonly attempt: number;
  /** Of HTTP or SMTP, when there was an answer. */
  readonly status?: number;
  /** The first bytes of the answer, as text. */
  readonly answer?: string;
  readonly error?: string;
  readonly latencyMs: number;
  /** When the attempt began, ISO 8601. */
  readonly at: string;
  /** Of one that is retried: not before this, ISO 8601. */
  readonly nextAt?: string;
  /** When the activation was decided, ISO 8601, log time. */
  readonly decidedAt: string;
  /** Name of the process that made it. */
  readonly by: string;
}

/** What was tried before; kept until there is an end. */
export interface PastAttempts {
  readonly attempts: number;
  /** Those that the destination answered, or at least took: these are limited. */
  readonly refusals: number;
}

export const NO_ATTEMPTS: PastAttempts = { attempts: 0, refusals: 0 };

/** An activation that could not be delivered to a destination. */
export interface DeadActivation {
  readonly kind: 'activation';
  /** `<destination>.<activation id>` */
  readonly id: string;
  readonly segment: string;
  readonly destination: string;
  readonly code: DeadReason;
  readonly message: string;
  readonly attempts: number;
  readonly activation: Activation;
  readonly at: string;
}

/** Whether a dead letter is one of an activation; else it is one of an event. */
export function isDeadActivation(letter: object): letter is DeadActivation {
  return 'kind' in letter && letter.kind === 'activation';
}
