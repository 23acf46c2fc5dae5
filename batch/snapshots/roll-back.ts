// The rows of the run before in force again, as a run of their own: what the last run changed is turned round.
import type { PageLayout, StoredRow } from '../../shared/contract/snapshot-records.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { LoadResult } from '../../shared/ports/snapshots.ts';
import { type Rewritten, type TableDeps, TableWriter } from './table-writer.ts';

/**
 * Throws NOT_FOUND when there is no run before, CONFLICT when another load is under way, or when one that died has written
 * over what the run before had: then load its rows again.
 */
export async function rollBackTable(deps: TableDeps, table: string): Promise<LoadResult> {
  const writer = await TableWriter.begin(deps, table);
  try {
    const { pointer } = writer;
    if (!pointer?.before)
      throw new StitchworkError('NOT_FOUND', `there is no run of ${table} before the one in force`);
    const { before, layout } = pointer;
    await assertWhole(deps, writer, layout);
    const counts = await turnRound(deps, writer, layout);
    await writer.finish({ atMs: before.atMs, rows: before.rows, by: deps.by, layout });
    return { run: writer.run, rows: before.rows, ...counts };
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

/** A row knows its value and the one before: of a load that died, that is the one in force. */
async function assertWhole(
  { pages }: TableDeps,
  { table, current }: TableWriter,
  layout: PageLayout,
): Promise<void> {
  let lost = 0;
  for await (const batch of pages.stored(table, layout))
    for (const { rows } of batch) lost += rows.filter(({ run }) => run > current).length;
  if (lost === 0) return;
  const reason = `a load that did not end has written over ${lost} of its rows`;
  throw new StitchworkError(
    'CONFLICT',
    `the run of ${table} before cannot be had again: ${reason}. Load its file`,
  );
}

async function turnRound({ pages }: TableDeps, writer: TableWriter, layout: PageLayout) {
  const sum = { written: 0, removed: 0 };
  const rewrite = (stored: readonly StoredRow[]) => turned(stored, writer.run, writer.current);
  for await (const batch of pages.stored(writer.table, layout)) {
    const changed = batch.filter(({ rows }) => rows.some(({ run }) => run === writer.current));
    if (changed.length === 0) continue;
    const { written, removed } = await writer.write(
      layout,
      changed.map(({ page }) => ({ page, rewrite })),
    );
    sum.written += written;
    sum.removed += removed;
  }
  return sum;
}

function turned(stored: readonly StoredRow[], run: number, current: number): Rewritten {
  let [written, removed] = [0, 0];
  const rows = stored.map((row) => {
    if (row.run !== current) return row;
    if (row.prev === null) removed += 1;
    else written += 1;
    return { ...row, run, value: row.prev, prev: row.value };
  });
  return { rows, written, removed };
}
