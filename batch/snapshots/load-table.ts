// A load makes given rows the table, whole: what has changed is written, what is not among them goes, and nobody sees any of
// it before all is stored. First all rows are compared with what the table holds, then the pages of those that differ are
// written. A load that dies leaves the run in force; whoever loads next takes the table over.
import {
  jsonAsOf,
  type PageLayout,
  pageHash,
  pageOfHash,
  pagesOf,
  type StoredRow,
} from '../../shared/contract/snapshot-records.ts';
import type { LoadedRow, LoadOptions, LoadResult } from '../../shared/ports/snapshots.ts';
import { layoutFor } from './layout.ts';
import { digestOf, RowIndex, UNLIKE_ANY } from './row-index.ts';
import { type PageRows, RowSpool } from './row-spool.ts';
import {
  PAGES_AT_ONCE,
  type PageChange,
  type Rewritten,
  type TableDeps,
  TableWriter,
} from './table-writer.ts';

const PROGRESS_ROWS = 10_000;
/** Groups of pages that are read for or written at a time. */
const UNDER_WAY_MAX = 2;

/** Throws CONFLICT when another load is under way or has taken the table over, STORE_UNAVAILABLE, and what `rows` throws. */
export async function loadTable(
  deps: TableDeps,
  table: string,
  rows: AsyncIterable<LoadedRow>,
  { atMs, onProgress }: Pick<LoadOptions, 'atMs' | 'onProgress'>,
): Promise<LoadResult> {
  const writer = await TableWriter.begin(deps, table);
  const spool = new RowSpool(deps.spoolFile());
  try {
    const index = await indexOf(deps, writer);
    const seen = await compare(index, rows, spool, onProgress);
    const layout = layoutFor(seen.rows, seen.bytes, writer.layout, writer.run);
    if (layout !== writer.layout) await moveAll(deps, writer, spool);
    const counts = await writePages(writer, index, spool, layout);
    await writer.finish({ atMs, rows: seen.rows, by: deps.by, layout });
    return { run: writer.run, rows: seen.rows, ...counts };
  } catch (error) {
    await writer.abandon();
    throw error;
  } finally {
    await spool.close();
  }
}

async function indexOf({ pages }: TableDeps, { table, current, layout }: TableWriter): Promise<RowIndex> {
  const index = new RowIndex();
  if (!layout) return index;
  for await (const batch of pages.stored(table, layout))
    for (const { rows } of batch)
      for (const row of rows) index.hold(row.encodedValue, digestIn(row, current));
  return index;
}

/** Written by a load that never came into force, it is written again. */
function digestIn(row: StoredRow, current: number): Uint32Array {
  return row.run > current ? UNLIKE_ANY : digestOf(row.value);
}

/** Every row is looked up; those that differ are kept for later. */
async function compare(
  index: RowIndex,
  rows: AsyncIterable<LoadedRow>,
  spool: RowSpool,
  onProgress: (rows: number) => void,
): Promise<{ readonly rows: number; readonly bytes: number }> {
  let [count, bytes] = [0, 0];
  for await (const { encodedValue, values } of rows) {
    const json = JSON.stringify(values);
    const { isChanged, isRepeat, hash } = index.see(encodedValue, digestOf(json));
    bytes += encodedValue.length + json.length;
    // Of two rows of one key the last one counts.
    const moved = isChanged && spool.add(hash, { kind: 'new', encodedValue, json });
    if (moved) await moved;
    if (isRepeat) continue;
    count += 1;
    if (count % PROGRESS_ROWS === 0) onProgress(count);
  }
  return { rows: count, bytes };
}

/** What the table holds, to be put into other pages. */
async function moveAll({ pages }: TableDeps, { table, layout }: TableWriter, spool: RowSpool): Promise<void> {
  if (!layout) return;
  for await (const batch of pages.stored(table, layout))
    for (const { rows } of batch)
      for (const row of rows) await spool.add(pageHash(row.encodedValue), { kind: 'stored', row });
}

async function writePages(writer: TableWriter, index: RowIndex, spool: RowSpool, layout: PageLayout) {
  const sum = { written: 0, removed: 0 };
  const underWay: Promise<void>[] = [];
  const write = async (changes: readonly PageChange[]) => {
    if (underWay.length >= UNDER_WAY_MAX) await underWay.shift();
    const writing = writer.write(layout, changes).then(({ written, removed }) => {
      sum.written += written;
      sum.removed += removed;
    });
    writing.catch(() => {});
    underWay.push(writing);
  };
  let changes: PageChange[] = [];
  for await (const page of pagesToWrite(writer, index, spool, layout)) {
    changes.push(pageChange(page, writer, index, layout !== writer.layout));
    if (changes.length < PAGES_AT_ONCE) continue;
    await write(changes);
    changes = [];
  }
  if (changes.length > 0) await write(changes);
  await Promise.all(underWay);
  return sum;
}

/** Pages with rows that changed, and those with rows that go; of a new layout all. */
async function* pagesToWrite(
  writer: TableWriter,
  index: RowIndex,
  spool: RowSpool,
  layout: PageLayout,
): AsyncGenerator<PageRows> {
  const touched = new Uint8Array(pagesOf(layout));
  if (layout !== writer.layout) touched.fill(1);
  else for (const hash of index.unseenHashes()) touched[pageOfHash(hash, layout)] = 1;
  for await (const pages of spool.pages(layout.bits)) {
    for (const page of pages) {
      touched[page.page] = 0;
      yield page;
    }
  }
  for (let page = 0; page < touched.length; page++) if (touched[page] === 1) yield { page, rows: [] };
}

function pageChange(
  { page, rows }: PageRows,
  { run, current }: TableWriter,
  index: RowIndex,
  isNew: boolean,
): PageChange {
  const changed = new Map<string, string>();
  const moved = new Map<string, StoredRow>();
  for (const row of rows) {
    if (row.kind === 'new') changed.set(row.encodedValue, row.json);
    else moved.set(row.row.encodedValue, row.row);
  }
  const rewrite = (stored: readonly StoredRow[]) => rewritten(stored, changed, index, run, current);
  return { page, rewrite, ...(isNew && { stored: [...moved.values()] }) };
}

function rewritten(
  stored: readonly StoredRow[],
  changed: ReadonlyMap<string, string>,
  index: RowIndex,
  run: number,
  current: number,
): Rewritten {
  const rows: StoredRow[] = [];
  let [written, removed] = [0, 0];
  const came = new Map(changed);
  for (const row of stored) {
    const { encodedValue } = row;
    const before = jsonAsOf(row, current);
    const json = changed.get(encodedValue);
    came.delete(encodedValue);
    if (json !== undefined) {
      if (json !== before) written += 1;
      rows.push({ encodedValue, run, value: json, prev: before });
    } else if (index.isSeen(encodedValue)) rows.push(row);
    else if (before !== null) {
      removed += 1;
      rows.push({ encodedValue, run, value: null, prev: before });
    } else if (row.run === current) rows.push(row);
  }
  written += came.size;
  for (const [encodedValue, value] of came) rows.push({ encodedValue, run, value, prev: null });
  return { rows, written, removed };
}
