// Rows of a snapshot table that changed, for whoever tells their profiles.

export interface ChangedRow {
  /** Value of the key as it stands in record keys. */
  readonly encodedValue: string;
  /** Position in the bucket: to go on from. */
  readonly sequence: number;
}

export interface ChangedRows {
  /**
   * Rows that were written by a run after `run`, also by one that is still being loaded, in the order in which they were
   * written, from a position on. Throws STORE_UNAVAILABLE or LOG_UNAVAILABLE.
   */
  since(table: string, run: number, fromSequence: number): AsyncIterable<readonly ChangedRow[]>;
}
