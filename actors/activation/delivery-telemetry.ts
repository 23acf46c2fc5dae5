// What deliveries tell of themselves while they run.
import type { DeliveryEntry } from '../../shared/contract/delivery.ts';
import type { BreakerState } from './breaker.ts';

export interface DeliveryTelemetry {
  attempt(entry: DeliveryEntry): void;
  /** An activation was taken for the first time so long after it was decided. */
  taken(destination: string, ageMs: number): void;
  inFlight(destination: string, count: number): void;
  breaker(destination: string, state: BreakerState['kind']): void;
  /** Nothing is delivered there until this is put right. */
  held(destination: string, reason: string): void;
  /** It delivers again. */
  released(destination: string): void;
  /** The log of deliveries, or the queue, is out of reach. */
  failed(destination: string, error: unknown): void;
  /** Something else than an activation stands in the log. */
  unreadable(destination: string, sequence: number): void;
}
