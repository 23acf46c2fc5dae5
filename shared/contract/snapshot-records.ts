// Records of the snapshot bucket: pages of rows, the run of a table that is in force, and the load that is under way. Rows
// stand in pages of some sixteen, by a hash of their key: a table is written and read whole in a sixteenth of the messages.
import { pack, unpack } from 'msgpackr';
import { sha256 } from '../kernel/hash.ts';

export type RowValues = Readonly<Record<string, unknown>>;

/** A row as it is stored: its values as JSON since `run`, and those before. Null: it is not in the table. */
export interface StoredRow {
  readonly encodedValue: string;
  readonly run: number;
  readonly value: string | null;
  readonly prev: string | null;
}

/** Where the rows of a table stand: 2^bits pages, all of them there. Another number of pages is another generation. */
export interface PageLayout {
  readonly generation: number;
  readonly bits: number;
}

export interface RunInForce {
  readonly run: number;
  /** When the snapshot was made, ms. */
  readonly atMs: number;
  /** Rows in force. */
  readonly rows: number;
  readonly by: string;
}

/** Under `current.<table>`. */
export interface TablePointer extends RunInForce {
  readonly v: 2;
  readonly layout: PageLayout;
  /** The run that was in force before it; absent: there was none. */
  readonly before?: RunInForce | undefined;
}

/** Under `loading.<table>`: whoever writes pages writes it with them, at the revision that it wrote last. */
export interface TableLoading {
  readonly v: 1;
  readonly run: number;
  /** Null: it ended. */
  readonly owner: string | null;
  readonly by: string;
  readonly startedMs: number;
  /** Commits so far: tells a commit whose answer was lost. */
  readonly commits: number;
  /** Generations of pages that are not in force and may still be there. */
  readonly former: readonly number[];
}

export function pagesOf({ bits }: PageLayout): number {
  return 2 ** bits;
}

/** The first 32 bits of SHA-256 of a key. */
export function pageHash(encodedValue: string): number {
  return sha256(encodedValue).readUInt32LE(0);
}

/** The page of a key by its hash: the first bits. */
export function pageOfHash(hash: number, { bits }: PageLayout): number {
  return bits === 0 ? 0 : hash >>> (32 - bits);
}

/** The row's JSON as of a run. Who asks for one older than the run before is given a newer one, never an older. */
export function jsonAsOf({ run, value, prev }: StoredRow, asOf: number): string | null {
  return run <= asOf ? value : prev;
}

export function encodePage(rows: readonly StoredRow[]): Uint8Array {
  return pack(rows.map(({ encodedValue, run, value, prev }) => [encodedValue, run, value, prev]));
}

/** Throws when the bytes are damaged. */
export function decodePage(bytes: Uint8Array): readonly StoredRow[] {
  const rows = unpack(bytes) as readonly (readonly [string, number, string | null, string | null])[];
  return rows.map(([encodedValue, run, value, prev]) => ({ encodedValue, run, value, prev }));
}

/** Throws when the bytes are not JSON. */
export function decodeSnapshotRecord<T extends TablePointer | TableLoading>(value: Uint8Array): T {
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8')) as T;
}

export function encodeSnapshotRecord(record: TablePointer | TableLoading): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}
