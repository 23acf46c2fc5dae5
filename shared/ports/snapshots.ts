// Snapshot tables in their own bucket: rows that somebody else computed, one run of a table in force at a time.

export interface CurrentSnapshot {
  readonly run: number;
  /** When the snapshot was made, ms. */
  readonly atMs: number;
  /** Rows in force. */
  readonly rows: number;
  readonly by: string;
}

/** A row by the value of its key; null: it is not in the table any more. */
export interface LoadedRow {
  readonly encodedValue: string;
  readonly values: Readonly<Record<string, unknown>>;
}

export interface LoadResult {
  readonly run: number;
  readonly rows: number;
  readonly written: number;
  readonly removed: number;
}

export interface Snapshots {
  /** By table. Throws STORE_UNAVAILABLE. */
  current(): Promise<Readonly<Record<string, CurrentSnapshot>>>;
  /** Calls back when a run comes into force. The result ends it. */
  watch(callback: () => void): Promise<() => void>;
  /**
   * Makes these rows the table, whole: only changed ones are written, and nobody sees any of them before all are stored.
   * A load that was cut off leaves the last run in force; the next one begins anew. Throws CONFLICT when another load of the
   * table is under way, STORE_UNAVAILABLE.
   */
  load(
    table: string,
    rows: AsyncIterable<LoadedRow>,
    options: { readonly atMs: number; readonly by: string; readonly onProgress: (rows: number) => void },
  ): Promise<LoadResult>;
}
