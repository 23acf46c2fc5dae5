// What loads of snapshot tables promise (batch/snapshots), over any record store: one suite for one in memory that fails in
// every way, and for nats-server.
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { loadTable } from '../../batch/snapshots/load-table.ts';
import { rollBackTable } from '../../batch/snapshots/roll-back.ts';
import type { TableDeps } from '../../batch/snapshots/table-writer.ts';
import { encodeKeyValue, snapshotKeys } from '../../shared/contract/names.ts';
import {
  decodeSnapshotRecord,
  jsonAsOf,
  pageHash,
  pageOfHash,
  type StoredRow,
  type TablePointer,
} from '../../shared/contract/snapshot-records.ts';
import { isStitchworkError } from '../../shared/kernel/errors.ts';
import type { CommitOutcome, RecordStore, StoreWrite } from '../../shared/ports/record-store.ts';
import type { LoadedRow } from '../../shared/ports/snapshots.ts';

export interface SnapshotWorld {
  /** Of a process of its own. */
  deps(owner: string): TableDeps;
  /** The process is no more: it answers nobody. */
  kill(owner: string): void;
  close(): Promise<void>;
}

type Table = Readonly<Record<string, object>>;
const TABLE = 'crm';
/** Rows of some pages. */
const MANY = 900;
const MANY_KEYS = ['a', 'b', ...Array.from({ length: 300 }, (_, i) => `k${i}`)];
const OPTIONS = { atMs: 1_000, onProgress() {} };

async function* rowsOf(table: Table): AsyncGenerator<LoadedRow> {
  for (const [key, values] of Object.entries(table))
    yield { encodedValue: encodeKeyValue(key), values: values as LoadedRow['values'] };
}

/** What readers see: the pointer and every row as of its run. */
async function inForce({
  store,
  pages,
}: TableDeps): Promise<{ run: number; table: Table; pointer: TablePointer | undefined }> {
  const key = snapshotKeys.current(TABLE);
  const stored = (await store.read([key], 'leader')).get(key);
  const pointer = stored?.value ? decodeSnapshotRecord<TablePointer>(stored.value) : undefined;
  if (!pointer) return { run: 0, table: {}, pointer };
  const last = new Map<number, readonly StoredRow[]>();
  for await (const batch of pages.stored(TABLE, pointer.layout))
    for (const { page, rows } of batch) last.set(page, rows);
  expect(last.size).toBe(2 ** pointer.layout.bits);
  const table: Record<string, object> = {};
  for (const [page, rows] of last) {
    expect(new Set(rows.map(({ encodedValue }) => encodedValue)).size).toBe(rows.length);
    for (const row of rows) {
      expect(pageOfHash(pageHash(row.encodedValue), pointer.layout)).toBe(page);
      const json = jsonAsOf(row, pointer.run);
      if (json !== null) table[Buffer.from(row.encodedValue, 'base64url').toString()] = JSON.parse(json);
    }
  }
  return { run: pointer.run, table, pointer };
}

/** A store that does what `at` says to each commit of rows, counted from 1. */
function failing(
  store: RecordStore,
  at: (commit: number, carryOut: () => Promise<CommitOutcome>) => Promise<CommitOutcome>,
): RecordStore {
  let commits = 0;
  return {
    read: (keys, from) => store.read(keys, from),
    keyAt: (sequence) => store.keyAt(sequence),
    commit(writes: readonly StoreWrite[]) {
      commits += 1;
      return at(commits, () => store.commit(writes));
    },
  };
}

