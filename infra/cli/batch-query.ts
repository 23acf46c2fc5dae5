// `stitchwork batch query`: one SQL query over archive, profiles and logs, read-only, its rows as a table, CSV or JSON.
import type { Command } from 'commander';
import type { OpenViews } from '../../batch/query/open-views.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withExample, withNatsFlags } from './flags.ts';
import { type Io, table } from './io.ts';
import { memoryOf, withinTime } from './limits.ts';

interface Flags extends ClientFlags {
  readonly json?: boolean;
  readonly csv?: boolean;
  readonly timeout: string;
  readonly memory: string;
  readonly limit?: string;
}

/** Rows of a table on a terminal: all of them are held to find the widths. */
const TABLE_ROWS_MAX = 1000;
const CELL_CHARS_MAX = 80;

export function addBatchQuery(batch: Command, io: Io): void {
  const query = batch
    .command('query')
    .description('one SQL query over events, profiles, links, audiences, audit and activations')
    .argument('<sql>', 'SELECT in the SQL of DuckDB')
    .option('--csv', 'rows as CSV')
    .option('--limit <number>', `rows at most (default: all; of a table ${TABLE_ROWS_MAX})`)
    .option('--timeout <duration>', 'how long it may take', '5m')
    .option('--memory <size>', 'memory that it may take', '1GB');
  withExample(
    withNatsFlags(query),
    `stitchwork batch query "SELECT name, count(*) FROM audiences GROUP BY name" --segment shop`,
  );
  query.action((sql: string, flags: Flags) => runBatchQuery(sql, flags, io));
}

async function runBatchQuery(sql: string, flags: Flags, io: Io): Promise<void> {
  const memoryBytes = memoryOf('--memory', flags.memory);
  const max = limitOf(flags);
  const [{ withNats }, { deployedConfig }, { viewDeps }, { openViews }, { clientSettings }] =
    await Promise.all([
      import('./nats-context.ts'),
      import('./deployed-config.ts'),
      import('../open-views.ts'),
      import('../../batch/query/open-views.ts'),
      import('./client-context.ts'),
    ]);
  await withinTime('--timeout', flags.timeout, io, (signal) =>
    withNats(flags, io, async (door, names) => {
      const { config } = await deployedConfig(door, names);
      const deps = viewDeps(door, names, config, clientSettings(flags, io).dataDir);
      const options = {
        memoryBytes,
        nowMs: io.clock.nowMs(),
        signal,
        log: (text: string) => io.progress(text),
      };
      const opened = await openViews(deps, options);
      try {
        if (opened.through === 0 && /\b(events|raw_events|profile_events)\b/i.test(sql))
          io.talk(
            `there is no archive in ${clientSettings(flags, io).dataDir}: there are no events to be seen`,
          );
        await tell(opened, sql, max, signal, flags, io);
      } finally {
        await opened.close();
      }
    }),
  );
}

function limitOf({ limit, json, csv }: Flags): number {
  if (limit === undefined) return json || csv ? Number.POSITIVE_INFINITY : TABLE_ROWS_MAX;
  const max = Number(limit);
  if (Number.isSafeInteger(max) && max >= 0) return max;
  throw new CommandFailure(EXIT.usage, `--limit ${limit}: give a whole number`);
}

async function tell(
  opened: OpenViews,
  sql: string,
  max: number,
  signal: AbortSignal,
  flags: Flags,
  io: Io,
): Promise<void> {
  const { runQuery } = await import('../../batch/query/run-query.ts');
  const shown: string[][] = [];
  let count = 0;
  for await (const { columns, rows } of runQuery({ ...opened, signal }, sql)) {
    if (rows.length === 0 && flags.csv && !flags.json) io.out(columns.map(csvCell).join(','));
    if (rows.length === 0 && !flags.csv && !flags.json) shown.push([...columns]);
    for (const row of rows.slice(0, max - count)) {
      if (flags.json) io.out(JSON.stringify(Object.fromEntries(columns.map((name, i) => [name, row[i]]))));
      else if (flags.csv) io.out(row.map((value) => csvCell(textOf(value))).join(','));
      else shown.push(row.map((value) => shortened(textOf(value))));
    }
    count += rows.length;
    if (count > max) break;
  }
  if (shown.length > 0) for (const line of table(shown, io.style)) io.out(line);
  if (count > max && flags.limit === undefined)
    io.talk(`the first ${max} rows; --limit, --csv and --json give more`);
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

function shortened(text: string): string {
  const line = text.replaceAll(/\s+/g, ' ');
  return line.length > CELL_CHARS_MAX ? `${line.slice(0, CELL_CHARS_MAX - 3)}...` : line;
}

/** RFC 4180. */
function csvCell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
