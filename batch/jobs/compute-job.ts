// One run of a job, from its views to the new snapshot: all rows are computed and checked before the first is loaded, so that
// what fails leaves the table as it is. Whether the run is still ours is asked before the new rows come into force.
import { createReadStream } from 'node:fs';
import { mkdir, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { BatchTableConfig, SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { OpenRun } from '../../shared/contract/job-record.ts';
import { encodeKeyValue } from '../../shared/contract/names.ts';
import { isStitchworkError, StitchworkError } from '../../shared/kernel/errors.ts';
import type { ArchiveStorage } from '../../shared/ports/archive-storage.ts';
import type { LoadedRow, LoadResult, Snapshots } from '../../shared/ports/snapshots.ts';
import type { StoredRows } from '../../shared/ports/stored-rows.ts';
import { openDuck } from '../duck.ts';
import { holdFiles } from './archive-files.ts';
import type { Job } from './job-folder.ts';
import { JobViews } from './job-views.ts';
import { checkRow, columnProblems, type ResultRow, type TableRow } from './result-rows.ts';
import { runModule } from './run-module.ts';
import { runSql, type SqlDeps, type SqlParams } from './run-sql.ts';

export interface ComputeDeps {
  readonly snapshots: Pick<Snapshots, 'load' | 'current'>;
  readonly stored: StoredRows;
  readonly storage: ArchiveStorage;
  /** A folder for runs, on the file system of the archive. */
  readonly scratch: string;
  readonly threads: number;
  /** A while, before something is tried again. Throws the reason of the signal. */
  readonly pause: (signal: AbortSignal) => Promise<void>;
}

export interface Computation {
  readonly job: Job;
  readonly open: OpenRun;
  readonly config: SegmentConfig;
  readonly signal: AbortSignal;
  readonly log: (text: string) => void;
  /** Throws when the run is not ours any more. */
  readonly confirm: () => Promise<void>;
}

export interface Computed extends LoadResult {
  /** Rows that were left out, since their key identifies nobody. */
  readonly unusable: number;
}

const TOLD_MAX = 20;
/** Rows of one table. */
const ROWS_MAX = 10_000_000;

/** Throws BAD_REQUEST when the job is wrong, what DuckDB or the module throw, the reason of the signal, or what the ports throw. */
export async function computeJob(deps: ComputeDeps, run: Computation): Promise<Computed> {
  const { job, open: opened, config, log, signal } = run;
  const table = config.batchTables.find(({ name }) => name === job.table);
  if (!table)
    throw new StitchworkError('BAD_REQUEST', `the config in force has no batch table '${job.table}'`);
  const own = join(deps.scratch, job.name);
  // What another process left of this job: it is not its owner any more.
  await rm(own, { recursive: true, force: true });
  const folder = join(own, `${opened.run}-${opened.attempt}`);
  await mkdir(folder, { recursive: true });
  const files = await holdFiles(deps.storage, opened.through, join(folder, 'events'));
  const tempFolder = join(folder, 'duckdb');
  const duck = await openDuck({ memoryBytes: job.memoryBytes, threads: deps.threads, tempFolder });
  try {
    const { through, startedMs: nowMs } = opened;
    const views = new JobViews({ duck, config, stored: deps.stored, files, through, nowMs, signal, log });
    const spool = join(folder, 'rows.ndjson');
    const unusable = await spoolRows(spool, resultOf({ duck, views, signal }, run, table), run, table);
    return { ...(await load(deps, run, spool)), unusable };
  } finally {
    duck.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Who a snapshot says that it is by, of a run of a job. */
export function snapshotBy(name: string, run: number): string {
  return `job ${name}, run ${run}`;
}

/** Rows by name, their columns checked; what a job sees of the run is in its parameters. */
async function* resultOf(
  deps: SqlDeps,
  { job, open: opened, log, signal }: Computation,
  table: BatchTableConfig,
): AsyncGenerator<readonly ResultRow[]> {
  const { through, startedMs, dueMs } = opened;
  const times = { now: new Date(startedMs), scheduled: new Date(dueMs) };
  const params: SqlParams = { ...job.params, ...times, through, key: table.key };
  if (job.kind === 'sql') {
    for await (const { columns, types, rows } of runSql(deps, job.body, {
      ...params,
      through: BigInt(through),
    })) {
      if (rows.length === 0) refuse(columnProblems(columns, table, types));
      yield rows.map((row) => namedRow(columns, row));
    }
    return;
  }
  const query = async function* (sql: string, given: SqlParams) {
    for await (const { columns, rows } of runSql(deps, sql, { ...given, through: BigInt(through) }))
      if (rows.length > 0) yield rows.map((row) => plainRow(columns, row));
  };
  const { path, memoryBytes } = job;
  let isFirst = true;
  for await (const rows of runModule({ path, memoryBytes, params, query, log, signal })) {
    for (const row of isFirst ? rows.slice(0, 1) : []) refuse(columnProblems(Object.keys(row), table));
    isFirst = false;
    yield rows;
  }
}

function refuse(problems: readonly string[]): void {
  if (problems.length > 0)
    throw new StitchworkError('BAD_REQUEST', `the result does not fit:\n${problems.join('\n')}`);
}

function namedRow(columns: readonly string[], row: readonly unknown[]): ResultRow {
  return Object.fromEntries(columns.map((name, i) => [name, row[i]]));
}

/** For a module: whole numbers as numbers, as far as they are exact. */
function plainRow(columns: readonly string[], row: readonly unknown[]): ResultRow {
  const plain = (value: unknown) =>
    typeof value === 'bigint' && Number.isSafeInteger(Number(value)) ? Number(value) : value;
  return Object.fromEntries(columns.map((name, i) => [name, plain(row[i])]));
}

/** Writes the rows to a file, each checked. Resolves with how many are left out. */
async function spoolRows(
  path: string,
  result: AsyncIterable<readonly ResultRow[]>,
  { config, log }: Computation,
  table: BatchTableConfig,
): Promise<number> {
  const file = await open(path, 'w');
  const seen = new Set<string>();
  let unusable = 0;
  try {
    for await (const part of result) {
      let text = '';
      for (const row of part) {
        const checked = checkRow(row, table, config);
        if (checked.kind === 'wrong') throw new StitchworkError('BAD_REQUEST', checked.reason);
        if (checked.kind === 'unusable') {
          unusable += 1;
          if (unusable <= TOLD_MAX) log(`a row is left out: ${checked.reason}`);
          continue;
        }
        if (seen.has(checked.row.key))
          throw new StitchworkError('BAD_REQUEST', `there are two rows of ${table.key} ${checked.row.key}`);
        seen.add(checked.row.key);
        if (seen.size > ROWS_MAX)
          throw new StitchworkError('BAD_REQUEST', `the result has more than ${ROWS_MAX} rows`);
        text += `${JSON.stringify(checked.row)}\n`;
      }
      await file.write(text);
    }
  } finally {
    await file.close();
  }
  log(`${seen.size} rows${unusable === 0 ? '' : `, ${unusable} left out`}`);
  return unusable;
}

/** A load that a process which died had begun blocks others for a while: it is waited for. */
async function load(deps: ComputeDeps, run: Computation, spool: string): Promise<LoadResult> {
  const { job, open: opened, signal, confirm, log } = run;
  const by = snapshotBy(job.name, opened.run);
  const onProgress = (count: number) => log(`${count} rows loaded`);
  for (let isFirst = true; ; isFirst = false) {
    await confirm();
    try {
      const options = { atMs: opened.startedMs, by, onProgress };
      return await deps.snapshots.load(job.table, rowsIn(spool, run), options);
    } catch (error) {
      if (!isStitchworkError(error, 'CONFLICT')) throw error;
      if (isFirst) log(`waiting: ${error.message}`);
      await deps.pause(signal);
    }
  }
}

/** Ends only when the run is still ours: before that nothing of it comes into force. */
async function* rowsIn(spool: string, { signal, confirm }: Computation): AsyncGenerator<LoadedRow> {
  const input = createReadStream(spool);
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    signal.throwIfAborted();
    const { key, values } = JSON.parse(line) as TableRow;
    yield { encodedValue: encodeKeyValue(key), values };
  }
  await confirm();
  signal.throwIfAborted();
}
