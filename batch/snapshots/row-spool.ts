// Rows that wait to be put into pages: some in memory, the rest in a file, parted by the first bits of the hash of their key, so
// that the rows of a page are together again however they came, and memory stays bounded.
import { type FileHandle, open, rm } from 'node:fs/promises';
import { pack, unpack } from 'msgpackr';
import type { StoredRow } from '../../shared/contract/snapshot-records.ts';

/** What comes in, or what stands in a page of another layout. */
export type SpooledRow =
  | { readonly kind: 'new'; readonly encodedValue: string; readonly json: string }
  | { readonly kind: 'stored'; readonly row: StoredRow };

type Packed =
  | readonly [encodedValue: string, json: string]
  | readonly [encodedValue: string, run: number, value: string | null, prev: string | null];

interface Part {
  readonly hashes: number[];
  readonly rows: Packed[];
  bytes: number;
  readonly chunks: { readonly at: number; readonly length: number }[];
}

const PART_BITS = 6;
const PARTS = 2 ** PART_BITS;
/** Of a part, in memory: 16 MB for all of them. */
const PART_BYTES_MAX = 256 * 1024;
const ROW_BYTES = 48;

export interface PageRows {
  readonly page: number;
  /** In the order in which they came. */
  readonly rows: readonly SpooledRow[];
}

export class RowSpool {
  readonly #path: string;
  #file: FileHandle | undefined;
  #end = 0;
  readonly #parts: readonly Part[] = Array.from({ length: PARTS }, () => ({
    hashes: [],
    rows: [],
    bytes: 0,
    chunks: [],
  }));

  /** `path`: of a file that is made when it is needed, and removed by `close`. */
  constructor(path: string) {
    this.#path = path;
  }

  /** `hash`: of the key, 32 bits. A promise when rows have to go to the file before the next one comes. */
  add(hash: number, row: SpooledRow): Promise<void> | undefined {
    const part = this.#parts[hash >>> (32 - PART_BITS)]!;
    part.hashes.push(hash);
    part.rows.push(packedOf(row));
    part.bytes += ROW_BYTES + bytesOf(row);
    return part.bytes < PART_BYTES_MAX ? undefined : this.#moveOut(part);
  }

  /** All rows by page, of 2^bits pages, pages in order. */
  async *pages(bits: number): AsyncGenerator<readonly PageRows[]> {
    // A page of few may be made of several parts.
    const together = Math.max(1, PARTS >>> bits);
    for (let first = 0; first < PARTS; first += together) {
      const byPage = new Map<number, SpooledRow[]>();
      for (const part of this.#parts.slice(first, first + together)) {
        for await (const { hashes, rows } of this.#chunksOf(part))
          for (let i = 0; i < rows.length; i++) {
            const page = bits === 0 ? 0 : hashes[i]! >>> (32 - bits);
            const found = byPage.get(page);
            if (found) found.push(rowOf(rows[i]!));
            else byPage.set(page, [rowOf(rows[i]!)]);
          }
      }
      if (byPage.size > 0)
        yield [...byPage].map(([page, rows]) => ({ page, rows })).sort((a, b) => a.page - b.page);
    }
  }

  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
    await rm(this.#path, { force: true });
  }

  async #moveOut(part: Part): Promise<void> {
    const bytes = pack([part.hashes, part.rows]);
    part.hashes.length = 0;
    part.rows.length = 0;
    part.bytes = 0;
    this.#file ??= await openNameless(this.#path);
    await this.#file.write(bytes, 0, bytes.length, this.#end);
    part.chunks.push({ at: this.#end, length: bytes.length });
    this.#end += bytes.length;
  }

  async *#chunksOf(part: Part): AsyncGenerator<Pick<Part, 'hashes' | 'rows'>> {
    for (const { at, length } of part.chunks) {
      const { buffer } = await this.#file!.read(Buffer.allocUnsafe(length), 0, length, at);
      const [hashes, rows] = unpack(buffer) as [number[], Packed[]];
      yield { hashes, rows };
    }
    yield part;
  }
}

/** A file that is gone with the process that has it open, where the system allows that. */
async function openNameless(path: string): Promise<FileHandle> {
  const file = await open(path, 'wx+', 0o600);
  await rm(path, { force: true }).catch(() => {});
  return file;
}

function bytesOf(row: SpooledRow): number {
  if (row.kind === 'new') return row.encodedValue.length + row.json.length;
  const { encodedValue, value, prev } = row.row;
  return encodedValue.length + (value?.length ?? 0) + (prev?.length ?? 0);
}

function packedOf(row: SpooledRow): Packed {
  if (row.kind === 'new') return [row.encodedValue, row.json];
  const { encodedValue, run, value, prev } = row.row;
  return [encodedValue, run, value, prev];
}

function rowOf(packed: Packed): SpooledRow {
  if (packed.length === 2) return { kind: 'new', encodedValue: packed[0], json: packed[1] };
  const [encodedValue, run, value, prev] = packed;
  return { kind: 'stored', row: { encodedValue, run, value, prev } };
}
