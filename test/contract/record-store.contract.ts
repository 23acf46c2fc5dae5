// What every record store promises (shared/ports/record-store.ts). One suite for the in-memory one and for nats-server.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EventLogReader } from '../../shared/ports/event-log.ts';
import type { RecordStore, StoreWrite } from '../../shared/ports/record-store.ts';
import { Collector, eventuallyTrue } from './collector.ts';

export interface RecordStoreWorld {
  readonly store: RecordStore;
  /** The log that fired alarm clocks are copied into. */
  readonly log: EventLogReader;
  nowMs(): number;
  close(): Promise<void>;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const put = (key: string, expect: number, text = key): StoreWrite => ({
  kind: 'put',
  key,
  value: bytes(text),
  expect,
});
const FROM = ['replica', 'leader'] as const;

export function recordStoreContract(name: string, make: () => Promise<RecordStoreWorld>): void {
  describe(`record store: ${name}`, () => {
    let world: RecordStoreWorld;
    beforeEach(async () => {
      world = await make();
    });
    afterEach(() => world.close());

    const committed = async (...writes: StoreWrite[]): Promise<readonly number[]> => {
      const outcome = await world.store.commit(writes);
      if (outcome.kind !== 'committed') throw new Error(`not committed: ${JSON.stringify(outcome)}`);
      return outcome.revisions;
    };
    const readOne = async (key: string, from: (typeof FROM)[number] = 'leader') => {
      const found = (await world.store.read([key], from)).get(key)!;
      return { text: found.value && new TextDecoder().decode(found.value), revision: found.revision };
    };
    const schedule = (key: string, target: string, inMs: number, text: string): StoreWrite => ({
      kind: 'schedule',
      key,
      target,
      atMs: world.nowMs() + inMs,
      value: bytes(text),
    });

    describe('read', () => {
      it.each(FROM)('tells stored records and absent ones apart (%s)', async (from) => {
        const [revision] = await committed(put('p.1', 0, 'one'));
        const found = await world.store.read(['p.1', 'p.2'], from);
        expect([...found.keys()].sort()).toEqual(['p.1', 'p.2']);
        expect(await readOne('p.1', from)).toEqual({ text: 'one', revision });
        expect(await readOne('p.2', from)).toEqual({ text: null, revision: 0 });
      });

      it('from a replica, of one moment: two records written together never differ', async () => {
        const keys = ['p.left', 'p.right'];
        let revisions = await committed(put('p.left', 0, '0'), put('p.right', 0, '0'));
        let writing = true;
        const writer = (async () => {
          for (let turn = 1; writing; turn++) {
            const [left, right] = revisions as [number, number];
            revisions = await committed(put('p.left', left, `${turn}`), put('p.right', right, `${turn}`));
          }
        })();
        let compared = 0;
        for (let turn = 0; turn < 300; turn++) {
          const found = await world.store.read(keys, 'replica');
          const texts = keys.map((key) => found.get(key)!.value).flatMap((value) => value ?? []);
          // One that is replaced at that very moment may be missing.
          if (texts.length < 2) continue;
          compared += 1;
          expect(new TextDecoder().decode(texts[0])).toBe(new TextDecoder().decode(texts[1]));
        }
        writing = false;
        await writer;
        expect(compared).toBeGreaterThan(0);
      });

      it.each(FROM)('of nothing, and of absent keys only (%s)', async (from) => {
        expect((await world.store.read([], from)).size).toBe(0);
        expect(await readOne('p.never', from)).toEqual({ text: null, revision: 0 });
      });

      it.each(FROM)('of more keys than one request holds, many of them absent (%s)', async (from) => {
        const keys = Array.from({ length: 1300 }, (_, index) => `p.${index}`);
        const present = keys.filter((_, index) => index % 3 === 0);
        const revisions = await committed(...present.map((key) => put(key, 0)));
        const found = await world.store.read(keys, from);
        expect(found.size).toBe(keys.length);
        for (const key of keys) {
          const at = present.indexOf(key);
          expect(found.get(key)?.revision, key).toBe(at < 0 ? 0 : revisions[at]);
        }
      });

      it('keeps bytes as they are, empty ones and all values', async () => {
        const all = Uint8Array.from({ length: 256 }, (_, index) => index);
        await committed(
          { kind: 'put', key: 'p.all', value: all, expect: 0 },
          { kind: 'put', key: 'p.none', value: new Uint8Array(), expect: 0 },
        );
        for (const from of FROM) {
          const found = await world.store.read(['p.all', 'p.none'], from);
          expect([...found.get('p.all')!.value!]).toEqual([...all]);
          expect([...found.get('p.none')!.value!]).toEqual([]);
        }
      });
    });

    describe('a record with a lifetime', () => {
      const fleeting = (key: string, expect: number): StoreWrite => {
        return { kind: 'put', key, value: bytes('for a while'), expect, ttlMs: 1000 };
      };

      it('vanishes, and is then as if it had never been', async () => {
        await committed(fleeting('p.1', 0), put('p.2', 0));
        expect((await readOne('p.1')).text).toBe('for a while');
        await eventuallyTrue('p.1 is gone', async () => (await readOne('p.1')).text === null);
        expect(await readOne('p.1')).toEqual({ text: null, revision: 0 });
        await committed(put('p.1', 0, 'again'));
        expect((await readOne('p.2')).text).toBe('p.2');
      });

      it('stays when it was written again without one', async () => {
        const [revision] = await committed(fleeting('p.1', 0));
        const [, other] = await committed(put('p.1', revision!, 'for good'), fleeting('p.2', 0));
        await eventuallyTrue('p.2 is gone', async () => (await readOne('p.2')).text === null);
        expect(other).toBeGreaterThan(0);
        expect((await readOne('p.1')).text).toBe('for good');
      });
    });

    describe('commit', () => {
      it('gives the revision of each write, in order', async () => {
        const revisions = await committed(put('p.1', 0), put('s.1', 0), {
          kind: 'append',
          key: 'o.audit.x.1',
          value: bytes('{}'),
        });
        expect(revisions).toHaveLength(3);
        expect(revisions[1]).toBe(revisions[0]! + 1);
        expect(revisions[2]).toBe(revisions[0]! + 2);
        for (const [index, key] of ['p.1', 's.1', 'o.audit.x.1'].entries()) {
          expect((await readOne(key)).revision).toBe(revisions[index]);
          expect(await world.store.keyAt(revisions[index]!)).toBe(key);
        }
      });

      it('of one write', async () => {
        const [revision] = await committed(put('p.1', 0));
        expect(await readOne('p.1')).toEqual({ text: 'p.1', revision });
        expect(await world.store.commit([put('p.1', 0)])).toEqual({ kind: 'conflict', sequence: revision });
      });

      it('stores nothing when one expectation fails, and names the message in the way', async () => {
        const [, second] = await committed(put('p.1', 0), put('p.2', 0, 'before'));
        const writes = [
          put('p.3', 0),
          { kind: 'append', key: 'o.audit.x.1', value: bytes('{}') } as const,
          put('p.2', 999, 'after'),
        ];
        const outcome = await world.store.commit(writes);
        expect(outcome).toEqual({ kind: 'conflict', sequence: second });
        expect(await world.store.keyAt(second!)).toBe('p.2');
        expect(await readOne('p.2')).toEqual({ text: 'before', revision: second });
        for (const key of ['p.3', 'o.audit.x.1']) expect((await readOne(key)).text).toBeNull();
      });

      it('of writes that were stored already is a conflict: an unknown outcome can be resent', async () => {
        const writes = [put('s.0', 0), put('p.1', 0), { ...put('k.a.b', 0) }];
        const revisions = await committed(...writes);
        const again = await world.store.commit(writes);
        expect(again.kind).toBe('conflict');
        expect(revisions).toContain(again.kind === 'conflict' ? again.sequence : 0);
        for (const [index, key] of ['s.0', 'p.1', 'k.a.b'].entries()) {
          expect((await readOne(key)).revision).toBe(revisions[index]);
        }
      });

      it('guards a record by writing it again unchanged', async () => {
        const [before] = await committed(put('p.1', 0, 'same'));
        const [after] = await committed(put('p.1', before!, 'same'), put('p.2', 0));
        expect(after).toBeGreaterThan(before!);
        expect((await world.store.commit([put('p.1', before!, 'same')])).kind).toBe('conflict');
      });

      it('lets one of two at once win, and the other sees whom it lost to', async () => {
        for (let round = 0; round < 20; round++) {
          const key = `p.${round}`;
          const race = ['a', 'b'].map(async (text) => {
            const writes = [put(key, 0, text), put(`s.${round}.${text}`, 0)];
            let outcome = await world.store.commit(writes);
            // While the other one is on its way to the replicas.
            while (outcome.kind === 'busy') outcome = await world.store.commit(writes);
            return outcome;
          });
          const outcomes = await Promise.all(race);
          const winner = outcomes.findIndex(({ kind }) => kind === 'committed');
          const loser = outcomes[1 - winner];
          expect(outcomes.filter(({ kind }) => kind === 'committed')).toHaveLength(1);
          expect(loser?.kind).toBe('conflict');
          const { text, revision } = await readOne(key);
          expect(text).toBe(['a', 'b'][winner]);
          expect([0, revision]).toContain(loser?.kind === 'conflict' ? loser.sequence : -1);
          expect((await readOne(`s.${round}.${['a', 'b'][1 - winner]}`)).text).toBeNull();
        }
      });

      it('of as many writes as the runtime ever uses, and refuses more than 1,000', async () => {
        const many = Array.from({ length: 900 }, (_, index) => put(`p.${index}`, 0));
        const revisions = await committed(...many);
        expect(revisions).toHaveLength(900);
        expect(revisions[899]! - revisions[0]!).toBe(899);
        const tooMany = Array.from({ length: 1001 }, (_, index) => put(`q.${index}`, 0));
        expect((await world.store.commit(tooMany)).kind).toBe('refused');
        expect((await readOne('q.0')).text).toBeNull();
      });
    });

    describe('delete', () => {
      it.each(FROM)('leaves an absent record, and what comes after it can be created (%s)', async (from) => {
        const [first] = await committed(put('p.1', 0, 'old'));
        const [, marker] = await committed(put('p.2', 0), { kind: 'delete', key: 'p.1', expect: first! });
        const gone = await readOne('p.1', from);
        expect(gone).toEqual({ text: null, revision: marker });
        const [, again] = await committed(put('p.3', 0), put('p.1', gone.revision, 'new'));
        expect(await readOne('p.1', from)).toEqual({ text: 'new', revision: again });
      });

      it('of a record that has moved on is a conflict', async () => {
        const [first] = await committed(put('p.1', 0));
        const [second] = await committed(put('p.1', first!, 'moved'));
        const outcome = await world.store.commit([
          put('p.2', 0),
          { kind: 'delete', key: 'p.1', expect: first! },
        ]);
        expect(outcome).toEqual({ kind: 'conflict', sequence: second });
        expect((await readOne('p.1')).text).toBe('moved');
      });

      it('makes the position of the old record unknown', async () => {
        const [first] = await committed(put('p.1', 0));
        await committed({ kind: 'delete', key: 'p.1', expect: first! });
        expect(await world.store.keyAt(first!)).toBeUndefined();
        expect(await world.store.keyAt(10_000_000)).toBeUndefined();
      });
    });

    describe('alarm clock', () => {
      it('fires once, at its target, and reaches the log as a timer of the right shard', async () => {
        const due = new Collector(world.log, 3);
        const others = new Collector(world.log, 4);
        await committed(put('p.1', 0), schedule('t.1.nap', 'f.3.1.nap.1', 300, '{"t":1}'));
        await due.until(1);
        expect(due.texts).toEqual(['{"t":1}']);
        expect(due.messages[0]).toMatchObject({ shard: 3, source: 'timer' });
        await committed(put('s.3', 0), schedule('t.1.end', 'f.3.1.end.1', 50, '{"t":2}'));
        await due.until(2);
        expect(due.texts).toEqual(['{"t":1}', '{"t":2}']);
        expect(others.texts).toEqual([]);
        due.close();
        others.close();
      });

      it('that is due already fires at once', async () => {
        const due = new Collector(world.log, 0);
        await committed(schedule('t.1.past', 'f.0.1.past.1', -5000, 'late'));
        await due.until(1);
        expect(due.texts).toEqual(['late']);
        due.close();
      });

      it('is stopped by a cancel in a commit', async () => {
        const due = new Collector(world.log, 0);
        await committed(schedule('t.1.nap', 'f.0.1.nap.1', 700, 'cancelled'));
        await committed(put('p.1', 0), { kind: 'cancel', key: 't.1.nap' });
        await committed(schedule('t.1.other', 'f.0.1.other.1', 1500, 'after'));
        await due.until(1);
        expect(due.texts).toEqual(['after']);
        due.close();
      });

      it('that does not exist can be cancelled, and a cancelled one armed again', async () => {
        const due = new Collector(world.log, 0);
        await committed(put('p.1', 0), { kind: 'cancel', key: 't.1.nap' });
        await committed(schedule('t.1.nap', 'f.0.1.nap.1', 50, 'armed'));
        await due.until(1);
        expect(due.texts).toEqual(['armed']);
        due.close();
      });

      it('that is armed again fires at the new time and target only, sooner or later', async () => {
        const due = new Collector(world.log, 0);
        await committed(
          schedule('t.1.sooner', 'f.0.1.sooner.1', 60_000, 'never 1'),
          schedule('t.1.later', 'f.0.1.later.1', 500, 'never 2'),
        );
        await committed(
          schedule('t.1.sooner', 'f.0.1.sooner.2', 100, 'sooner'),
          schedule('t.1.later', 'f.0.1.later.2', 1200, 'later'),
        );
        await due.until(2);
        expect(due.texts).toEqual(['sooner', 'later']);
        due.close();
      });

      it('is not armed by a commit that is a conflict', async () => {
        const due = new Collector(world.log, 0);
        await committed(put('p.1', 0));
        const outcome = await world.store.commit([
          schedule('t.1.ghost', 'f.0.1.ghost.1', 100, 'ghost'),
          put('p.1', 0),
        ]);
        expect(outcome.kind).toBe('conflict');
        await committed(schedule('t.1.real', 'f.0.1.real.1', 700, 'real'));
        await due.until(1);
        expect(due.texts).toEqual(['real']);
        due.close();
      });

      it('once fired leaves its key free', async () => {
        await committed(schedule('t.1.nap', 'f.0.1.nap.1', 20, 'x'));
        await eventuallyTrue('the alarm clock is gone', async () => (await readOne('t.1.nap')).text === null);
      });
    });
  });
}
