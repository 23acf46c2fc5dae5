// A load makes given rows the table, whole: what has changed is written, what is not among them goes, and nobody sees any of
// it before all is stored. A load that dies leaves the run in force; whoever loads next takes the table over.
import { type RowValues, rowAsOf, type StoredRow } from '../../shared/contract/snapshot-records.ts';
import type { LoadedRow, LoadOptions, LoadResult } from '../../shared/ports/snapshots.ts';
import { digestOf, RowIndex, UNLIKE_ANY } from './row-index.ts';
import { type ChangedTo, ROWS_AT_ONCE, type TableDeps, TableWriter } from './table-writer.ts';

const PROGRESS_ROWS = 10_000;

/** Throws CONFLICT when another load is under way or has taken the table over, STORE_UNAVAILABLE, and what `rows` throws. */
export async function loadTable(
  deps: TableDeps,
  table: string,
  rows: AsyncIterable<LoadedRow>,
  { atMs, onProgress }: Pick<LoadOptions, 'atMs' | 'onProgress'>,
): Promise<LoadResult> {
  const writer = await TableWriter.begin(deps, table);
  try {
    const index = await indexOf(deps, writer);
    const isNew = index.size === 0;
    const counts = await writeRows(writer, index, rows, isNew, onProgress);
    const removed = index.unseen > 0 ? await removeUnseen(deps, writer, index) : 0;
    await writer.finish({ atMs, rows: counts.rows, by: deps.by });
    return { run: writer.run, ...counts, removed };
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

async function indexOf({ rows }: TableDeps, { table, current }: TableWriter): Promise<RowIndex> {
  const index = new RowIndex();
  for await (const batch of rows.stored(table))
    for (const { encodedValue, row } of batch) index.hold(encodedValue, digestIn(row, current));
  return index;
}

/** Written by a load that never came into force, it is written again. */
function digestIn(row: StoredRow, current: number): Uint32Array {
  return row.run > current ? UNLIKE_ANY : digestOf(jsonOf(rowAsOf(row, current)));
}

function jsonOf(values: RowValues | null): string | null {
  return values && JSON.stringify(values);
}

async function writeRows(
  writer: TableWriter,
  index: RowIndex,
  rows: AsyncIterable<LoadedRow>,
  isNew: boolean,
  onProgress: (rows: number) => void,
): Promise<{ readonly rows: number; readonly written: number }> {
  let [count, written] = [0, 0];
  const waiting = new Map<string, ChangedTo>();
  // What is stored while the next rows are prepared.
  let storing: Promise<void> = Promise.resolve();
  const flush = async () => {
    const part = [...waiting.values()];
    waiting.clear();
    await storing;
    storing = writer.write(part, isNew);
    storing.catch(() => {});
  };
  try {
    for await (const { encodedValue, values } of rows) {
      const json = JSON.stringify(values);
      const { isChanged, isRepeat } = index.see(encodedValue, digestOf(json));
      // Of two rows of one key the last one counts, also when the first is stored already.
      if (!isRepeat) count += 1;
      if (isChanged) {
        if (!waiting.has(encodedValue)) written += 1;
        waiting.set(encodedValue, { encodedValue, json });
        if (waiting.size >= ROWS_AT_ONCE) await flush();
      }
      if (!isRepeat && count % PROGRESS_ROWS === 0) onProgress(count);
    }
    if (waiting.size > 0) await flush();
    await storing;
  } finally {
    // Nothing of this load is under way any more when its end is told.
    await storing.catch(() => {});
  }
  return { rows: count, written };
}

async function removeUnseen({ rows }: TableDeps, writer: TableWriter, index: RowIndex): Promise<number> {
  let removed = 0;
  let waiting: ChangedTo[] = [];
  for await (const batch of rows.stored(writer.table)) {
    for (const { encodedValue, row } of batch) {
      if (row.run === writer.run || index.isSeen(encodedValue)) continue;
      const isThere = row.run > writer.current || rowAsOf(row, writer.current) !== null;
      if (!isThere) continue;
      if (rowAsOf(row, writer.current) !== null) removed += 1;
      waiting.push({ encodedValue, json: null });
      if (waiting.length < ROWS_AT_ONCE) continue;
      await writer.write(waiting, false);
      waiting = [];
    }
  }
  if (waiting.length > 0) await writer.write(waiting, false);
  return removed;
}
