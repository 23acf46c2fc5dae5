// Rows of catalogs that were asked for, the last used kept longest. A row of a run never changes, so that nothing in here is
// ever stale: another run has other rows.

export type Row = Readonly<Record<string, unknown>>;

export interface RowCache {
  /** Null: the run has no such row; undefined: not in here. */
  get(recordKey: string): Row | null | undefined;
  /** `bytes`: what it weighs. */
  put(recordKey: string, row: Row | null, bytes: number): void;
}

const ROWS_MAX = 50_000;
const BYTES_MAX = 16 * 1024 * 1024;
/** Of what stands around a row, and of one that is not there. */
const BASE_BYTES = 200;

export function createRowCache(rowsMax = ROWS_MAX, bytesMax = BYTES_MAX): RowCache {
  // In the order of their last use.
  const kept = new Map<string, { readonly row: Row | null; readonly bytes: number }>();
  let total = 0;
  const drop = (key: string, bytes: number) => {
    kept.delete(key);
    total -= bytes;
  };
  return {
    get(key) {
      const found = kept.get(key);
      if (!found) return undefined;
      kept.delete(key);
      kept.set(key, found);
      return found.row;
    },
    put(key, row, weight) {
      const before = kept.get(key);
      if (before) drop(key, before.bytes);
      const bytes = weight + key.length + BASE_BYTES;
      kept.set(key, { row, bytes });
      total += bytes;
      for (const [oldest, { bytes: held }] of kept) {
        if (kept.size <= rowsMax && total <= bytesMax) return;
        drop(oldest, held);
      }
    },
  };
}
