// Rows of a file as a snapshot table: typed by the config's columns, found by the normalized key, loaded as one run.
import { constants, setPriority } from 'node:os';
import { normalizeKey } from '../../actors/identity/keys.ts';
import type {
  BatchTableConfig,
  ColumnType,
  SegmentConfig,
} from '../../shared/contract/config/segment-config.ts';
import { encodeKeyValue } from '../../shared/contract/names.ts';
import { didYouMean } from '../../shared/kernel/edit-distance.ts';
import type { LoadedRow } from '../../shared/ports/snapshots.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { openSnapshots } from '../open-snapshots.ts';
import { formatOf, readRows } from '../replay/read-rows.ts';
import { describeJobs, tellJobs } from './batch-jobs.ts';
import { deployedConfig } from './deployed-config.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { type Io, table as tableOf } from './io.ts';
import { withNats } from './nats-context.ts';

export interface LoadFlags extends ClientFlags {
  readonly json?: boolean;
  readonly keyColumn?: string;
  readonly asOf?: string;
  readonly by?: string;
}

const TOLD_MAX = 20;

/** What rows are loaded into. */
interface Target {
  readonly key: string;
  readonly columns: BatchTableConfig['columns'];
  /** The key of a row as it is looked up; undefined: it is not usable. */
  readonly keyOf: (raw: string) => string | undefined;
}

function targetOf(name: string, config: SegmentConfig): Target | undefined {
  const table = config.batchTables.find((each) => each.name === name);
  if (table) {
    const keyOf = (raw: string) => {
      const key = normalizeKey(config, table.key, raw);
      return key.kind === 'ok' ? key.value : undefined;
    };
    return { ...table, keyOf };
  }
  const catalog = config.catalogs.find((each) => each.name === name);
  return catalog && { ...catalog, keyOf: (raw) => raw.trim() || undefined };
}

export async function loadSnapshot(name: string, file: string, flags: LoadFlags, io: Io): Promise<void> {
  giveWay();
  await withNats(flags, io, async (door, names) => {
    const config = (await deployedConfig(door, names)).config;
    const known = [...config.batchTables, ...config.catalogs].map((table) => table.name);
    const table = targetOf(name, config);
    if (!table) throw unknownTable(name, known);
    const format = formatOf(file);
    if (format === undefined)
      throw new CommandFailure(EXIT.usage, `the name ${file} does not tell ndjson, csv or parquet`);
    const atMs = flags.asOf === undefined ? io.clock.nowMs() : Date.parse(flags.asOf);
    if (!Number.isFinite(atMs))
      throw new CommandFailure(EXIT.usage, `--as-of ${flags.asOf}: give a time of ISO 8601`);
    const startedMs = io.clock.elapsedMs();
    const bad = { count: 0 };
    const rows = rowsOf(file, format, table, flags.keyColumn ?? table.key, bad, io);
    const loaded = await openSnapshots(door, names).load(name, rows, {
      atMs,
      by: flags.by ?? 'batch load',
      onProgress: (count) => io.progress(`${count} rows`),
    });
    const seconds = Math.max(0.001, (io.clock.elapsedMs() - startedMs) / 1000);
    if (flags.json) io.out(JSON.stringify({ table: name, ...loaded, unusable: bad.count, seconds }));
    else
      io.out(
        `${name}: run ${loaded.run} is in force: ${loaded.rows} rows, ${loaded.written} written, ${loaded.removed} removed, ${bad.count} not usable, ${seconds.toFixed(1)} s`,
      );
    if (bad.count > 0) throw new CommandFailure(EXIT.problems, '');
  });
}

/** `stitchwork batch rollback` */
export async function rollBackSnapshot(name: string, flags: LoadFlags, io: Io): Promise<void> {
  await withNats(flags, io, async (door, names) => {
    const config = (await deployedConfig(door, names)).config;
    const known = [...config.batchTables, ...config.catalogs].map((table) => table.name);
    if (!known.includes(name)) throw unknownTable(name, known);
    const done = await openSnapshots(door, names).rollBack(name, flags.by ?? 'batch rollback');
    if (flags.json) io.out(JSON.stringify({ table: name, ...done }));
    else
      io.out(
        `${name}: run ${done.run} is in force, with the ${done.rows} rows of the run before; ${done.written} written, ${done.removed} removed`,
      );
  });
}

