// Writes the pages of one run of a table beside the run in force. Every commit also writes the record of the load at the
// revision that it wrote last: whoever takes the table over makes every later commit of this one fail whole.

import { snapshotKeys } from '../../shared/contract/names.ts';
import {
  decodePage,
  decodeSnapshotRecord,
  encodePage,
  encodeSnapshotRecord,
  type PageLayout,
  type StoredRow,
  type TableLoading,
  type TablePointer,
} from '../../shared/contract/snapshot-records.ts';
import { backoffMs } from '../../shared/kernel/backoff.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { Random } from '../../shared/kernel/random.ts';
import type { Presence } from '../../shared/ports/presence.ts';
import type { RecordStore, Revision, StoreWrite } from '../../shared/ports/record-store.ts';
import type { SnapshotPages } from '../../shared/ports/snapshots.ts';

export interface TableDeps {
  /** The bucket of snapshots. */
  readonly store: RecordStore;
  readonly pages: SnapshotPages;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly random: Random;
  /** Unique for this load, for ever. */
  readonly owner: string;
  readonly by: string;
  /** Makes the path of a file that this load may use, in a folder that exists. */
  readonly spoolFile: () => string;
}

export interface Rewritten {
  readonly rows: readonly StoredRow[];
  /** Rows that changed or came, and rows that went. */
  readonly written: number;
  readonly removed: number;
}

export interface PageChange {
  readonly page: number;
  /** What the page holds afterwards. May be called again. */
  readonly rewrite: (stored: readonly StoredRow[]) => Rewritten;
  /** Of a page that is new: what it held elsewhere. */
  readonly stored?: readonly StoredRow[];
}

/** Pages that are handed over together at most. */
export const PAGES_AT_ONCE = 128;
const COMMIT_BYTES = 1024 * 1024;
const ASK_TIMEOUT_MS = 1000;
const ASKS_MAX = 3;
const TRIES_MAX = 20;
/** Loads that died one after another leave no more than this to be removed. */
const FORMER_MAX = 100;

type Revisions = ReadonlyMap<string, { readonly rows: readonly StoredRow[]; readonly revision: Revision }>;

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
  #lastWrite: Promise<unknown> = Promise.resolve();
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
    const inForce = pointer.record?.layout.generation;
    const former = [...(before.record?.former ?? []), ...(before.record ? [before.record.run] : [])];
    const left = former.filter((generation) => generation !== inForce);
    const loading: TableLoading = {
      ...{ v: 1, run, owner, by, startedMs: clock.nowMs(), commits: 0 },
      former: [...new Set(left)].slice(-FORMER_MAX),
    };
    const gone = deps.presence.answer(owner);
    const writer = new TableWriter(deps, table, pointer, loading, before.revision, gone);
    try {
      await writer.#commit([]);
      await writer.#dropFormer();
      return writer;
    } catch (error) {
      gone();
      throw error;
    }
  }

  get pointer(): TablePointer | undefined {
    return this.#pointer.record;
  }

  /** Where the rows in force stand. */
  get layout(): PageLayout | undefined {
    return this.#pointer.record?.layout;
  }

  /** Generations that are not in force: nobody reads them any more, and whoever wrote them writes no more. */
  async #dropFormer(): Promise<void> {
    const { former } = this.#loading;
    if (former.length === 0) return;
    for (const generation of former) await this.#deps.pages.drop(this.table, generation);
    this.#loading = { ...this.#loading, former: [] };
  }

  /**
   * Stores pages, in the order of the calls; what is to be read for them is read at once. Throws CONFLICT when another load has
   * taken the table, STORE_UNAVAILABLE.
   */
  async write(
    layout: PageLayout,
    changes: readonly PageChange[],
  ): Promise<{ readonly written: number; readonly removed: number }> {
    const reading = this.#read(layout, changes, 'replica');
    const writing = this.#lastWrite.then(async () => this.#store(layout, changes, await reading));
    reading.catch(() => {});
    this.#lastWrite = writing.catch(() => {});
    return writing;
  }

  async #store(layout: PageLayout, changes: readonly PageChange[], first: Revisions) {
    const sum = { written: 0, removed: 0 };
    let [from, stored] = [0, first];
    for (let tries = 0; from < changes.length; ) {
      const part = this.#nextPart(layout, changes, from, stored);
      if (await this.#commit(part.writes)) {
        from += part.writes.length;
        sum.written += part.written;
        sum.removed += part.removed;
        continue;
      }
      tries += 1;
      if (tries >= TRIES_MAX) throw unavailable(this.table, 'its rows change under the load');
      // A replica may lag behind: then the revisions do not hold, and the leader is asked.
      stored = await this.#read(layout, changes, 'leader');
    }
    return sum;
  }

  /** As many of the next pages as go into one commit. */
  #nextPart(layout: PageLayout, changes: readonly PageChange[], from: number, stored: Revisions) {
    const writes: StoreWrite[] = [];
    let [bytes, written, removed] = [0, 0, 0];
    for (const change of changes.slice(from)) {
      const key = snapshotKeys.page(this.table, layout.generation, change.page);
      const found = stored.get(key);
      const after = change.rewrite(change.stored ?? found?.rows ?? []);
      const value = encodePage(after.rows);
      if (writes.length > 0 && bytes + value.length > COMMIT_BYTES) break;
      writes.push({ kind: 'put', key, value, expect: found?.revision ?? 0 });
      bytes += value.length;
      written += after.written;
      removed += after.removed;
    }
    return { writes, written, removed };
  }

  async #read(
    layout: PageLayout,
    changes: readonly PageChange[],
    from: 'leader' | 'replica',
  ): Promise<Revisions> {
    const wanted = from === 'leader' ? changes : changes.filter(({ stored }) => !stored);
    const keys = wanted.map(({ page }) => snapshotKeys.page(this.table, layout.generation, page));
    const found = await this.#deps.store.read(keys, from);
    return new Map(
      [...found].map(([key, { value, revision }]) => [
        key,
        { rows: value ? decodePage(value) : [], revision },
      ]),
    );
  }

  /** Brings the run into force, in one commit with the end of the load. */
  async finish(inForce: Omit<TablePointer, 'v' | 'run' | 'before'>): Promise<void> {
    await this.#lastWrite;
    const { record: before, revision } = this.#pointer;
    const pointer: TablePointer = {
      ...{ v: 2, run: this.run, ...inForce },
      ...(before && { before: { run: before.run, atMs: before.atMs, rows: before.rows, by: before.by } }),
    };
    const value = encodeSnapshotRecord(pointer);
    const former = before && before.layout.generation !== inForce.layout.generation;
    this.#loading = {
      ...this.#loading,
      owner: null,
      former: former ? [before.layout.generation] : [],
    };
    const put = { kind: 'put', key: snapshotKeys.current(this.table), value, expect: revision } as const;
    if (!(await this.#commit([put]))) throw taken(this.table);
    this.#gone();
  }

  /** Leaves the run in force as it is. Never throws: whoever comes next finds out. */
  async abandon(): Promise<void> {
    await this.#lastWrite;
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
export async function readRecord<T extends TableLoading | TablePointer>(
  store: RecordStore,
  key: string,
): Promise<Held<T>> {
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
