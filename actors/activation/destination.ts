// What every kind of destination is to those that deliver: something that takes one activation at a time and tells what
// came of it. It never throws for what a receiver does.
import type { DestinationConfig } from '../../shared/contract/config/destination-config.ts';
import type { Activation } from '../../shared/contract/outbox.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import type { SubjectPublisher } from '../../shared/ports/subject-publisher.ts';
import type { AddressRule } from './address-rule.ts';
import type { Environment } from './environment.ts';

export interface Attempt {
  readonly activation: Activation;
  /** Counted from 1. */
  readonly attempt: number;
  readonly nowMs: number;
  /** Aborted when the time for the attempt is up, or the process stops. */
  readonly signal: AbortSignal;
}

interface Answer {
  readonly status?: number | undefined;
  /** The first bytes of the answer, as text. */
  readonly answer?: string | undefined;
}

export type Outcome =
  | (Answer & { readonly kind: 'delivered' })
  /** It was taken or answered, and not accepted: the same may succeed later. Such attempts are limited. */
  | (Answer & {
      readonly kind: 'refused';
      readonly error: string;
      readonly retryAfterMs?: number | undefined;
    })
  /** Nobody took it, or the receiver says that it cannot now. */
  | (Answer & {
      readonly kind: 'unavailable';
      readonly error: string;
      readonly retryAfterMs?: number | undefined;
    })
  /** It will never be accepted as it is. */
  | (Answer & { readonly kind: 'rejected'; readonly error: string });

/** A destination that is ready. */
export interface Destination {
  /** Makes one attempt. Resolves soon after the signal aborts. */
  deliver(attempt: Attempt): Promise<Outcome>;
  /** Gives back connections. */
  close(): void;
}

/** What destinations are made with. */
export interface DestinationDeps {
  readonly clock: Clock;
  readonly environment: Environment;
  /** Addresses that may be connected to. */
  readonly addresses: AddressRule;
  readonly publisher: SubjectPublisher;
  /** Takes what goes to the process's own log. */
  readonly writeLog: (destination: string, activation: Activation) => void;
}

/** Makes a destination of its config. Throws DestinationProblem when it cannot work here. */
export type OpenDestination<C extends DestinationConfig> = (config: C, deps: DestinationDeps) => Destination;

/** Why a destination cannot work here, in words; never with the value of a secret. */
export class DestinationProblem extends Error {}