/** On a machine that it shares with gateways and workers these come first. */
function giveWay(): void {
  try {
    setPriority(constants.priority.PRIORITY_BELOW_NORMAL);
  } catch {
    // Where that is not allowed it loads like any other process.
  }
}

function unknownTable(name: string, known: readonly string[]): CommandFailure {
  const meant = didYouMean(name, known);
  const hint =
    meant === undefined ? `the config has: ${known.join(', ') || 'none'}` : `did you mean ${meant}?`;
  return new CommandFailure(EXIT.notFound, `there is no batch table or catalog '${name}'; ${hint}`);
}

export async function listSnapshots(flags: LoadFlags, io: Io): Promise<void> {
  await withNats(flags, io, async (door, names) => {
    const { batchTables, catalogs } = (await deployedConfig(door, names)).config;
    const current = await openSnapshots(door, names).current();
    const tables = [...batchTables, ...catalogs].map(({ name, key }) => {
      const found = current[name];
      const at = found ? new Date(found.atMs).toISOString() : null;
      return { table: name, key, run: found?.run ?? null, rows: found?.rows ?? 0, at, by: found?.by ?? null };
    });
    const jobs = await describeJobs(door, names, io);
    if (flags.json) io.out(JSON.stringify({ tables, jobs: jobs.jobs, problems: jobs.problems }));
    else if (tables.length === 0) io.talk('the config has no batch tables and no catalogs');
    else
      for (const line of tableOf(
        [
          ['table', 'key', 'run', 'rows', 'as of', 'by'],
          ...tables.map((each) => [
            each.table,
            each.key,
            String(each.run ?? '-'),
            String(each.rows),
            each.at ?? '-',
            each.by ?? '-',
          ]),
        ],
        io.style,
      ))
        io.out(line);
    if (!flags.json) tellJobs(jobs, io);
  });
}

async function* rowsOf(
  file: string,
  format: Parameters<typeof readRows>[1],
  table: Target,
  keyColumn: string,
  bad: { count: number },
  io: Io,
): AsyncGenerator<LoadedRow> {
  const refuse = (line: number, reason: string) => {
    bad.count += 1;
    if (bad.count <= TOLD_MAX) io.talk(`line ${line}: ${reason}`);
    if (bad.count === TOLD_MAX) io.talk('further rows that cannot be used are only counted');
  };
  for await (const row of readRows(file, format)) {
    if (row.kind === 'broken') {
      refuse(row.line, row.reason);
      continue;
    }
    const fields = row.fields as Readonly<Record<string, unknown>>;
    const raw = fields[keyColumn];
    const isThere = raw !== undefined && raw !== null;
    const key = isThere ? table.keyOf(String(raw)) : undefined;
    if (key === undefined) {
      refuse(row.line, isThere ? `${keyColumn} is no ${table.key}` : `there is no column '${keyColumn}'`);
      continue;
    }
    const values: Record<string, unknown> = {};
    let reason: string | undefined;
    for (const [column, type] of Object.entries(table.columns)) {
      const typed = typedValue(fields[column], type);
      if (typed === INVALID) reason ??= `${column} is ${JSON.stringify(fields[column])}, no ${type}`;
      else if (typed !== undefined) values[column] = typed;
    }
    if (reason === undefined) yield { encodedValue: encodeKeyValue(key), values };
    else refuse(row.line, reason);
  }
}

const INVALID = Symbol('invalid');

/** Undefined: there is nothing. */
function typedValue(value: unknown, type: ColumnType): unknown {
  if (value === undefined || value === null || value === '') return undefined;
  switch (type) {
    case 'string':
      return typeof value === 'object' ? INVALID : String(value);
    case 'number': {
      const number = Number(value);
      return typeof value === 'object' || !Number.isFinite(number) ? INVALID : number;
    }
    case 'boolean':
      if (value === true || value === 'true' || value === '1' || value === 1) return true;
      return value === false || value === 'false' || value === '0' || value === 0 ? false : INVALID;
    case 'timestamp': {
      const ms = typeof value === 'number' ? value : Date.parse(String(value));
      return Number.isFinite(ms) ? new Date(ms).toISOString() : INVALID;
    }
    default:
      return listOf(value);
  }
}

function listOf(value: unknown): unknown {
  if (Array.isArray(value)) return value;
  if (typeof value !== 'string') return INVALID;
  if (!value.startsWith('[')) return value.split('|');
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return INVALID;
  }
}
