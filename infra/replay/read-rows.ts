// Rows of a file, one after another: NDJSON or CSV (first line is the head), plain or gzip, or Parquet. A row that cannot be read
// is given as such with its line; the rows after it go on.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { type CsvError, parse as parseCsv } from 'csv-parse';
import { readParquetRows } from './read-parquet.ts';

export const FILE_FORMATS = ['ndjson', 'csv', 'parquet'] as const;
export type FileFormat = (typeof FILE_FORMATS)[number];
export type Row =
  /** `row` counts from 1 without the head and blank lines; `line` is where it begins in the file. */
  | {
      readonly kind: 'row';
      readonly row: number;
      readonly line: number;
      readonly fields: Readonly<Record<string, unknown>>;
    }
  | { readonly kind: 'broken'; readonly row: number; readonly line: number; readonly reason: string };

/** The format by the name of the file, or undefined. */
export function formatOf(path: string): FileFormat | undefined {
  const name = path.toLowerCase().replace(/\.gz$/, '');
  if (/\.(ndjson|jsonl|json)$/.test(name)) return 'ndjson';
  if (/\.(parquet|pq)$/.test(name)) return 'parquet';
  return /\.(csv|tsv)$/.test(name) ? 'csv' : undefined;
}

/** SHA-256 of the bytes of the file. Throws ENOENT. */
export async function digestFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Reads the rows in order, never more than a buffer ahead. Throws when the file cannot be read or unpacked. */
export function readRows(path: string, format: FileFormat): AsyncGenerator<Row> {
  if (format === 'parquet') return readParquetRows(path);
  return format === 'ndjson'
    ? readNdjson(openText(path))
    : readCsv(openText(path), /\.tsv(\.gz)?$/i.test(path));
}

function openText(path: string): Readable {
  const file = createReadStream(path);
  if (!path.toLowerCase().endsWith('.gz')) return file;
  const unpacked = createGunzip();
  file.on('error', (error) => unpacked.destroy(error));
  return file.pipe(unpacked);
}

async function* readNdjson(text: Readable): AsyncGenerator<Row> {
  const lines = createInterface({ input: text, crlfDelay: Number.POSITIVE_INFINITY });
  const failed = new Promise<never>((_, reject) => text.on('error', reject));
  failed.catch(() => undefined);
  let line = 0;
  let row = 0;
  const iterator = lines[Symbol.asyncIterator]();
  for (;;) {
    const next = await Promise.race([iterator.next(), failed]);
    if (next.done) return;
    line += 1;
    if (next.value.trim() === '') continue;
    row += 1;
    yield parseJsonRow(next.value, row, line);
  }
}

function parseJsonRow(text: string, row: number, line: number): Row {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) {
      return { kind: 'row', row, line, fields: parsed as Record<string, unknown> };
    }
    return { kind: 'broken', row, line, reason: 'not a JSON object' };
  } catch (error) {
    return { kind: 'broken', row, line, reason: error instanceof Error ? error.message : 'not JSON' };
  }
}

async function* readCsv(text: Readable, tabs: boolean): AsyncGenerator<Row> {
  const parser = parseCsv({
    bom: true,
    delimiter: tabs ? '\t' : ',',
    skip_empty_lines: true,
    relax_column_count: true,
    relax_quotes: true,
    info: true,
  });
  text.on('error', (error) => parser.destroy(error));
  text.pipe(parser);
  let head: readonly string[] | undefined;
  let row = 0;
  let previousLine = 0;
  for await (const item of parser) {
    const { record, info, error } = item as {
      record: readonly string[];
      info: { lines: number };
      error?: CsvError;
    };
    const line = previousLine + 1;
    previousLine = info.lines;
    if (head === undefined) {
      head = record;
      continue;
    }
    row += 1;
    if (error || record.length !== head.length) {
      const reason = error?.message ?? `${record.length} fields where the head has ${head.length}`;
      yield { kind: 'broken', row, line, reason };
      continue;
    }
    const fields: Record<string, unknown> = {};
    head.forEach((name, i) => {
      fields[name] = record[i];
    });
    yield { kind: 'row', row, line, fields };
  }
}
