// The profile bucket: versioned records, committed many at a time or not at all.

/** Revision of a record: its sequence in the store, growing over all records. 0 = there has never been one. */
export type Revision = number;

export interface StoredRecord {
  readonly key: string;
  /** null: no record, or one that was deleted (then `revision` may be that of the deletion). */
  readonly value: Uint8Array | null;
  readonly revision: Revision;
}

export type StoreWrite =
  /** Stores the value if the record still has revision `expect`; it vanishes after `ttlMs` unless it is written again. */
  | {
      readonly kind: 'put';
      readonly key: string;
      readonly value: Uint8Array;
      readonly expect: Revision;
      readonly ttlMs?: number | undefined;
    }
  /** Removes the record if it still has revision `expect`. */
  | { readonly kind: 'delete'; readonly key: string; readonly expect: Revision }
  /** Adds a message under a key never used before (outbox). */
  | { readonly kind: 'append'; readonly key: string; readonly value: Uint8Array }
  /** Arms an alarm clock under `key`, replacing an earlier one: at `atMs` the value appears under record key `target`. */
  | {
      readonly kind: 'schedule';
      readonly key: string;
      readonly target: string;
      readonly atMs: number;
      readonly value: Uint8Array;
    }
  /** Stops the alarm clock under `key`, if there is one. */
  | { readonly kind: 'cancel'; readonly key: string };

export type CommitOutcome =
  /** All stored, durable. Revisions stand in the order of the writes. */
  | { readonly kind: 'committed'; readonly revisions: readonly Revision[] }
  /**
   * Nothing stored, and the same writes can never be stored: an expectation failed. `sequence` is the position of the
   * message that now holds the conflicting record, or 0 when the store did not say.
   */
  | { readonly kind: 'conflict'; readonly sequence: number }
  /** Nothing stored; the store is busy. The same writes may be sent again. */
  | { readonly kind: 'busy'; readonly reason: string }
  /** No answer: stored or not. The same writes may be sent again: if they were stored, the answer is a conflict. */
  | { readonly kind: 'unknown'; readonly reason: string }
  /** Nothing stored, and the store will not take it as it is (full, too large). */
  | { readonly kind: 'refused'; readonly code: string; readonly reason: string };

export interface RecordStore {
  /**
   * Newest stored form of each key, absent ones included. `replica` is cheap and may lag behind; `leader` is never stale.
   * From a replica, up to READ_TOGETHER_MAX keys of one call are as they were at one moment (one that is written at that
   * moment may be told as absent). Throws STORE_UNAVAILABLE when it cannot tell within its deadline.
   */
  read(keys: readonly string[], from: 'replica' | 'leader'): Promise<ReadonlyMap<string, StoredRecord>>;
  /** The key stored at a sequence (leader), or undefined when that message is gone. Throws STORE_UNAVAILABLE. */
  keyAt(sequence: number): Promise<string | undefined>;
  /**
   * Commits all writes or none: at most 1,000, each record key at most once. Never throws for an expected outcome.
   * Resolves within a few seconds whatever happens.
   */
  commit(writes: readonly StoreWrite[]): Promise<CommitOutcome>;
}

/** Most keys of one read that are looked up together. */
export const READ_TOGETHER_MAX = 500;
/** Most messages of one commit that the runtime uses (the store takes 1,000). */
export const COMMIT_MESSAGES_MAX = 900;
/** A micro-batch closes at this size. */
export const COMMIT_BYTES_MAX = 4 * 1024 * 1024;
/** Largest stored record. */
export const RECORD_BYTES_MAX = 512 * 1024;
