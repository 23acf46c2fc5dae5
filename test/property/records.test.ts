// Laws of stored form and of the duplicate horizon.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { AttributeState } from '../../actors/attributes/states.ts';
import type { Link, Members, Profile, Redirect } from '../../actors/profile/profile.ts';
import type { Rebuilding } from '../../actors/profile/rebuilding.ts';
import { decodeRecord, encodeRecord } from '../../actors/profile/record-codec.ts';
import { hasSeen, markSeen, mergeSeen, type Seen, seenIdOf } from '../../actors/profile/seen.ts';
import { MINUTE, T0 } from '../unit/profile/harness.ts';

const text = fc.string({ unit: 'grapheme', maxLength: 30 });
const name = fc.stringMatching(/^[a-z][a-z0-9_]{0,10}$/);
const ms = fc.integer({ min: 0, max: T0 * 2 });
/** What an event may hold once the gateway has taken `__proto__` out of it. */
const json = fc
  .jsonValue({ maxDepth: 3 })
  .map((one) => JSON.stringify(one))
  .filter((one) => !one.includes('__proto__'))
  .map((one) => JSON.parse(one) as unknown);

/** Any number that JSON can hold, the greatest and smallest among them. */
const number = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.maxSafeInteger(),
  fc.constantFrom(0, 1e21, -1e21, Number.MAX_VALUE, Number.MIN_VALUE, 2 ** 48, -1, 2 ** 32),
);
const mark = { atMs: ms, messageId: text };
const pairs = fc.array(fc.tuple(number, number), { maxLength: 60 });
const fields = fc.dictionary(name, json, { maxKeys: 4 });
const attribute: fc.Arbitrary<AttributeState> = fc.oneof(
  fc.record({ kind: fc.constant('single' as const), value: json, ...mark }),
  fc.record(
    {
      kind: fc.constant('counter' as const),
      total: number,
      windows: fc.dictionary(name, pairs),
      since: fc.record({
        by: fc.constantFrom('time' as const, 'position' as const),
        grain: fc.integer({ min: 1 }),
        sums: pairs,
      }),
    },
    { requiredKeys: ['kind', 'total', 'windows'] },
  ),
  fc.record({
    kind: fc.constant('distinct' as const),
    values: pairs,
    cut: fc.option(number, { nil: null }),
  }),
  fc.record({
    kind: fc.constant('list' as const),
    items: fc.array(fc.record({ id: text, fields, bytes: fc.nat(), ...mark }), { maxLength: 5 }),
    removed: fc.array(fc.record({ id: text, ...mark }), { maxLength: 5 }),
    cleared: fc.option(fc.record(mark), { nil: null }),
  }),
  fc.record({ kind: fc.constant('extreme' as const), value: fc.oneof(number, text) }),
  fc.record({ kind: fc.constant('average' as const), sum: number, count: fc.nat() }),
  fc.record({
    kind: fc.constant('frequency' as const),
    counts: fc.array(fc.record({ value: fc.oneof(text, number, fc.boolean()), count: fc.nat(), atMs: ms }), {
      maxLength: 10,
    }),
  }),
  fc.record({
    kind: fc.constant('sessions' as const),
    earlier: fc.nat(),
    sessions: fc.array(
      fc.record({
        startMs: ms,
        endMs: ms,
        events: fc.nat(),
        counts: fc.dictionary(name, fc.nat()),
        entry: fc.option(fc.record({ ...mark, value: json }), { nil: null }),
      }),
      { maxLength: 4 },
    ),
  }),
);
const lists = fc.dictionary(name, fc.array(text, { maxLength: 4 }), { maxKeys: 3 });
const place = fc.tuple(fc.nat({ max: 1023 }), fc.maxSafeInteger());
const rebuilding: fc.Arbitrary<Rebuilding> = fc.record(
  {
    splitId: fc.uuid(),
    profileId: fc.uuid(),
    attributes: fc.array(name, { maxLength: 3 }),
    sinceMs: ms,
    keys: lists,
    after: fc.dictionary(fc.nat({ max: 1023 }).map(String), fc.maxSafeInteger()),
    early: fc.array(place, { maxLength: 3 }),
  },
  { requiredKeys: ['splitId', 'profileId', 'sinceMs', 'keys', 'after', 'early'] },
);

const seenOf = (ids: readonly string[]): Seen =>
  ids.reduce<Seen>((seen, id, i) => markSeen(seen, seenIdOf(id), T0 + i), []);

