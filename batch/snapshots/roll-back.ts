// The rows of the run before in force again, as a run of their own: what the last run changed is turned round.
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { LoadResult } from '../../shared/ports/snapshots.ts';
import { type ChangedTo, ROWS_AT_ONCE, type TableDeps, TableWriter } from './table-writer.ts';

/**
 * Throws NOT_FOUND when there is no run before, CONFLICT when another load is under way, or when one that died has written
 * over what the run before had: then load its rows again.
 */
export async function rollBackTable(deps: TableDeps, table: string): Promise<LoadResult> {
  const writer = await TableWriter.begin(deps, table);
  try {
    const before = writer.pointer?.before;
    if (!before)
      throw new StitchworkError('NOT_FOUND', `there is no run of ${table} before the one in force`);
    await assertWhole(deps, writer);
    const counts = await turnRound(deps, writer);
    await writer.finish({ atMs: before.atMs, rows: before.rows, by: deps.by });
    return { run: writer.run, rows: before.rows, ...counts };
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}

/** A row knows its value and the one before: of a load that died, that is the one in force. */
async function assertWhole({ rows }: TableDeps, { table, current }: TableWriter): Promise<void> {
  let lost = 0;
  for await (const batch of rows.stored(table)) for (const { row } of batch) if (row.run > current) lost += 1;
  if (lost === 0) return;
  const reason = `a load that did not end has written over ${lost} of its rows`;
  throw new StitchworkError(
    'CONFLICT',
    `the run of ${table} before cannot be had again: ${reason}. Load its file`,
  );
}

async function turnRound(
  { rows }: TableDeps,
  writer: TableWriter,
): Promise<{ written: number; removed: number }> {
  const counts = { written: 0, removed: 0 };
  let waiting: ChangedTo[] = [];
  const flush = async () => {
    await writer.write(waiting, false);
    waiting = [];
  };
  for await (const batch of rows.stored(writer.table)) {
    for (const { encodedValue, row } of batch) {
      if (row.run !== writer.current) continue;
      if (row.prev === null) counts.removed += 1;
      else counts.written += 1;
      waiting.push({ encodedValue, json: row.prev && JSON.stringify(row.prev) });
      if (waiting.length >= ROWS_AT_ONCE) await flush();
    }
  }
  if (waiting.length > 0) await flush();
  return counts;
}
