// What is remembered of deliveries: every attempt, what was tried so far of those that failed, and what became of each.
import type { DeadActivation, DeliveryEntry, PastAttempts } from '../contract/delivery.ts';
import type { AuditEntry } from '../contract/outbox.ts';

/** Each promise resolves when it is on disk; they reject with LOG_UNAVAILABLE or STORE_UNAVAILABLE. */
export interface DeliveryLog {
  /** Adds an attempt. One that is added again stands there twice. */
  add(entry: DeliveryEntry): Promise<void>;
  /** What was tried of a delivery; NO_ATTEMPTS when nothing is known. `key` is unique to activation and destination. */
  past(destination: string, key: string): Promise<PastAttempts>;
  /** Replaces that; it is forgotten after `keepMs`. */
  remember(destination: string, key: string, past: PastAttempts, keepMs: number): Promise<void>;
  /** Forgets it. */
  forget(destination: string, key: string): Promise<void>;
  /** The end of a delivery: its audit entry, and its dead letter if it failed, both or none. Once, however often asked. */
  end(audit: AuditEntry, dead: DeadActivation | undefined): Promise<void>;
}
