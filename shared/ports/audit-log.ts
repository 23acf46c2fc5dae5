// The audit entries of one parent segment, as they were copied out of the commits: a log that is read backwards.

export interface AuditMessage {
  /** Position in the log, growing with time. */
  readonly sequence: number;
  /** When it was copied into the log, ms: a moment after its commit. Never falls with growing sequences. */
  readonly timeMs: number;
  readonly payload: Uint8Array;
}

export interface AuditPage {
  /** Newest first. */
  readonly messages: readonly AuditMessage[];
  /** Every message that is kept at or after this sequence, and was asked for, is among them. */
  readonly from: number;
  /** Nothing older is kept. */
  readonly isLast: boolean;
}

export interface AuditPageLimits {
  readonly messages: number;
  /** Of payloads together; a page holds at least one message, whatever its size. */
  readonly bytes: number;
}

export interface AuditLog {
  /**
   * Where to begin reading: the sequence behind the newest message, or behind the newest one copied before a time.
   * Throws STORE_UNAVAILABLE.
   */
  end(beforeMs?: number): Promise<number>;
  /**
   * The newest messages below a sequence, as many as the limits allow. Holds no more than that at a time. Resolves within a
   * few seconds. Throws STORE_UNAVAILABLE.
   */
  readBack(before: number, limits: AuditPageLimits): Promise<AuditPage>;
}
