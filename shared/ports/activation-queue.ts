// Activations of one parent segment, handed out to whoever carries them to a destination: each at least once, to one of all
// processes that ask, until somebody says that it is done.

export interface QueuedActivation {
  /** Position in the log of activations. */
  readonly sequence: number;
  /** When it was copied into the log, ms: a moment after its commit. */
  readonly storedMs: number;
  /** How often it was handed out, this time included. */
  readonly handedOut: number;
  readonly payload: Uint8Array;
  /** It is done. When this is lost, it is handed out again. */
  done(): void;
  /** It is handed out again, not before so long. */
  again(afterMs: number): void;
  /** Still at work: without a word for HOLD_MS it is handed out to another. */
  working(): void;
}

/** So long one that says nothing keeps an activation. */
export const HOLD_MS = 15_000;

export interface ActivationQueue {
  /**
   * Hands over up to `max` activations for the destination as they come. Resolves when all have come, or none came for a
   * few seconds, or the queue is out of reach (`unavailable`), or the signal aborts. Of activations that go elsewhere as
   * well: every destination sees every activation.
   */
  pull(
    destination: string,
    max: number,
    take: (activation: QueuedActivation) => void,
    signal: AbortSignal,
  ): Promise<'over' | 'unavailable'>;
  /** Activations that were not handed out yet, and those that are at work or wait for another attempt. */
  backlog(destination: string): Promise<{ readonly waiting: number; readonly begun: number }>;
}
