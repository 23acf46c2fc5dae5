// Snapshots over JetStream: which run of each table is in force, its rows for readers, and all pages as they are stored.
import type { KV } from '@nats-io/kv';
import { Kvm } from '@nats-io/kv';
import { rowOfKey, type SegmentNames, snapshotKeys } from '../contract/names.ts';
import {
  decodePage,
  decodeSnapshotRecord,
  jsonAsOf,
  type PageLayout,
  pageHash,
  pageOfHash,
  pagesOf,
  type TablePointer,
} from '../contract/snapshot-records.ts';
import { errorText, StitchworkError } from '../kernel/errors.ts';
import type { RecordStore, StoredRecord } from '../ports/record-store.ts';
import type { CurrentSnapshot, SnapshotPages, Snapshots } from '../ports/snapshots.ts';
import type { NatsDoor } from './connect.ts';
import { readLast } from './direct-get.ts';
import { callApi, getMessage, LEADER_TIMEOUT_MS } from './jetstream-api.ts';
import { whileBehind } from './leader-lag.ts';
import { followBatches } from './stream-batches.ts';

export type SnapshotRuns = Pick<Snapshots, 'current' | 'watch'>;

export function createSnapshotRuns(door: NatsDoor, names: SegmentNames): SnapshotRuns {
  let opened: Promise<KV> | undefined;
  const bucket = () => (opened ??= new Kvm(door.nc).open(names.snapshotsBucket));
  return {
    async current() {
      const found: Record<string, CurrentSnapshot> = {};
      try {
        const kv = await bucket();
        const keys = await kv.keys(snapshotKeys.currentFilter);
        for await (const key of keys) {
          const entry = await kv.get(key);
          if (entry?.operation !== 'PUT') continue;
          const pointer = entry.json<TablePointer>();
          if (pointer.run > 0) found[key.slice(snapshotKeys.current('').length)] = pointer;
        }
      } catch (error) {
        throw new StitchworkError('STORE_UNAVAILABLE', `snapshots of ${names.segment}: ${errorText(error)}`, {
          cause: error,
        });
      }
      return found;
    },
    async watch(callback) {
      const iterator = await (await bucket()).watch({ key: snapshotKeys.currentFilter });
      void (async () => {
        for await (const _ of iterator) callback();
      })();
      return () => iterator.stop();
    },
  };
}

/** Which run of a table is in force, from the leader, and its position in the bucket. Throws STORE_UNAVAILABLE. */
export async function readPointer(
  door: NatsDoor,
  names: SegmentNames,
  table: string,
): Promise<(TablePointer & { readonly sequence: number }) | undefined> {
  const query = { last_by_subj: names.snapshotSubject(snapshotKeys.current(table)) };
  const message = await getMessage(door, names.snapshotsStream, query, 'STORE_UNAVAILABLE');
  if (!message || message.data.length === 0) return undefined;
  return { ...decodeSnapshotRecord<TablePointer>(message.data), sequence: message.sequence };
}

export function createSnapshotPages(door: NatsDoor, names: SegmentNames): SnapshotPages {
  return {
    async *stored(table, layout) {
      const filter = names.snapshotSubject(snapshotKeys.pagesFilter(table, layout.generation));
      const found = new Set<number>();
      for await (const batch of followBatches(door, names.snapshotsStream, { filter })) {
        const pages = batch
          .filter(({ removed, payload }) => !removed && payload.length > 0)
          .map(({ subject, payload }) => {
            return { page: Number(subject.slice(subject.lastIndexOf('.') + 1)), rows: decodePage(payload) };
          });
        for (const { page } of pages) found.add(page);
        yield pages;
      }
      if (found.size < pagesOf(layout))
        throw unavailable(names, `${found.size} of ${pagesOf(layout)} pages of ${table} can be read`);
    },
    async drop(table, generation) {
      const filter = names.snapshotSubject(snapshotKeys.pagesFilter(table, generation));
      const answer = await callApi(
        door,
        `STREAM.PURGE.${names.snapshotsStream}`,
        { filter },
        LEADER_TIMEOUT_MS,
      );
      if (answer.kind === 'none') throw unavailable(names, answer.reason);
      if (answer.kind === 'error') throw unavailable(names, answer.error.description);
    },
  };
}

