// Laws of stitching: when no limit is hit, people are the connected components of the keys seen together, in any order of
// arrival; whatever happens, links, redirects and profiles fit together and every event is on exactly one profile.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hasSeen, seenIdOf } from '../../actors/profile/seen.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { configOf, DAY, type EventShape, ProfileFold, SECOND, T0 } from '../unit/profile/harness.ts';

const RUNS = { numRuns: 60 };
const KEY_NAMES = ['person', 'contact', 'device'] as const;
const COUNTING = `events: [{ name: all, when: 'true' }, { name: odd, when: 'event.properties.amount % 2 == 1' }]
attributes:
  - { name: n, type: counter, total: true, on: all }
  - { name: recent, type: counter, windows: [1h, 7d], on: all, by: event.properties.amount }
  - { name: sum, type: counter, total: true, on: odd, by: event.properties.amount * 0.1 }
  - { name: last, type: single, on: all, value: event.properties.amount }
`;
const UNLIMITED = configOf(
  COUNTING,
  '{ keys: [{ name: person, kind: person }, { name: contact, limit: 90 }, { name: device, kind: device }], max_keys_per_profile: 500 }',
);
const TIGHT = configOf(
  COUNTING,
  '{ keys: [{ name: person, limit: 1 }, { name: contact, limit: 2 }, { name: device, kind: device, limit: 3 }], max_keys_per_profile: 5 }',
);

interface Shown {
  readonly keys: Readonly<Record<string, string>>;
  readonly amount: number;
  readonly agoS: number;
}

const value = fc.integer({ min: 1, max: 6 }).map((n) => `v${n}`);
const shown: fc.Arbitrary<Shown> = fc.record({
  keys: fc
    .record({ person: value, contact: value, device: value }, { requiredKeys: [] })
    .filter((keys) => Object.keys(keys).length > 0)
    .map((keys) => ({ ...keys }) as Record<string, string>),
  amount: fc.integer({ min: -5, max: 20 }),
  agoS: fc.integer({ min: 0, max: 10 * 86_400 }),
});
const stream = fc.array(shown, { minLength: 1, maxLength: 30 });

/** The same events in another order, some of them more than once. */
const streamAndOrder = stream.chain((events) =>
  fc.tuple(
    fc.constant(events),
    fc.shuffledSubarray(
      events.map((_, i) => i),
      { minLength: events.length, maxLength: events.length },
    ),
    fc.array(fc.nat({ max: events.length - 1 }), { maxLength: 10 }),
  ),
);

function shapeOf({ keys, amount, agoS }: Shown, index: number): EventShape {
  const timestampMs = T0 - agoS * SECOND;
  return { id: `m${String(index).padStart(3, '0')}`, keys, properties: { amount }, timestampMs };
}

function play(
  config: SegmentConfig,
  events: readonly Shown[],
  order: readonly number[],
  throughCodec = false,
) {
  const fold = new ProfileFold(config, { throughCodec });
  order.forEach((index, i) => {
    fold.send(shapeOf(events[index]!, index), T0 + i);
  });
  return fold;
}

const inOrder = (events: readonly Shown[]) => events.map((_, i) => i);

/** Connected components by naive growth: no code shared with the product. */
function components(events: readonly Shown[]): readonly (readonly string[])[] {
  let groups: Set<string>[] = [];
  for (const { keys } of events) {
    const mine = new Set(Object.entries(keys).map(([name, text]) => `${name}:${text}`));
    const touching = groups.filter((group) => [...mine].some((key) => group.has(key)));
    const joined = new Set([...mine, ...touching.flatMap((group) => [...group])]);
    groups = [...groups.filter((group) => !touching.includes(group)), joined];
  }
  return groups.map((group) => [...group].sort()).sort((a, b) => (a.join() < b.join() ? -1 : 1));
}

/** What each person is, without what depends on the order of arrival (ids, times of arrival). */
function people(fold: ProfileFold, nowMs: number) {
  return fold
    .profiles()
    .map((profile) => {
      const [name, held] = Object.entries(profile.keys)[0]!;
      const { keys, attributes } = fold.view(name, held[0]!.value, nowMs);
      const sorted = Object.fromEntries(KEY_NAMES.map((key) => [key, [...(keys[key] ?? [])].sort()]));
      return { keys: sorted, attributes };
    })
    .sort((a, b) => (JSON.stringify(a.keys) < JSON.stringify(b.keys) ? -1 : 1));
}

describe('when no limit is hit', () => {
  it('people are the connected components of keys seen together', () => {
    fc.assert(
      fc.property(stream, (events) => {
        expect(play(UNLIMITED, events, inOrder(events)).partition()).toEqual(components(events));
      }),
      RUNS,
    );
  });

  it('any order of arrival, with duplicates, gives the same people with the same attributes', () => {
    fc.assert(
      fc.property(streamAndOrder, ([events, order, repeats]) => {
        const straight = play(UNLIMITED, events, inOrder(events));
        const shuffled = play(UNLIMITED, events, [...order, ...repeats]);
        const now = T0 + 1000;
        expect(people(shuffled, now)).toEqual(people(straight, now));
      }),
      RUNS,
    );
  });

  it('attributes are what a plain count over the events of each person gives', () => {
    fc.assert(
      fc.property(stream, (events) => {
        const fold = play(UNLIMITED, events, inOrder(events));
        for (const { keys, attributes } of people(fold, T0 + 1000)) {
          const own = events
            .map((event, index) => ({ ...event, id: shapeOf(event, index).id! }))
            .filter((event) => Object.entries(event.keys).some(([name, text]) => keys[name]?.includes(text)));
          const newest = own.reduce((a, b) =>
            b.agoS < a.agoS || (b.agoS === a.agoS && b.id > a.id) ? b : a,
          );
          const odd = own
            .filter(({ amount }) => amount % 2 === 1)
            .reduce((sum, { amount }) => sum + amount, 0);
          expect(attributes).toMatchObject({ n: own.length, last: newest.amount });
          expect(attributes.sum).toBeCloseTo(odd / 10, 9);
        }
      }),
      RUNS,
    );
  });
});

