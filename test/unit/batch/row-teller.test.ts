// Changed rows told to their profiles: each at least once, whoever dies when; one process at a time; never more waiting in
// the log than a worker takes in its stride.
import { afterEach, describe, expect, it } from 'vitest';
import { RowTeller, type RowTellerDeps } from '../../../batch/rows/row-teller.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { seededRandom } from '../../../shared/kernel/random.ts';
import type { LogAppend } from '../../../shared/ports/event-log.ts';
import { FakeStore, JumpClock } from '../../runtime/fakes.ts';
import { eventually } from '../../support/segment.ts';
import { TestPresence } from './rig.ts';

const SHARDS = 2;
const TABLE = { name: 'scores', key: 'email' };
const WAITING_MAX = 180;
/** Rows of one position. */
const PAGE = 7;

class World {
  readonly store = new FakeStore();
  readonly presence = new TestPresence();
  readonly told: string[] = [];
  readonly finished: number[] = [];
  readonly failed: unknown[] = [];
  rows: { readonly encodedValue: string; readonly run: number; readonly sequence: number }[] = [];
  run = 1;
  /** Messages that no worker has applied. */
  waiting = 0;
  mostWaiting = 0;
  isApplying = true;
  #sequence = 0;
  readonly #tellers: RowTeller[] = [];

  /** A run comes into force that has changed these rows. */
  load(run: number, values: readonly string[]): void {
    const kept = this.rows.filter(({ encodedValue }) => !values.includes(encodedValue));
    const first = (this.rows.at(-1)?.sequence ?? 0) + 1;
    const sequenceOf = (i: number) => first + Math.floor(i / PAGE);
    this.rows = [
      ...kept,
      ...values.map((encodedValue, i) => ({ encodedValue, run, sequence: sequenceOf(i) })),
    ];
    this.run = run;
  }