export function snapshotsContract(name: string, make: () => Promise<SnapshotWorld>): void {
  describe(`loads of snapshot tables: ${name}`, () => {
    let world: SnapshotWorld;
    beforeEach(async () => {
      world = await make();
    });
    afterEach(() => world.close());

    const load = (table: Table, owner = 'a', deps = world.deps(owner)) =>
      loadTable(deps, TABLE, rowsOf(table), OPTIONS);
    const seen = async () => (await inForce(world.deps('reader'))).table;

    it('make the rows the table, and write only what has changed', async () => {
      expect(await load({ a: { x: 1 }, b: { x: 2 } })).toEqual({ run: 1, rows: 2, written: 2, removed: 0 });
      expect(await load({ b: { x: 2 }, a: { x: 1 } })).toEqual({ run: 2, rows: 2, written: 0, removed: 0 });
      expect(await load({ b: { x: 3 }, c: {} })).toEqual({ run: 3, rows: 2, written: 2, removed: 1 });
      expect(await seen()).toEqual({ b: { x: 3 }, c: {} });
      expect(await load({ a: { x: 1 }, b: { x: 3 }, c: {} })).toMatchObject({ written: 1, removed: 0 });
      expect(await load({})).toMatchObject({ rows: 0, removed: 3 });
      expect(await seen()).toEqual({});
      expect(await load({ b: { x: 3 } })).toMatchObject({ run: 6, written: 1, removed: 0 });
    });

    it('take the last of rows of one key, wherever they stand', async () => {
      const many = Object.fromEntries(Array.from({ length: MANY * 2 }, (_, i) => [`k${i}`, { i }]));
      async function* twice(): AsyncGenerator<LoadedRow> {
        yield* rowsOf({ a: { x: 1 }, b: { x: 1 } });
        yield* rowsOf({ a: { x: 2 } });
        yield* rowsOf(many);
        yield* rowsOf({ b: { x: 2 } });
      }
      for (let run = 1; run <= 2; run++) {
        const loaded = await loadTable(world.deps('a'), TABLE, twice(), OPTIONS);
        expect(loaded).toMatchObject({ run, rows: MANY * 2 + 2 });
        expect(await seen()).toMatchObject({ a: { x: 2 }, b: { x: 2 } });
      }
    });

    it('that break off leave the run in force, and the next one is whole', async () => {
      const before = { a: { x: 1 }, b: { x: 1 }, gone: { x: 1 } };
      await load(before);
      async function* broken(): AsyncGenerator<LoadedRow> {
        yield* rowsOf({ a: { x: 2 }, new: { x: 2 } });
        yield* rowsOf(Object.fromEntries(Array.from({ length: MANY }, (_, i) => [`k${i}`, { i }])));
        throw new Error('the file ends in the middle');
      }
      await expect(loadTable(world.deps('b'), TABLE, broken(), OPTIONS)).rejects.toThrow('in the middle');
      expect(await seen()).toEqual(before);
      expect(await load({ a: { x: 1 }, b: { x: 3 } }, 'c')).toMatchObject({ rows: 2 });
      expect(await seen()).toEqual({ a: { x: 1 }, b: { x: 3 } });
    });

    it('are refused while another one is under way, and take over from one that died', async () => {
      let begun = () => {};
      const reading = new Promise<void>((resolve) => {
        begun = resolve;
      });
      async function* endless(): AsyncGenerator<LoadedRow> {
        yield* rowsOf({ a: { x: 9 } });
        begun();
        await new Promise<never>(() => {});
      }
      void loadTable(world.deps('slow'), TABLE, endless(), OPTIONS);
      await reading;
      const refused = await load({ a: { x: 1 } }).catch((error: unknown) => error);
      expect(isStitchworkError(refused, 'CONFLICT')).toBe(true);
      expect(String(refused)).toContain('by slow since');
      world.kill('slow');
      expect(await load({ a: { x: 1 } })).toMatchObject({ rows: 1 });
      expect(await seen()).toEqual({ a: { x: 1 } });
    });

    it('one that was taken over writes nothing any more', async () => {
      let goOn = () => {};
      const waiting = new Promise<void>((resolve) => {
        goOn = resolve;
      });
      let begun = () => {};
      const reading = new Promise<void>((resolve) => {
        begun = resolve;
      });
      async function* hanging(): AsyncGenerator<LoadedRow> {
        begun();
        await waiting;
        yield* rowsOf({ a: { x: 9 }, stray: { x: 9 } });
      }
      await load({ a: { x: 0 } });
      const old = loadTable(world.deps('old'), TABLE, hanging(), OPTIONS).catch((error: unknown) => error);
      await reading;
      world.kill('old');
      expect(await load({ a: { x: 1 } })).toMatchObject({ rows: 1 });
      goOn();
      expect(isStitchworkError(await old, 'CONFLICT')).toBe(true);
      expect(await seen()).toEqual({ a: { x: 1 } });
    });

    it('killed before or after any commit leave the run in force or have made the next one, and never a mixture', async () => {
      const many = (x: number, count: number) =>
        Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, { x }]));
      const [before, after] = [many(1, 2 * MANY + 5), many(2, 2 * MANY)];
      await load(before);
      const outcomes = new Set<string>();
      for (let step = 1; step <= (name === 'nats' ? 8 : 12); step++) {
        const owner = `mortal-${step}`;
        const whole = world.deps(owner);
        let died = () => {};
        const dead = new Promise<'dead'>((resolve) => {
          died = () => resolve('dead');
        });
        const store = failing(whole.store, async (commit, carryOut) => {
          if (commit < Math.ceil(step / 2)) return carryOut();
          if (step % 2 === 0 && commit === step / 2) await carryOut();
          died();
          return new Promise<never>(() => {});
        });
        const target = step % 4 < 2 ? after : before;
        const ended = await Promise.race([dead, load(target, owner, { ...whole, store }).then(() => 'done')]);
        world.kill(owner);
        const { table } = await inForce(world.deps('reader'));
        const is = JSON.stringify(table) === JSON.stringify(sorted(before, table)) ? 'before' : 'after';
        expect(table).toEqual(is === 'before' ? before : after);
        outcomes.add(`${ended} ${is}`);
        await load(before, `mender-${step}`);
        expect(await seen()).toEqual(before);
      }
      expect(outcomes.size).toBeGreaterThan(1);
    }, 60_000);

    it('roll back to the run before, and forward again', async () => {
      const first = { a: { x: 1 }, b: { x: 1 }, gone: { x: 1 } };
      const second = { a: { x: 2 }, b: { x: 1 }, new: { x: 2 } };
      expect(
        isStitchworkError(await rollBackTable(world.deps('a'), TABLE).catch((e: unknown) => e), 'NOT_FOUND'),
      ).toBe(true);
      await load(first);
      await load(second);
      expect(await rollBackTable(world.deps('a'), TABLE)).toMatchObject({
        run: expect.any(Number),
        rows: 3,
        removed: 1,
      });
      expect(await seen()).toEqual(first);
      await rollBackTable(world.deps('a'), TABLE);
      expect(await seen()).toEqual(second);
      expect(await load(first)).toMatchObject({ rows: 3 });
      expect(await seen()).toEqual(first);
    });

    it('that are much larger or smaller stand in other pages, of which none is left when the next load has begun', async () => {
      const table = (count: number, x: number) =>
        Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, { x: i % 7 === 0 ? x : 0 }]));
      const layouts = [];
      for (const [count, x] of [
        [3, 1],
        [MANY, 2],
        [MANY * 8, 2],
        [5, 3],
        [0, 0],
        [MANY, 1],
      ] as const) {
        await load(table(count, x));
        const { table: is, pointer } = await inForce(world.deps('reader'));
        expect(is).toEqual(table(count, x));
        layouts.push(pointer!.layout);
      }
      expect(layouts.map(({ bits }) => bits)).toEqual([0, 6, 9, 0, 0, 6]);
      await rollBackTable(world.deps('a'), TABLE);
      expect(await seen()).toEqual({});
      await rollBackTable(world.deps('a'), TABLE);
      expect(await seen()).toEqual(table(MANY, 1));
      const { pages } = world.deps('reader');
      for (const layout of layouts.slice(0, 5)) {
        let left = 0;
        const reading = async () => {
          for await (const batch of pages.stored(TABLE, layout)) left += batch.length;
        };
        await reading().catch(() => {});
        expect(left).toBe(0);
      }
    });

    it('do not roll back over what a load that died has overwritten', async () => {
      await load({ a: { x: 1 } });
      await load({ a: { x: 2 } });
      const whole = world.deps('mortal');
      const store = failing(whole.store, (commit, carryOut) =>
        commit <= 2 ? carryOut() : new Promise<never>(() => {}),
      );
      void load({ a: { x: 3 } }, 'mortal', { ...whole, store });
      for (;;) {
        const rows: StoredRow[] = [];
        const { layout } = (await inForce(whole)).pointer!;
        for await (const batch of whole.pages.stored(TABLE, layout))
          rows.push(...batch.flatMap((page) => page.rows));
        if (rows.some(({ run }) => run > 2)) break;
      }
      world.kill('mortal');
      const refused = await rollBackTable(world.deps('a'), TABLE).catch((error: unknown) => error);
      expect(isStitchworkError(refused, 'CONFLICT')).toBe(true);
      expect(String(refused)).toContain('has written over 1 of its rows');
      expect(await seen()).toEqual({ a: { x: 2 } });
    });

    it('come to the last rows whatever went before: lost answers, refusals, deaths, stale reads', async () => {
      const table = fc.dictionary(
        fc.constantFrom('a', 'b', 'c', 'd'),
        fc.record({ x: fc.integer({ min: 1, max: 3 }) }),
      );
      // Of many rows: in other pages.
      const many = fc
        .integer({ min: 1, max: 3 })
        .map((x) => Object.fromEntries(MANY_KEYS.map((key) => [key, { x }])));
      const some = fc.oneof({ weight: 4, arbitrary: table }, { weight: 1, arbitrary: many });
      const fault = fc.constantFrom('none', 'none', 'lost', 'busy', 'unknown', 'die');
      const attempt = fc.record({ table: some, faults: fc.array(fault, { maxLength: 4 }) });
      let [made, met] = [0, 0];
      await fc.assert(
        fc.asyncProperty(fc.array(attempt, { minLength: 1, maxLength: 5 }), async (attempts) => {
          let expected = await seen();
          for (const { table, faults } of attempts) {
            made += 1;
            const owner = `o${made}`;
            const whole = world.deps(owner);
            let died = () => {};
            const dead = new Promise<'dead'>((resolve) => {
              died = () => resolve('dead');
            });
            let wasStored = false;
            const store = failing(whole.store, async (commit, carryOut) => {
              const what = faults[commit - 1] ?? 'none';
              if (what !== 'none') met += 1;
              if (what === 'busy') return { kind: 'busy', reason: 'test' };
              if (what === 'unknown') return { kind: 'unknown', reason: 'test' };
              if (what === 'die') {
                died();
                return new Promise<never>(() => {});
              }
              const outcome = await carryOut();
              if (what !== 'lost') return outcome;
              wasStored = true;
              return { kind: 'unknown', reason: 'test' };
            });
            const ended = await Promise.race([
              dead,
              load(table, owner, { ...whole, store }).then(() => 'done' as const),
            ]);
            world.kill(owner);
            const now = await seen();
            // Whoever died may have brought its rows into force with its last breath: then all of them.
            const isInForce = ended === 'done' || (wasStored && !isDeepStrictEqual(now, expected));
            if (isInForce) expected = JSON.parse(JSON.stringify(table)) as Table;
            expect(now, `${ended} ${wasStored}`).toEqual(expected);
          }
        }),
        { numRuns: name === 'nats' ? 15 : 150 },
      );
      expect(met).toBeGreaterThan(20);
    }, 60_000);
  });
}

/** The table in the order of another one, to compare as text. */
function sorted(table: Table, like: Table): Table {
  return Object.fromEntries(Object.keys(like).map((key) => [key, table[key]!]));
}
