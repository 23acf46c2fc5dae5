// Records of the snapshot bucket: rows, the run of a table that is in force, and the load that is under way.

export type RowValues = Readonly<Record<string, unknown>>;

/** A row as it is stored: its value since `run`, and the one before. Null: it is not in the table. */
export interface StoredRow {
  readonly run: number;
  readonly value: RowValues | null;
  readonly prev: RowValues | null;
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
  readonly v: 1;
  /** The run that was in force before it; absent: there was none. */
  readonly before?: RunInForce | undefined;
}

/** Under `loading.<table>`: whoever writes rows writes it with them, at the revision that it wrote last. */
export interface TableLoading {
  readonly v: 1;
  readonly run: number;
  /** Null: it ended. */
  readonly owner: string | null;
  readonly by: string;
  readonly startedMs: number;
  /** Commits so far: tells a commit whose answer was lost. */
  readonly commits: number;
}

/** The row as of a run. Who asks for one older than the run before is given a newer one, never an older. */
export function rowAsOf({ run, value, prev }: StoredRow, asOf: number): RowValues | null {
  return run <= asOf ? value : prev;
}

/** Throws when the bytes are not JSON. */
export function decodeSnapshotRecord<T>(value: Uint8Array): T {
  return JSON.parse(Buffer.from(value.buffer, value.byteOffset, value.length).toString('utf8')) as T;
}

/** A row of values that are JSON already; null: there are none. */
export function encodeRow(run: number, value: string | null, prev: string | null): Uint8Array {
  return Buffer.from(`{"run":${run},"value":${value},"prev":${prev}}`);
}

export function encodeSnapshotRecord(record: TablePointer | TableLoading): Uint8Array {
  return Buffer.from(JSON.stringify(record));
}
