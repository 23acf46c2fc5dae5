// What the copies of the outbox promise (shared/ports/outbox-copies.ts). One suite for the in-memory ones and for
// nats-server.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { EventLogReader } from '../../shared/ports/event-log.ts';
import type { CopyName, OutboxCopies } from '../../shared/ports/outbox-copies.ts';
import type { RecordStore, StoreWrite } from '../../shared/ports/record-store.ts';
import { Collector, eventuallyTrue } from './collector.ts';

export interface OutboxCopiesWorld {
  readonly store: RecordStore;
  readonly log: EventLogReader;
  readonly copies: OutboxCopies;
  /** What the target of a copy holds, oldest first. */
  copied(name: Exclude<CopyName, 'timers'>): Promise<readonly string[]>;
  nowMs(): number;
  close(): Promise<void>;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const range = (count: number, from = 0) => Array.from({ length: count }, (_, index) => from + index);
const KEYS = {
  activations: (id: string) => `o.activation.mail.${id}`,
  audit: (id: string) => `o.audit.profile_added.${id}`,
  dead: (id: string) => `o.dead.3.${id}`,
} as const;
const OUTBOX = ['activations', 'audit', 'dead'] as const;

export function outboxCopiesContract(name: string, make: () => Promise<OutboxCopiesWorld>): void {
  describe(`outbox copies: ${name}`, () => {
    let world: OutboxCopiesWorld;
    beforeEach(async () => {
      world = await make();
    });
    afterEach(() => world.close());

    const outbox = (copy: (typeof OUTBOX)[number], id: string | number): StoreWrite => ({
      kind: 'append',
      key: KEYS[copy](String(id)),
      value: bytes(`${copy} ${id}`),
    });
    const commit = async (...writes: StoreWrite[]): Promise<readonly number[]> => {
      const outcome = await world.store.commit(writes);
      if (outcome.kind !== 'committed') throw new Error(`not committed: ${JSON.stringify(outcome)}`);
      return outcome.revisions;
    };
    const state = async (copy: CopyName) => (await world.copies.states()).find(({ name: n }) => n === copy)!;
    const copiedUpTo = (copy: CopyName, sequence: number) =>
      eventuallyTrue(
        `${copy} is copied up to ${sequence}`,
        async () => (await state(copy)).copiedTo >= sequence,
      );
    const texts = (copy: (typeof OUTBOX)[number], count: number) => range(count).map((id) => `${copy} ${id}`);

    it('has a state of each copy before anything is copied', async () => {
      const states = await world.copies.states();
      expect(states.map((found) => found.name).sort()).toEqual(['activations', 'audit', 'dead', 'timers']);
      for (const { copiedTo, lag, error, targetCreatedAt } of states) {
        expect({ copiedTo, lag, error }).toEqual({ copiedTo: 0, lag: 0, error: undefined });
        expect(targetCreatedAt).not.toBe('');
      }
    });

    it.each(OUTBOX)('of %s are complete, in order, and nothing else is in them', async (copy) => {
      const revisions: number[] = [];
      for (const start of range(10)) {
        const mine = range(20, start * 20).map((id) => outbox(copy, id));
        const others = OUTBOX.filter((o) => o !== copy).map((other) => outbox(other, `x${start}`));
        const profile: StoreWrite = { kind: 'put', key: `p.${start}`, value: bytes('p'), expect: 0 };
        revisions.push(...(await commit(...mine.slice(0, 10), profile, ...others, ...mine.slice(10))));
      }
      await copiedUpTo(copy, revisions.at(-1)!);
      expect(await world.copied(copy)).toEqual(texts(copy, 200));
      expect((await state(copy)).copiedTo).toBe(revisions.at(-1));
    });

    it('never hold what was not committed', async () => {
      await commit({ kind: 'put', key: 'p.1', value: bytes('p'), expect: 0 });
      const conflict: StoreWrite = { kind: 'put', key: 'p.1', value: bytes('q'), expect: 0 };
      const outcome = await world.store.commit([outbox('activations', 'ghost'), conflict]);
      expect(outcome.kind).toBe('conflict');
      const [revision] = await commit(outbox('activations', 0));
      await copiedUpTo('activations', revision!);
      expect(await world.copied('activations')).toEqual(['activations 0']);
    });

    it('know the end of the bucket', async () => {
      const before = await world.copies.originSequence();
      const revisions = await commit(outbox('audit', 1), {
        kind: 'put',
        key: 'p.1',
        value: bytes('p'),
        expect: 0,
      });
      expect(await world.copies.originSequence()).toBe(before + 2);
      expect(await world.copies.originSequence()).toBe(revisions.at(-1));
    });

    it('of timers are in the log, and know up to where', async () => {
      const got = new Collector(world.log, 3);
      await commit({
        kind: 'schedule',
        key: 't.1.nap',
        target: 'f.3.1.nap.1',
        atMs: world.nowMs() + 50,
        value: bytes('fired'),
      });
      await got.until(1);
      expect(got.texts).toEqual(['fired']);
      const { copiedTo } = await state('timers');
      expect(await world.store.keyAt(copiedTo)).toBe('f.3.1.nap.1');
      got.close();
    });

    it('restarted in the middle copy nothing twice and lose nothing', async () => {
      let last = 0;
      for (const start of range(6)) {
        const writes = range(50, start * 50).map((id) => outbox('activations', id));
        last = (await commit(...writes)).at(-1)!;
        if (start % 2 === 1) await world.copies.restart('activations');
      }
      await copiedUpTo('activations', last);
      await world.copies.restart('activations');
      last = (await commit(outbox('activations', 300)))[0]!;
      await copiedUpTo('activations', last);
      expect(await world.copied('activations')).toEqual(texts('activations', 301));
    });

    it.each(OUTBOX)(
      '%s purged from the bucket stay in the target, and later ones still come',
      async (copy) => {
        const first = await commit(...range(10).map((id) => outbox(copy, id)));
        await copiedUpTo(copy, first.at(-1)!);
        const upTo = first[6]!;
        await world.copies.purge(copy, upTo);
        const kept = await world.store.read(
          range(10).map((id) => KEYS[copy](String(id))),
          'leader',
        );
        expect([...kept.values()].map(({ value }) => value !== null)).toEqual(range(10).map((id) => id > 6));
        const second = await commit(...range(5, 10).map((id) => outbox(copy, id)));
        await copiedUpTo(copy, second.at(-1)!);
        expect(await world.copied(copy)).toEqual(texts(copy, 15));
      },
    );

    it('a purge takes its own messages only', async () => {
      const revisions = await commit(
        { kind: 'put', key: 'p.1', value: bytes('p'), expect: 0 },
        ...OUTBOX.map((copy) => outbox(copy, 0)),
      );
      await world.copies.purge('audit', revisions.at(-1)!);
      const keys = ['p.1', ...OUTBOX.map((copy) => KEYS[copy]('0'))];
      const found = await world.store.read(keys, 'leader');
      expect(keys.filter((key) => found.get(key)?.value !== null)).toEqual(
        keys.filter((key) => key !== KEYS.audit('0')),
      );
    });
  });
}
