// Writes the rows of one run of a table beside the run in force. Every commit also writes the record of the load at the
// revision that it wrote last: whoever takes the table over makes every later commit of this one fail whole.

import { snapshotKeys } from '../../shared/contract/names.ts';
import {
  decodeSnapshotRecord,
  encodeRow,
  encodeSnapshotRecord,
  rowAsOf,
  type StoredRow,
  type TableLoading,
  type TablePointer,
} from '../../shared/contract/snapshot-records.ts';
import { backoffMs } from '../../shared/kernel/backoff.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { Random } from '../../shared/kernel/random.ts';
import type { Presence } from '../../shared/ports/presence.ts';
import {
  COMMIT_BYTES_MAX,
  type RecordStore,
  type Revision,
  type StoreWrite,
} from '../../shared/ports/record-store.ts';
import type { SnapshotRows } from '../../shared/ports/snapshots.ts';

export interface TableDeps {
  /** The bucket of snapshots. */
  readonly store: RecordStore;
  readonly rows: SnapshotRows;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly random: Random;
  /** Unique for this load, for ever. */
  readonly owner: string;
  readonly by: string;
}

export interface ChangedTo {
  readonly encodedValue: string;
  /** Values as JSON; null: it goes. */
  readonly json: string | null;
}

/** Rows of one commit: the record of the load goes with them. */
export const ROWS_AT_ONCE = 900;
const ASK_TIMEOUT_MS = 1000;
const ASKS_MAX = 3;
const TRIES_MAX = 20;

interface Held<T> {
  readonly record: T | undefined;
  readonly revision: Revision;
}

export class TableWriter {
  readonly table: string;
  /** Run in force when the load began, 0 when there was none. */
  readonly current: number;
  readonly run: number;
  readonly #deps: TableDeps;
  readonly #pointer: Held<TablePointer>;
  #loading: TableLoading;
  #revision: Revision;
  readonly #gone: () => void;

  private constructor(
    deps: TableDeps,
    table: string,
    pointer: Held<TablePointer>,
    loading: TableLoading,
    revision: Revision,
    gone: () => void,
  ) {
    this.#deps = deps;
    this.table = table;
    this.current = pointer.record?.run ?? 0;
    this.run = loading.run;
    this.#pointer = pointer;
    this.#loading = loading;
    this.#revision = revision;
    this.#gone = gone;
  }

  /** Takes the table, also from a load that died. Throws CONFLICT while another one is under way, STORE_UNAVAILABLE. */
  static async begin(deps: TableDeps, table: string): Promise<TableWriter> {
    const { store, owner, by, clock } = deps;
    const before = await readRecord<TableLoading>(store, snapshotKeys.loading(table));
    await assertNobodyLoads(deps, table, before.record);
    const pointer = await readRecord<TablePointer>(store, snapshotKeys.current(table));
    const run = Math.max(pointer.record?.run ?? 0, before.record?.run ?? 0) + 1;
    const loading: TableLoading = { v: 1, run, owner, by, startedMs: clock.nowMs(), commits: 0 };
    const gone = deps.presence.answer(owner);
    const writer = new TableWriter(deps, table, pointer, loading, before.revision, gone);
    try {
      await writer.#commit([]);
      return writer;
    } catch (error) {
      gone();
      throw error;
    }
  }

  get pointer(): TablePointer | undefined {
    return this.#pointer.record;
  }

  /** Stores up to ROWS_AT_ONCE rows, each key once. Throws CONFLICT when another load has taken the table, STORE_UNAVAILABLE. */
  async write(changed: readonly ChangedTo[], isNew: boolean): Promise<void> {
    let part: ChangedTo[] = [];
    let bytes = 0;
    for (const row of changed) {
      part.push(row);
      bytes += row.json?.length ?? 0;
      if (bytes < COMMIT_BYTES_MAX / 4) continue;
      await this.#writePart(part, isNew);
      part = [];
      bytes = 0;
    }
    if (part.length > 0) await this.#writePart(part, isNew);
  }