describe('whatever limits are hit', () => {
  it('links, redirects and profiles fit together after every event', () => {
    fc.assert(
      fc.property(stream, (events) => {
        const fold = new ProfileFold(TIGHT, { throughCodec: false });
        events.forEach((event, i) => {
          fold.send(shapeOf(event, i), T0 + i);
          expect(fold.contradictions()).toEqual([]);
        });
      }),
      RUNS,
    );
  });

  it('no profile is over a limit', () => {
    fc.assert(
      fc.property(stream, (events) => {
        for (const { keys } of play(TIGHT, events, inOrder(events)).profiles()) {
          const counts = KEY_NAMES.map((name) => keys[name]?.length ?? 0);
          expect(counts[0]).toBeLessThanOrEqual(1);
          expect(counts[1]).toBeLessThanOrEqual(2);
          expect(counts[2]).toBeLessThanOrEqual(3);
          expect(counts.reduce((a, b) => a + b)).toBeLessThanOrEqual(5);
        }
      }),
      RUNS,
    );
  });

  it('every event is on exactly one profile, and the counts add up', () => {
    fc.assert(
      fc.property(streamAndOrder, ([events, order, repeats]) => {
        const fold = play(TIGHT, events, order);
        const total = () => people(fold, T0).reduce((sum, { attributes }) => sum + Number(attributes.n), 0);
        expect(total()).toBe(events.length);
        for (const index of inOrder(events)) {
          const id = seenIdOf(shapeOf(events[index]!, index).id!);
          expect(fold.profiles().filter(({ seen }) => hasSeen(seen, id))).toHaveLength(1);
        }
        const before = [...fold.records];
        for (const index of repeats) fold.send(shapeOf(events[index]!, index), T0 + 100);
        expect([...fold.records]).toEqual(before);
      }),
      RUNS,
    );
  });

  it('a refusal changes nothing of the other side', () => {
    fc.assert(
      fc.property(stream, (events) => {
        const fold = new ProfileFold(TIGHT, { throughCodec: false });
        events.forEach((event, i) => {
          const before = new Map(fold.records);
          const sent = fold.send(shapeOf(event, i), T0 + i);
          if (sent.kind !== 'applied') throw new Error(sent.kind);
          for (const key of sent.apply.guards) {
            expect(sent.apply.writes.has(key)).toBe(false);
            expect(fold.records.get(key)).toBe(before.get(key));
          }
        });
      }),
      RUNS,
    );
  });

  it('every profile that a decision relied on is written or guarded', () => {
    fc.assert(
      fc.property(stream, (events) => {
        const fold = new ProfileFold(TIGHT, { throughCodec: false });
        events.forEach((event, i) => {
          const sent = fold.send(shapeOf(event, i), T0 + i);
          if (sent.kind !== 'applied' || sent.apply.writes.size === 0) return;
          const { writes, guards } = sent.apply;
          for (const key of sent.read) {
            const state = fold.records.get(key) as { kind?: string } | undefined;
            if (state?.kind !== 'profile') continue;
            expect(writes.has(key) || guards.includes(key), key).toBe(true);
          }
        });
      }),
      RUNS,
    );
  });

  it('storing and loading every record in between makes no difference', () => {
    fc.assert(
      fc.property(stream, (events) => {
        const kept = play(TIGHT, events, inOrder(events));
        const through = play(TIGHT, events, inOrder(events), true);
        expect([...through.records]).toEqual([...kept.records]);
        expect(through.outbox).toEqual(kept.outbox);
      }),
      RUNS,
    );
  });

  it('when all clocks have rung nothing is left of the anonymous, and all fits together', () => {
    const config = configOf(
      '',
      '{ keys: [{ name: person, limit: 1 }, { name: contact, limit: 2 }, { name: device, kind: device }] }',
    );
    fc.assert(
      fc.property(stream, (events) => {
        const fold = new ProfileFold(config, { throughCodec: false, onPoison: 'keep' });
        events.forEach((event, i) => {
          fold.send(shapeOf(event, i), T0 + i * DAY);
        });
        fold.ringUntil(T0 + 1000 * DAY);
        expect(fold.deadLetters).toEqual([]);
        expect(fold.redirects()).toEqual([]);
        expect(fold.contradictions()).toEqual([]);
        expect(fold.profiles().every(({ keys }) => keys.person)).toBe(true);
        expect(fold.alarms.size).toBe(0);
      }),
      RUNS,
    );
  });
});
