// The server-side copies of the outbox: ACTIVATIONS, AUDIT, DEAD (and EVENTS for fired timers) source their part of
// the profile bucket. The housekeeper watches and prunes them through this port.

export type CopyName = 'activations' | 'audit' | 'dead' | 'timers';

export interface CopyState {
  readonly name: CopyName;
  /** Highest sequence of the profile bucket that the target holds a copy of, 0 when none is known. */
  readonly copiedTo: number;
  /** Messages that the server says are still to be copied. */
  readonly lag: number;
  /** Ms since the source was last active; -1: it is not running. */
  readonly activeMs: number;
  readonly error: string | undefined;
  /** Creation time of the target stream: another value means that it was deleted and made anew. */
  readonly targetCreatedAt: string;
}

export interface OutboxCopies {
  /** State of every copy. Throws STORE_UNAVAILABLE. */
  states(): Promise<readonly CopyState[]>;
  /**
   * Last sequence of the profile bucket (leader). One that ends before `atLeast` is given a moment to catch up with its
   * followers, from which a copy may have been fed.
   */
  originSequence(atLeast?: number): Promise<number>;
  /** Makes the server set the source up anew, at once (CRASH G3). Copies nothing twice and loses nothing. */
  restart(name: CopyName): Promise<void>;
  /** Removes from the bucket the outbox messages of this copy with a sequence up to `upTo`. */
  purge(name: CopyName, upTo: number): Promise<void>;
  /** Removes log messages with a sequence up to `upTo`. */
  purgeLog(upTo: number): Promise<void>;
}