  async #writePart(changed: readonly ChangedTo[], isNew: boolean): Promise<void> {
    const { store } = this.#deps;
    const keys = changed.map(({ encodedValue }) => snapshotKeys.row(this.table, encodedValue));
    for (let tries = 0; ; tries++) {
      // A replica may lag behind: then the revisions do not hold, and the leader is asked.
      const stored =
        isNew && tries === 0 ? undefined : await store.read(keys, tries === 0 ? 'replica' : 'leader');
      const writes = changed.map(({ json }, i): StoreWrite => {
        const found = stored?.get(keys[i]!);
        const before = found?.value ? decodeSnapshotRecord<StoredRow>(found.value) : undefined;
        const prev = before ? rowAsOf(before, this.current) : null;
        const value = encodeRow(this.run, json, prev && JSON.stringify(prev));
        return { kind: 'put', key: keys[i]!, value, expect: found?.revision ?? 0 };
      });
      if (await this.#commit(writes)) return;
      if (tries >= TRIES_MAX) throw unavailable(this.table, 'its rows change under the load');
    }
  }

  /** Brings the run into force, in one commit with the end of the load. */
  async finish(inForce: Omit<TablePointer, 'v' | 'run' | 'before'>): Promise<void> {
    const { record: before, revision } = this.#pointer;
    const pointer: TablePointer = {
      ...{ v: 1, run: this.run, ...inForce },
      ...(before && { before: { run: before.run, atMs: before.atMs, rows: before.rows, by: before.by } }),
    };
    const value = encodeSnapshotRecord(pointer);
    this.#loading = { ...this.#loading, owner: null };
    const put = { kind: 'put', key: snapshotKeys.current(this.table), value, expect: revision } as const;
    if (!(await this.#commit([put]))) throw taken(this.table);
    this.#gone();
  }

  /** Leaves the run in force as it is. Never throws: whoever comes next finds out. */
  async abandon(): Promise<void> {
    this.#gone();
    this.#loading = { ...this.#loading, owner: null };
    await this.#commit([]).catch(() => {});
  }

  /** False: one of the writes did not hold. Throws CONFLICT, STORE_UNAVAILABLE. */
  async #commit(writes: readonly StoreWrite[]): Promise<boolean> {
    const { store, clock, random } = this.#deps;
    const key = snapshotKeys.loading(this.table);
    const loading: TableLoading = { ...this.#loading, commits: this.#loading.commits + 1 };
    const put = { kind: 'put', key, value: encodeSnapshotRecord(loading), expect: this.#revision } as const;
    for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
      const outcome = await store.commit([put, ...writes]);
      if (outcome.kind === 'committed') return this.#took(loading, outcome.revisions[0] ?? 0);
      if (outcome.kind === 'refused') throw unavailable(this.table, `${outcome.code} ${outcome.reason}`);
      if (outcome.kind === 'conflict') {
        const now = await readRecord<TableLoading>(store, key);
        // An attempt without an answer was stored after all.
        if (now.record && isSame(now.record, loading)) return this.#took(loading, now.revision);
        if (now.revision !== this.#revision) throw taken(this.table);
        return false;
      }
      await clock.sleep(backoffMs(attempt, 20, 1000, random));
    }
    throw unavailable(this.table, 'no answer');
  }

  #took(loading: TableLoading, revision: Revision): true {
    this.#loading = loading;
    this.#revision = revision;
    return true;
  }
}

function isSame(a: TableLoading, b: TableLoading): boolean {
  return a.run === b.run && a.commits === b.commits && a.startedMs === b.startedMs && a.owner === b.owner;
}

async function assertNobodyLoads(
  { presence, owner }: TableDeps,
  table: string,
  loading: TableLoading | undefined,
): Promise<void> {
  if (!loading || loading.owner === null || loading.owner === owner) return;
  for (let asks = 0; asks < ASKS_MAX; asks++) {
    const answer = await presence.ask(loading.owner, ASK_TIMEOUT_MS);
    if (answer === 'gone') return;
    if (answer === 'silent') continue;
    const since = new Date(loading.startedMs).toISOString();
    throw new StitchworkError(
      'CONFLICT',
      `another load of ${table} is under way, by ${loading.by} since ${since}`,
    );
  }
}

/** From the leader. Throws STORE_UNAVAILABLE. */
export async function readRecord<T>(store: RecordStore, key: string): Promise<Held<T>> {
  const stored = (await store.read([key], 'leader')).get(key);
  const record = stored?.value ? decodeSnapshotRecord<T>(stored.value) : undefined;
  return { record, revision: stored?.revision ?? 0 };
}

function taken(table: string): StitchworkError {
  return new StitchworkError('CONFLICT', `another load has taken the table ${table} over`);
}

function unavailable(table: string, reason: string): StitchworkError {
  return new StitchworkError('STORE_UNAVAILABLE', `rows of ${table} cannot be stored: ${reason}`);
}
