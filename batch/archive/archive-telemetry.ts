// What an archiver tells of itself: one function an event, low-cardinality labels.

export type ArchiverState = 'standby' | 'keeping' | 'halted';

export interface ArchiveTelemetry {
  state(state: ArchiverState): void;
  /** Messages of the log that are not in the archive yet. */
  lag(messages: number): void;
  committed(commit: {
    rows: number;
    bytes: number;
    files: number;
    position: number;
    durationMs: number;
  }): void;
  /** All that the archive holds. */
  totals(totals: { rows: number; bytes: number; files: number }): void;
  compacted(result: { files: number; rows: number; bytes: number }): void;
  /** Messages that had been removed from the log before they were archived. */
  missing(messages: number, upTo: number): void;
  /** Files that no manifest names, left by a process that died. */
  removedUnnamed(files: number): void;
  /** Another process has the archive. */
  fenced(): void;
  /** The archive and the log do not belong together: somebody has to look. */
  halted(reason: string): void;
  failed(error: unknown): void;
}

export const silentArchiveTelemetry: ArchiveTelemetry = {
  state() {},
  lag() {},
  committed() {},
  totals() {},
  compacted() {},
  missing() {},
  removedUnnamed() {},
  fenced() {},
  halted() {},
  failed() {},
};
