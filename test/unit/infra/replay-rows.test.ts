// Files as rows: formats, gzip, line numbers, rows that cannot be read.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import {
  digestFile,
  type FileFormat,
  formatOf,
  type Row,
  readRows,
} from '../../../infra/replay/read-rows.ts';

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-rows-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function rowsOf(name: string, content: string | Buffer, format: FileFormat): Promise<readonly Row[]> {
  const path = join(folder, name);
  writeFileSync(path, content);
  const rows: Row[] = [];
  for await (const row of readRows(path, format)) rows.push(row);
  return rows;
}

describe('rows', () => {
  it('tells the format by the name', () => {
    expect(['a.ndjson', 'a.jsonl.gz', 'a.JSON'].map(formatOf)).toEqual(['ndjson', 'ndjson', 'ndjson']);
    expect(['a.csv', 'a.csv.gz', 'a.tsv', 'a.parquet', 'a'].map(formatOf)).toEqual([
      'csv',
      'csv',
      'csv',
      'parquet',
      undefined,
    ]);
  });

  it('reads NDJSON with blank and broken lines', async () => {
    const rows = await rowsOf('a.ndjson', '{"a":1}\n\n[1]\r\n{broken\n{"a":2}', 'ndjson');
    expect(rows).toMatchObject([
      { kind: 'row', row: 1, line: 1, fields: { a: 1 } },
      { kind: 'broken', row: 2, line: 3, reason: 'not a JSON object' },
      { kind: 'broken', row: 3, line: 4 },
      { kind: 'row', row: 4, line: 5, fields: { a: 2 } },
    ]);
  });

  it('reads CSV with quotes, line breaks in cells and a wrong number of fields', async () => {
    const rows = await rowsOf('a.csv', 'a,b\n1,"x, y"\n2,"two\nlines"\n3\n4,z\n', 'csv');
    expect(rows).toMatchObject([
      { kind: 'row', row: 1, line: 2, fields: { a: '1', b: 'x, y' } },
      { kind: 'row', row: 2, line: 3, fields: { a: '2', b: 'two\nlines' } },
      { kind: 'broken', row: 3, line: 5, reason: '1 fields where the head has 2' },
      { kind: 'row', row: 4, line: 6, fields: { a: '4', b: 'z' } },
    ]);
  });

  it('unpacks gzip and reads tabs', async () => {
    expect(await rowsOf('a.csv.gz', gzipSync('a\n1\n'), 'csv')).toMatchObject([{ fields: { a: '1' } }]);
    expect(await rowsOf('a.jsonl.gz', gzipSync('{"a":1}\n'), 'ndjson')).toMatchObject([{ fields: { a: 1 } }]);
    expect(await rowsOf('a.tsv', 'a\tb\n1\t2\n', 'csv')).toMatchObject([{ fields: { a: '1', b: '2' } }]);
  });

  it('throws when the file is not there or cannot be unpacked', async () => {
    await expect(rowsOf('bad.csv.gz', 'not gzip', 'csv')).rejects.toThrow();
    await expect(rowsOf('bad.jsonl.gz', 'not gzip', 'ndjson')).rejects.toThrow();
    for (const name of ['none.csv', 'none.ndjson']) {
      const iterator = readRows(join(folder, name), formatOf(name) ?? 'csv');
      await expect(iterator.next()).rejects.toThrow(/ENOENT/);
    }
  });

  it('digests content, not names', async () => {
    writeFileSync(join(folder, 'd1'), 'same');
    writeFileSync(join(folder, 'd2'), 'same');
    expect(await digestFile(join(folder, 'd1'))).toBe(await digestFile(join(folder, 'd2')));
  });
});