/** A store that also reads rows of snapshots, each as it was in the run that its key names. */
export function withSnapshotRows(store: RecordStore, door: NatsDoor, names: SegmentNames): RecordStore {
  const rows = new RowReader(door, names);
  return {
    ...store,
    async read(keys, from) {
      const wanted = keys.filter((key) => rowOfKey(key) !== undefined);
      if (wanted.length === 0) return store.read(keys, from);
      const own = keys.filter((key) => rowOfKey(key) === undefined);
      const [records, found] = await Promise.all([store.read(own, from), rows.read(wanted)]);
      return new Map([...records, ...found]);
    },
  };
}

interface KnownLayout {
  readonly run: number;
  readonly layout: PageLayout;
  /** Position of the pointer: a replica that is not so far has not all pages of the run. */
  readonly sequence: number;
}

class RowReader {
  readonly #door: NatsDoor;
  readonly #names: SegmentNames;
  readonly #layouts = new Map<string, KnownLayout>();

  constructor(door: NatsDoor, names: SegmentNames) {
    this.#door = door;
    this.#names = names;
  }

  /** Throws STORE_UNAVAILABLE. */
  async read(keys: readonly string[]): Promise<ReadonlyMap<string, StoredRecord>> {
    const wanted = keys.map((key) => ({ key, ...rowOfKey(key)! }));
    const first = await this.#readPages(wanted);
    if (first) return first;
    // Pages that are not there: another generation is in force.
    for (const { table } of wanted) this.#layouts.delete(table);
    const look = () => this.#readPages(wanted);
    const again = await whileBehind(look, (found) => (found ? 1 : 0), 1);
    if (!again) throw unavailable(this.#names, 'a replica lags behind');
    return again;
  }

  /** Undefined: not every page is there, or the replica that answered is not so far. */
  async #readPages(wanted: readonly WantedRow[]): Promise<ReadonlyMap<string, StoredRecord> | undefined> {
    const layouts = await this.#layoutsOf(wanted);
    const bySubject = new Map<string, WantedRow[]>();
    for (const row of wanted) {
      const { layout } = layouts.get(row.table)!;
      const page = pageOfHash(pageHash(row.encodedValue), layout);
      const subject = this.#names.snapshotSubject(snapshotKeys.page(row.table, layout.generation, page));
      const rows = bySubject.get(subject);
      if (rows) rows.push(row);
      else bySubject.set(subject, [row]);
    }
    const found = new Map<string, StoredRecord>();
    const stream = this.#names.snapshotsStream;
    const subjects = [...bySubject.keys()];
    let upTo = Number.POSITIVE_INFINITY;
    const answer = await readLast(
      this.#door,
      stream,
      subjects,
      (subject, sequence, data, removed) => {
        if (removed) return;
        const rows = new Map(decodePage(data).map((row) => [row.encodedValue, row]));
        for (const { key, encodedValue, run } of bySubject.get(subject) ?? []) {
          const row = rows.get(encodedValue);
          const json = row ? jsonAsOf(row, run) : null;
          found.set(key, { key, value: json === null ? null : Buffer.from(json), revision: sequence });
        }
      },
      (sequence) => {
        upTo = Math.min(upTo, sequence);
      },
    );
    if (answer !== 'ok') throw unavailable(this.#names, answer);
    const needed = Math.max(...[...layouts.values()].map(({ sequence }) => sequence));
    return found.size < wanted.length || upTo < needed ? undefined : found;
  }

  async #layoutsOf(wanted: readonly WantedRow[]): Promise<ReadonlyMap<string, KnownLayout>> {
    const runs = new Map<string, number>();
    for (const { table, run } of wanted) runs.set(table, Math.max(run, runs.get(table) ?? 0));
    const layouts = new Map<string, KnownLayout>();
    for (const [table, run] of runs) {
      let known = this.#layouts.get(table);
      if (!known || known.run < run) {
        known = await readPointer(this.#door, this.#names, table);
        if (!known || known.run < run) throw unavailable(this.#names, `run ${run} of ${table} is not known`);
        this.#layouts.set(table, known);
      }
      layouts.set(table, known);
    }
    return layouts;
  }
}

interface WantedRow {
  readonly key: string;
  readonly table: string;
  readonly run: number;
  readonly encodedValue: string;
}

function unavailable(names: SegmentNames, reason: string): StitchworkError {
  return new StitchworkError('STORE_UNAVAILABLE', `${names.snapshotsStream}: ${reason}`);
}
