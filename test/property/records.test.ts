// Laws of stored form and of the duplicate horizon.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Link, Profile, Redirect } from '../../actors/profile/profile.ts';
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

const attribute = fc.oneof(
  fc.record({ kind: fc.constant('single' as const), value: json, atMs: ms, messageId: text }),
  fc.record({
    kind: fc.constant('counter' as const),
    total: fc.maxSafeInteger(),
    windows: fc.dictionary(name, fc.array(fc.tuple(fc.nat(), fc.maxSafeInteger()), { maxLength: 60 })),
  }),
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
const redirect: fc.Arbitrary<Redirect> = fc.record({
  kind: fc.constant('redirect' as const),
  to: fc.uuid(),
  atMs: ms,
  generation: fc.nat(),
});
const link: fc.Arbitrary<Link> = fc.record({
  kind: fc.constant('link' as const),
  profileId: fc.uuid(),
  atMs: ms,
  source: text,
});

describe('records', () => {
  it('are read as they were written', () => {
    fc.assert(
      fc.property(fc.oneof(profile, redirect, link), (state) => {
        expect(decodeRecord('k', encodeRecord('k', state))).toEqual(state);
      }),
    );
  });

  it('of the same state are the same bytes', () => {
    fc.assert(
      fc.property(profile, (state) => {
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
          expect(['profile', 'redirect', 'link']).toContain(decodeRecord('k', bytes).kind);
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
