// Rows of a Parquet file, some thousand at a time, as JSON has them: whole numbers as numbers where they are exact, times as
// ISO 8601.
import { tmpdir } from 'node:os';
import { openDuck, sqlText } from '../../batch/duck.ts';
import { errorText, StitchworkError } from '../../shared/kernel/errors.ts';
import type { Row } from './read-rows.ts';

const MEMORY_BYTES = 500_000_000;

/** `line` is the number of the row. Throws INVALID_SETTINGS when DuckDB is not installed or the file cannot be read. */
export async function* readParquetRows(path: string): AsyncGenerator<Row> {
  const duck = await openDuck({ memoryBytes: MEMORY_BYTES, threads: 1, tempFolder: tmpdir() });
  const connection = await duck.open();
  try {
    let row = 0;
    const sql = `SELECT * FROM read_parquet(${sqlText(path)}, hive_partitioning = false)`;
    const result = await connection.stream(sql).catch((error: unknown) => {
      throw new StitchworkError('INVALID_SETTINGS', `${path} cannot be read as Parquet: ${errorText(error)}`);
    });
    for await (const rows of result.yieldRowObjectJs()) {
      for (const fields of rows) {
        row += 1;
        yield { kind: 'row', row, line: row, fields: plain(fields) as Record<string, unknown> };
      }
    }
  } finally {
    connection.closeSync();
    duck.close();
  }
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value.toString();
  }
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)]));
}
