// Keys that move between persons, are freed and shared, with events out of order and sent again: every event counts once.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { totalSum } from '../../actors/attributes/counter.ts';
import type { CounterState } from '../../actors/attributes/states.ts';
import { configOf, ProfileFold, T0 } from '../unit/profile/harness.ts';

const config = configOf(
  `events: [{ name: viewed, when: 'event.name == "Viewed"' }]
attributes: [{ name: views, type: counter, total: true, on: viewed }]`,
  `keys:
    - { name: customer_id, limit: 1 }
    - { name: email, limit: 2 }
    - { name: phone, kind: device, owner: last_authenticated }
    - { name: tablet, kind: device, owner: none_when_shared }
    - { name: device, kind: device, limit: 2, links: { email: 2 } }
  on_limit: replace_oldest
  logout: [left]
  flag_after_profiles: 2
  max_keys_per_profile: 6
  on_max_keys: evict_oldest`,
);

const SHOWN = [
  ['phone'],
  ['tablet'],
  ['device'],
  ['email', 'device'],
  ['customer_id', 'phone'],
  ['customer_id', 'tablet'],
  ['customer_id', 'email', 'device'],
] as const;

const event = fc.record({
  person: fc.nat(3),
  shown: fc.constantFrom(...SHOWN),
  mail: fc.nat(3),
  thing: fc.nat(2),
  isLogout: fc.integer({ min: 0, max: 3 }).map((roll) => roll === 0),
  /** How late it comes, and whether it says when it happened. */
  lateMs: fc.nat(8000),
  isTimed: fc.boolean(),
});

/** An event, or a place of one that came before. */
const step = fc.oneof(
  { arbitrary: event, weight: 3 },
  { arbitrary: fc.nat(200).map((again) => ({ again })), weight: 1 },
);

test('whoever has a key when, each event counts once, on one profile, and links lead where keys are listed', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 90 }), (steps) => {
      const fold = new ProfileFold(config);
      const sent: Parameters<ProfileFold['send']>[0][] = [];
      const viewed = new Set<string>();
      steps.forEach((one, i) => {
        const nowMs = T0 + i * 1000;
        const again = 'again' in one ? sent[one.again % Math.max(1, sent.length)] : undefined;
        if ('again' in one && !again) return;
        const shape = again ?? shapeOf(one as EventDraw, `m${i}`, nowMs);
        if (!again) sent.push(shape);
        if (shape.name === 'Viewed') viewed.add(shape.id!);
        fold.send(shape, nowMs);
        const counted = fold
          .profiles()
          .map(({ attributes }) => (attributes.views ? totalSum(attributes.views as CounterState) : 0))
          .reduce((sum, views) => sum + views, 0);
        expect(counted).toBe(viewed.size);
      });
      expect(fold.contradictions()).toEqual([]);
    }),
    { numRuns: 150 },
  );
}, 60_000);

type EventDraw = typeof event extends fc.Arbitrary<infer T> ? T : never;

function shapeOf(draw: EventDraw, id: string, nowMs: number) {
  const all = {
    customer_id: `c${draw.person}`,
    email: `p${draw.person}.${draw.mail}`,
    phone: `f${draw.thing % 2}`,
    tablet: `t${draw.thing % 2}`,
    device: `d${draw.person + draw.thing}`,
  };
  const keys = Object.fromEntries(draw.shown.map((name) => [name, all[name]]));
  const timestampMs = draw.isTimed ? nowMs - draw.lateMs : undefined;
  return { id, name: draw.isLogout ? 'left' : 'Viewed', keys, timestampMs };
}