  apply(): void {
    this.waiting = 0;
    for (let shard = 0; shard < SHARDS; shard++)
      this.store.putShard(shard, { seq: this.#sequence, streamCreated: 'log-1' });
  }

  append(messages: readonly LogAppend[]) {
    this.#sequence += messages.length;
    this.waiting += messages.length;
    this.mostWaiting = Math.max(this.mostWaiting, this.waiting);
    for (const { payload, source } of messages) {
      const row = JSON.parse(Buffer.from(payload).toString()) as { table: string; encodedValue: string };
      expect([source, row.table]).toEqual(['batch', 'scores']);
      this.told.push(row.encodedValue);
    }
    if (this.isApplying) this.apply();
    return { kind: 'stored' } as const;
  }

  deps(owner: string): RowTellerDeps {
    const { store, presence } = this;
    const world = this;
    return {
      ...{ store, presence, owner, shards: SHARDS, clock: new JumpClock(), random: seededRandom(7) },
      tables: () => [TABLE],
      current: async () => ({ scores: { run: this.run, atMs: 0, rows: this.rows.length, by: '' } }),
      rows: {
        async *since(_table, run, from) {
          const changed = world.rows.filter((row) => row.run > run && row.sequence >= from);
          const some = 40 * PAGE;
          for (let at = 0; at < changed.length; at += some) yield changed.slice(at, at + some);
        },
      },
      appender: { append: async (messages) => this.append(messages) },
      log: {
        state: async () => ({
          ...{ createdAt: 'log-1', firstSequence: 1, lastSequence: this.#sequence },
          ...{ messages: 0, bytes: 0, bytesMax: -1 },
        }),
        lastSequenceOf: async () => this.#sequence,
      },
      telemetry: {
        told() {},
        finished: (_table, run) => void this.finished.push(run),
        failed: (error) => void this.failed.push(error),
      },
    };
  }

  start(owner: string, deps: RowTellerDeps = this.deps(owner)): RowTeller {
    const teller = new RowTeller(deps);
    this.#tellers.push(teller);
    teller.start();
    return teller;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#tellers.map((teller) => teller.stop()));
  }
}

let world = new World();
afterEach(async () => {
  await world.stop();
  world = new World();
});

const values = (count: number, from = 0) => Array.from({ length: count }, (_, i) => `v${from + i}`);
const untilFinished = (run: number) =>
  eventually(`run ${run} is told`, async () => world.finished.includes(run));

describe('changed rows', () => {
  it('are each told once, and those of the next run alone after it', async () => {
    world.load(1, values(450));
    world.start('a');
    await untilFinished(1);
    expect(world.told).toEqual(values(450));
    world.load(2, values(30, 100));
    await untilFinished(2);
    expect(world.told.slice(450)).toEqual(values(30, 100));
    expect(world.failed).toEqual([]);
  });

  it('do not pile up in the log while workers are behind', async () => {
    world.isApplying = false;
    world.apply();
    world.load(1, values(1000));
    world.start('a');
    for (let i = 0; i < 10; i++) {
      await eventually('some wait', async () => world.waiting > 0 || world.finished.length > 0);
      world.apply();
    }
    await eventually('some wait', async () => world.finished.length > 0 || world.waiting > 0);
    world.isApplying = true;
    world.apply();
    await untilFinished(1);
    expect(world.mostWaiting).toBeLessThanOrEqual(WAITING_MAX);
    expect(new Set(world.told).size).toBe(1000);
  });

  it('are told by one of two processes', async () => {
    world.load(1, values(2000));
    world.start('a');
    world.start('b');
    await untilFinished(1);
    await eventually('both have looked', async () => world.presence.there.size === 2);
    expect(world.told).toHaveLength(2000);
  });

  it('whenever a process dies, are told to the end by another, hardly one twice', async () => {
    let deaths = 0;
    for (let step = 0; step < 24; step++) {
      await world.stop();
      world = new World();
      world.load(1, values(500));
      let calls = 0;
      let died = () => {};
      const dead = new Promise<void>((resolve) => {
        died = resolve;
      });
      /** Nothing comes back any more from the call at which it dies; that call has been carried out or not. */
      const mortal = async <T>(call: () => Promise<T>): Promise<T> => {
        calls += 1;
        if (calls <= step) return call();
        if (step % 2 === 1 && calls === step + 1) await call();
        died();
        return new Promise<never>(() => {});
      };
      const whole = world.deps('a');
      const finished = eventually('it is done or dead', async () => world.finished.length > 0);
      new RowTeller({
        ...whole,
        appender: { append: (messages) => mortal(() => whole.appender.append(messages)) },
        store: {
          read: (keys, from) => mortal(() => whole.store.read(keys, from)),
          commit: (writes) => mortal(() => whole.store.commit(writes)),
        },
      }).start();
      await Promise.race([dead, finished]);
      if (world.finished.length > 0) continue;
      deaths += 1;
      world.presence.there.delete('a');
      world.start('b');
      // With its last breath it may have noted that all is told.
      await eventually('all are told', () => new Set(world.told).size === 500 || world.finished.length > 0);
      expect(new Set(world.told), `death at call ${step}`).toEqual(new Set(values(500)));
      expect(world.told.length, `death at call ${step}`).toBeLessThanOrEqual(500 + WAITING_MAX);
    }
    expect(deaths).toBeGreaterThan(10);
  }, 30_000);

  it('are not told by a process whose duty another has taken', async () => {
    world.load(1, values(400));
    const whole = world.deps('a');
    let appends = 0;
    const teller = new RowTeller({
      ...whole,
      appender: {
        append: async (messages) => {
          appends += 1;
          // It seemed to hang, and another one took over.
          if (appends === 2)
            world.store.put(recordKeys.changedRows, { v: 1, owner: 'b', mark: 'b:1', state: {} });
          return whole.appender.append(messages);
        },
      },
    });
    world.presence.answer('b');
    teller.start();
    await eventually('it has noticed', async () => world.failed.length > 0);
    expect(appends).toBe(2);
    expect(String(world.failed[0])).toContain('was written by another process');
    await teller.stop();
  });
});
