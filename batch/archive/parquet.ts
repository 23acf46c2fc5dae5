// Rows of the archive in Parquet files (zstd), by DuckDB. Files are written into a folder of the writer's own and named by
// the caller; rows stand in the order of the log.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DuckDBConnection, DuckDBValue } from '@duckdb/node-api';
import { type Duck, type DuckModule, sqlText } from '../duck.ts';
import type { ArchiveRow } from './archive-row.ts';

/** Columns in the order of the file, with their types. */
const COLUMNS = `sequence BIGINT, shard INTEGER, source VARCHAR, message_id VARCHAR, name VARCHAR, "table" VARCHAR,
  keys JSON, properties JSON, event_time TIMESTAMP_MS, log_time TIMESTAMP_MS, v INTEGER, rest JSON, raw BLOB`;
const FORMAT = '(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)';
const CHUNK_ROWS = 2048;

export interface WrittenFile {
  readonly bytes: number;
  /** SHA-256, hex. */
  readonly digest: string;
}

/** Writes rows to a new file in the order of the log. `turn` lets others have theirs, now and then. */
export async function writeParquet(
  duck: Duck,
  rows: readonly ArchiveRow[],
  path: string,
  turn: () => Promise<void> = async () => {},
): Promise<WrittenFile> {
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { force: true });
  await duck.use(async (connection) => {
    // Temporary: of this connection alone.
    await connection.run(`CREATE TEMP TABLE rows (${COLUMNS})`);
    await fill(duck.module, connection, rows, turn);
    await connection.run(`COPY (SELECT * FROM rows ORDER BY sequence) TO ${sqlText(path)} ${FORMAT}`);
    await connection.run('DROP TABLE rows');
  });
  return describe(path);
}

/** Writes the rows of several files, which follow one another in the log, to a new one. */
export async function joinParquet(
  duck: Duck,
  sources: readonly string[],
  path: string,
): Promise<WrittenFile> {
  await mkdir(dirname(path), { recursive: true });
  await rm(path, { force: true });
  const list = sources.map(sqlText).join(', ');
  await duck.use(async (connection) => {
    await connection.run(
      `COPY (SELECT * FROM read_parquet([${list}], hive_partitioning = false)) TO ${sqlText(path)} ${FORMAT}`,
    );
  });
  return describe(path);
}

/** How many rows a file holds, and the first and last sequence of them. */
export function measureParquet(
  duck: Duck,
  path: string,
): Promise<{ readonly rows: number; readonly first: number; readonly last: number }> {
  return duck.use(async (connection) => {
    const result = await connection.runAndReadAll(
      `SELECT count(*), min(sequence), max(sequence) FROM read_parquet(${sqlText(path)}, hive_partitioning = false)`,
    );
    const [rows, first, last] = result.getRows()[0] ?? [];
    return { rows: Number(rows), first: Number(first), last: Number(last) };
  });
}

export interface RowFilter {
  /** SQL conditions, all of which must hold. */
  readonly where: readonly string[];
  readonly values: readonly DuckDBValue[];
  /** Whether the files do not follow one another in the log, so that their rows must be sorted. */
  readonly sort: boolean;
}

/** Rows of files, some at a time, in the order of the log. */
export async function* readParquet(
  duck: Duck,
  paths: readonly string[],
  { where, values, sort }: RowFilter,
): AsyncIterable<readonly ArchiveRow[]> {
  const connection = await duck.open();
  try {
    const list = paths.map(sqlText).join(', ');
    const columns = `sequence, shard, source, message_id, name, "table", keys::VARCHAR, properties::VARCHAR,
      epoch_ms(event_time), epoch_ms(log_time), v, rest::VARCHAR, raw`;
    const condition = where.length > 0 ? ` WHERE ${where.join(' AND ')}` : '';
    const from = `read_parquet([${list}], hive_partitioning = false)`;
    const order = sort ? ' ORDER BY sequence' : '';
    const result = await connection.stream(`SELECT ${columns} FROM ${from}${condition}${order}`, [...values]);
    for (;;) {
      const chunk = await result.fetchChunk();
      if (!chunk || chunk.rowCount === 0) return;
      yield chunk.getRows().map(rowFrom);
    }
  } finally {
    connection.closeSync();
  }
}

async function fill(
  duck: DuckModule,
  connection: DuckDBConnection,
  rows: readonly ArchiveRow[],
  turn: () => Promise<void>,
): Promise<void> {
  const { BIGINT, INTEGER, VARCHAR, TIMESTAMP_MS, BLOB } = duck;
  const texts = [VARCHAR, VARCHAR, VARCHAR, VARCHAR, VARCHAR, VARCHAR];
  const types = [BIGINT, INTEGER, ...texts, TIMESTAMP_MS, TIMESTAMP_MS, INTEGER, VARCHAR, BLOB];
  const time = (ms: number) => new duck.DuckDBTimestampMillisecondsValue(BigInt(ms));
  const appender = await connection.createAppender('rows');
  for (let start = 0; start < rows.length; start += CHUNK_ROWS) {
    const part = rows.slice(start, start + CHUNK_ROWS);
    const chunk = duck.DuckDBDataChunk.create(types, part.length);
    chunk.setRows(
      part.map((row) => [
        BigInt(row.sequence),
        row.shard,
        row.source,
        row.messageId,
        row.name,
        row.table,
        row.keys,
        row.properties,
        time(row.eventTimeMs),
        time(row.logTimeMs),
        row.v,
        row.rest,
        row.raw === null ? null : new duck.DuckDBBlobValue(row.raw),
      ]),
    );
    appender.appendDataChunk(chunk);
    await turn();
  }
  appender.closeSync();
}

type Raw = { readonly bytes: Uint8Array } | null;

function rowFrom(values: readonly DuckDBValue[]): ArchiveRow {
  const text = (index: number) => values[index] as string | null;
  return {
    sequence: Number(values[0]),
    shard: Number(values[1]),
    source: text(2) ?? '',
    messageId: text(3),
    name: text(4),
    table: text(5),
    keys: text(6),
    properties: text(7),
    eventTimeMs: Number(values[8]),
    logTimeMs: Number(values[9]),
    v: values[10] === null ? null : Number(values[10]),
    rest: text(11),
    raw: (values[12] as Raw)?.bytes ?? null,
  };
}

async function describe(path: string): Promise<WrittenFile> {
  const hash = createHash('sha256');
  for await (const part of createReadStream(path)) hash.update(part as Buffer);
  return { bytes: (await stat(path)).size, digest: hash.digest('hex') };
}
