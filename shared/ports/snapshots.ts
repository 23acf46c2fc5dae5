// Snapshot tables in their own bucket: rows that somebody else computed, one run of a table in force at a time.

import type { PageLayout, StoredRow } from '../contract/snapshot-records.ts';

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

export interface LoadOptions {
  /** When the rows were made, ms. */
  readonly atMs: number;
  /** Who loads them, as others are told. */
  readonly by: string;
  readonly onProgress: (rows: number) => void;
}

export interface StoredPage {
  readonly page: number;
  readonly rows: readonly StoredRow[];
}

/** Rows of a table as they are stored, whatever run they are of. */
export interface SnapshotPages {
  /**
   * Every page of the layout, as it was when the reading began or later; one that is written meanwhile may come twice.
   * Throws STORE_UNAVAILABLE, also when not all can be read.
   */
  stored(table: string, layout: PageLayout): AsyncIterable<readonly StoredPage[]>;
  /** Removes the pages of a generation that is not in force. Throws STORE_UNAVAILABLE. */
  drop(table: string, generation: number): Promise<void>;
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
  load(table: string, rows: AsyncIterable<LoadedRow>, options: LoadOptions): Promise<LoadResult>;
  /**
   * Brings the rows of the run before into force again, as a run of their own. Throws NOT_FOUND when there is none, CONFLICT,
   * STORE_UNAVAILABLE.
   */
  rollBack(table: string, by: string): Promise<LoadResult>;
}
