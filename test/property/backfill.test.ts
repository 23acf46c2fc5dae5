// A counter that starts from a batch value against a count of everything: whatever the batch had seen by the time it ran,
// whenever its rows came into force, nothing is missing and nothing is counted twice.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SINCE_MAX } from '../../actors/attributes/backfill.ts';
import { addToCounter, counter } from '../../actors/attributes/counter.ts';
import type { CounterState } from '../../actors/attributes/states.ts';
import { createProfileActor } from '../../actors/profile/actor.ts';
import { viewProfile } from '../../actors/profile/view.ts';
import type { CounterConfig } from '../../shared/contract/config/segment-config.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { MINUTE, ProfileFold, parseConfig, T0 } from '../unit/profile/harness.ts';

const CUSTOMERS = ['ann', 'bob', 'cat'];
const BEFORE_LIVE = { ann: 1000.5, bob: 20, cat: 0.25 } as Readonly<Record<string, number>>;

const configOf = (field: string) =>
  parseConfig(`
segment: shop
stitching:
  keys:
    - { name: customer_id, limit: 1 }
    - { name: device, kind: device, limit: 100 }
events:
  - { name: ordered, when: 'event.name == "Order"' }
attributes:
  - { name: spend, type: counter, total: true, windows: [1h], on: ordered, by: event.properties.revenue,
      backfill: { attribute: crm.spend, ${field} } }
batch:
  tables:
    - { name: crm, key: customer_id, attributes: { spend: number, at: timestamp, position: number } }
`);

interface Order {
  readonly customer: number;
  readonly device: number;
  readonly cents: number;
  /** Minutes that it comes late. */
  readonly lateBy: number;
  readonly isRepeat: boolean;
}

type Step = { readonly order: Order } | { readonly refresh: true };

const order: fc.Arbitrary<Order> = fc.record({
  customer: fc.nat(CUSTOMERS.length - 1),
  device: fc.nat(3),
  cents: fc.integer({ min: -500, max: 5000 }),
  lateBy: fc.integer({ min: 0, max: 90 }),
  isRepeat: fc.boolean(),
});
const steps = fc.array(
  fc.oneof(
    { arbitrary: order.map((each): Step => ({ order: each })), weight: 6 },
    { arbitrary: fc.constant<Step>({ refresh: true }), weight: 1 },
  ),
  { minLength: 5, maxLength: 60 },
);

interface Taken {
  readonly id: string;
  readonly customer: string;
  readonly cents: number;
  readonly atMs: number;
  readonly sequence: number;
}

/** Applies the steps; a batch counts what `isIn` says it has seen, and its rows come into force `delay` steps later. */
function run(field: string, all: readonly Step[], delay: number) {
  const config = configOf(field);
  const fold = new ProfileFold(config);
  const taken: Taken[] = [];
  const pending: { readonly at: number; readonly run: number }[] = [];
  let sequence = 0;
  let runs = 0;
  const wanted = all.map((step, i) =>
    'order' in step ? T0 + i * MINUTE * 7 - step.order.lateBy * MINUTE : undefined,
  );
  all.forEach((step, i) => {
    const nowMs = T0 + i * MINUTE * 7;
    if ('refresh' in step) {
      // A batch by time says how far it is complete: up to the minute of the earliest event that is yet to come.
      const yet = wanted.slice(i).filter((at) => at !== undefined);
      const upToMs = Math.floor(Math.min(nowMs, ...yet) / MINUTE) * MINUTE;
      runs += 1;
      for (const customer of CUSTOMERS) {
        const seen = taken.filter(
          (one) => one.customer === customer && (field.startsWith('through') || one.atMs < upToMs),
        );
        const cents = seen.reduce((sum, one) => sum + one.cents, 0);
        const spend = BEFORE_LIVE[customer]! + cents / 100;
        const values = { spend, at: new Date(upToMs).toISOString(), position: sequence };
        fold.records.set(recordKeys.row('crm', runs, customer), { kind: 'row', values });
      }
      pending.push({ at: i + delay, run: runs });
      return;
    }
    const due = pending.filter(({ at }) => at <= i).at(-1);
    if (due) {
      const inForce = { crm: { run: due.run, atMs: nowMs } };
      fold.actor = createProfileActor(config, { shards: 8, configVersion: 1, runs: inForce });
    }
    const { customer, device, cents, isRepeat } = step.order;
    const again = isRepeat ? taken.findLast((one) => one.customer === CUSTOMERS[customer]) : undefined;
    sequence += 1;
    const one = again ?? { id: `o${i}`, customer: CUSTOMERS[customer]!, cents, atMs: wanted[i]!, sequence };
    if (!again) taken.push(one);
    const keys = { customer_id: one.customer, device: `d${device}-${one.customer}` };
    fold.send(
      { id: one.id, name: 'Order', keys, properties: { revenue: one.cents / 100 }, timestampMs: one.atMs },
      nowMs,
    );
  });
  return { fold, taken };
}

describe.each([
  ['a time', 'as_of: crm.at'],
  ['a position', 'through: crm.position'],
])('with %s', (_, field) => {
  it('shows what was before live, and every order once', () => {
    let joined = 0;
    fc.assert(
      fc.property(steps, fc.nat(12), (all, delay) => {
        const { fold, taken } = run(field, all, delay);
        for (const customer of new Set(taken.map((one) => one.customer))) {
          const profile = fold.holder('customer_id', customer)!;
          const cents = taken
            .filter((one) => one.customer === customer)
            .reduce((sum, one) => sum + one.cents, 0);
          const hasRow = profile.batch?.crm?.values != null;
          if (hasRow) joined += 1;
          const expected = (hasRow ? BEFORE_LIVE[customer]! : 0) + cents / 100;
          const { attributes } = viewProfile(profile, fold.config, T0);
          expect((attributes.spend as { total: number }).total).toBeCloseTo(expected, 6);
        }
      }),
      { numRuns: 300 },
    );
    expect(joined).toBeGreaterThan(100);
  });
});

describe('what came after the batch', () => {
  const config = configOf('through: crm.position').attributes[0] as CounterConfig;
  const fed = (places: readonly number[]) =>
    places.reduce<CounterState | undefined>(
      (state, sequence) => addToCounter(state, config, 1, { atMs: T0, nowMs: T0, sequence }),
      undefined,
    )!;

  it('is bounded, whatever the order and however it is merged', () => {
    const places = Array.from({ length: 3 * SINCE_MAX }, (_, i) => i * 17 + 3);
    const shuffled = [...places].sort((a, b) => ((a * 7919) % 1009) - ((b * 7919) % 1009));
    const whole = fed(places);
    expect(whole.since!.sums.length).toBeLessThanOrEqual(SINCE_MAX);
    expect(fed(shuffled)).toEqual(whole);
    const [a, b] = [fed(shuffled.slice(0, 2500)), fed(shuffled.slice(2500))];
    expect(counter.combine(a, b, config)).toEqual(whole);
    expect(counter.combine(b, a, config)).toEqual(whole);
  });

  it('is never counted twice when it is told apart coarsely, and misses no more than one block', () => {
    const places = Array.from({ length: 3 * SINCE_MAX }, (_, i) => i + 1);
    const { since } = fed(places);
    for (const upTo of [0, 1, 777, 4000, 5999]) {
      const { total } = counter.view(fed(places), config, T0, { base: upTo, upTo }) as { total: number };
      expect(total).toBeLessThanOrEqual(places.length);
      expect(total).toBeGreaterThan(places.length - since!.grain);
    }
  });
});
