// What is stored of profiles and of snapshot tables, as a whole: for batch jobs, never on the live path.

export interface StoredValue {
  /** Record key in the profile bucket. */
  readonly key: string;
  readonly value: Uint8Array;
}

export interface RowInForce {
  /** Undefined: the value is so long that only its hash is stored. */
  readonly key: string | undefined;
  readonly values: Readonly<Record<string, unknown>>;
}

export interface StoredRows {
  /**
   * Every record of a profile id, redirects included, some at a time; one that changes meanwhile may come again, the newest
   * last. Throws LOG_UNAVAILABLE.
   */
  profiles(signal: AbortSignal): AsyncIterable<readonly StoredValue[]>;
  /** Rows of a snapshot table as of its run in force when the reading began. Throws LOG_UNAVAILABLE, STORE_UNAVAILABLE. */
  rows(table: string, signal: AbortSignal): AsyncIterable<readonly RowInForce[]>;
}