const profile: fc.Arbitrary<Profile> = fc.record({
  kind: fc.constant('profile' as const),
  id: fc.uuid(),
  createdAtMs: ms,
  updatedAtMs: ms,
  lastEventAtMs: ms,
  keys: fc.dictionary(
    name,
    fc.array(fc.record({ value: text, firstSeenMs: ms, lastSeenMs: ms, source: text }), { maxLength: 5 }),
  ),
  attributes: fc.dictionary(name, attribute, { maxKeys: 5 }),
  seen: fc.array(text, { maxLength: 300 }).map(seenOf),
  timers: fc.dictionary(name, fc.record({ dueMs: ms, generation: fc.nat() })),
  generation: fc.nat(),
  fired: fc.dictionary(name, ms),
  mergedFrom: fc.array(fc.uuid(), { maxLength: 5 }),
  mergedCount: fc.nat(),
  configVersion: fc.nat(),
});
const stamp = fc.record({ shard: fc.nat({ max: 1023 }), sequence: fc.maxSafeInteger(), hash: fc.nat() });
const joinedRow = fc.record({
  run: fc.nat(),
  atMs: ms,
  of: fc.array(text, { maxLength: 3 }),
  values: fc.option(fields, { nil: null }),
});
/** What few profiles have. */
const rest: fc.Arbitrary<Partial<Profile>> = fc.record(
  {
    observed: lists,
    audiences: fc.dictionary(name, ms),
    ending: fc.constant(true as const),
    apart: fc.array(fc.record({ profileId: fc.uuid(), atMs: ms }), { minLength: 1, maxLength: 3 }),
    batch: fc.dictionary(name, joinedRow, { maxKeys: 2 }),
    stamps: fc.array(stamp, { minLength: 1, maxLength: 3 }),
    rebuilding: fc.array(rebuilding, { minLength: 1, maxLength: 2 }),
    former: lists,
  },
  { requiredKeys: [] },
);
const anyProfile = fc.tuple(profile, rest).map(([one, more]): Profile => ({ ...one, ...more }));
const redirect: fc.Arbitrary<Redirect> = fc.record(
  {
    kind: fc.constant('redirect' as const),
    to: fc.uuid(),
    atMs: ms,
    generation: fc.nat(),
    was: fc.record({ createdAtMs: ms, keys: lists }),
  },
  { requiredKeys: ['kind', 'to', 'atMs', 'generation'] },
);
const link: fc.Arbitrary<Link> = fc.record(
  {
    kind: fc.constant('link' as const),
    profileId: fc.option(fc.uuid(), { nil: null }),
    atMs: ms,
    source: text,
    past: fc.array(fc.record({ profileId: fc.uuid(), untilMs: ms }), { maxLength: 3 }),
    shared: fc.constant(true as const),
    touches: lists,
    profiles: fc.array(fc.uuid(), { maxLength: 3 }),
  },
  { requiredKeys: ['kind', 'profileId', 'atMs', 'source'] },
);
const members: fc.Arbitrary<Members> = fc.record({
  kind: fc.constant('members' as const),
  audiences: fc.dictionary(
    name,
    fc
      .tuple(fc.integer(), fc.array(fc.uuid(), { maxLength: 10 }))
      .map(([count, ids]) => [count, ...ids] as const),
  ),
});

describe('records', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(fc.oneof(anyProfile, redirect, link, members), (state) => {
        expect(decodeRecord('k', encodeRecord('k', state))).toEqual(state);
      }),
    );
  });

  it('of the same state are the same bytes', () => {
    fc.assert(
      fc.property(anyProfile, (state) => {
        expect(encodeRecord('k', decodeRecord('k', encodeRecord('k', state)))).toEqual(
          encodeRecord('k', state),
        );
      }),
    );
  });

  it('never hang and never give another kind of thing when their bytes are arbitrary', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, withCodec) => {
        if (withCodec && bytes.length > 0) bytes[0] = 1;
        try {
          expect(['profile', 'redirect', 'link', 'members']).toContain(decodeRecord('k', bytes).kind);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
        }
      }),
    );
  });
});

describe('the duplicate horizon', () => {
  it('is kept against a naive memory', () => {
    const step = fc.record({ passMs: fc.nat({ max: 20_000 }), side: fc.boolean() });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 500 }), (steps) => {
        let nowMs = T0;
        const sides: [Seen, Seen] = [[], []];
        const marked: { id: string; atMs: number; side: 0 | 1 }[] = [];
        steps.forEach(({ passMs, side }, i) => {
          nowMs += passMs;
          const which = side ? 1 : 0;
          sides[which] = markSeen(sides[which], seenIdOf(`m${i}`), nowMs);
          marked.push({ id: `m${i}`, atMs: nowMs, side: which });
        });
        for (const which of [0, 1] as const) {
          const own = marked.filter(({ side }) => side === which);
          const due = own.filter(({ atMs }, i) => atMs >= nowMs - 15 * MINUTE || i >= own.length - 128);
          expect(due.filter(({ id }) => !hasSeen(sides[which], seenIdOf(id)))).toEqual([]);
        }
        const merged = mergeSeen(sides[0], sides[1], nowMs);
        const due = marked.filter(({ atMs }, i) => atMs >= nowMs - 15 * MINUTE || i >= marked.length - 128);
        expect(due.filter(({ id }) => !hasSeen(merged, seenIdOf(id)))).toEqual([]);
      }),
      { numRuns: 30 },
    );
  });
});
