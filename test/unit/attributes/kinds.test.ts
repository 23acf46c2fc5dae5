// Every kind of attribute by hand: few events, what must come of them, in any order of arrival.
import { describe, expect, it } from 'vitest';
import { configOf, DAY, HOUR, MINUTE, ProfileFold, SECOND, T0 } from '../profile/harness.ts';

interface Told {
  /** Ms after T0. */
  readonly at: number;
  readonly name?: string;
  readonly [property: string]: unknown;
}

interface Row {
  readonly title: string;
  /** YAML of the attributes. */
  readonly attributes: string;
  readonly events: readonly Told[];
  /** When it is looked at, ms after T0; also the log time of every event. */
  readonly now: number;
  readonly expected: Readonly<Record<string, unknown>>;
}

const EVENTS = `events:
  - { name: viewed, when: 'event.name == "Viewed"' }
  - { name: added, when: 'event.name == "Added"' }
  - { name: removed, when: 'event.name == "Removed"' }
  - { name: bought, when: 'event.name == "Bought"' }
attributes:
`;

function attributesAfter({ attributes, events, now }: Row, order: readonly Told[] = events): unknown {
  const fold = new ProfileFold(configOf(`${EVENTS}${attributes}`));
  for (const told of order) {
    const { at, name = 'Viewed', ...properties } = told;
    const id = `m${String(events.indexOf(told)).padStart(2, '0')}`;
    fold.send({ id, name, properties, timestampMs: T0 + at }, T0 + now);
  }
  return fold.view('device', 'd1', T0 + now).attributes;
}

const VISIT = { start: expect.any(String), last: expect.any(String) };
const iso = (at: number) => new Date(T0 + at).toISOString();

const ROWS: readonly Row[] = [
  {
    title: 'single: the newest by event time',
    attributes: '  - { name: page, type: single, on: viewed, value: event.properties.page }',
    events: [{ at: 2 * HOUR, page: 'b' }, { at: HOUR, page: 'a' }, { at: 3 * HOUR }],
    now: DAY,
    expected: { page: 'b' },
  },
  {
    title: 'single: the first',
    attributes: '  - { name: page, type: single, on: viewed, value: event.properties.page, keep: first }',
    events: [
      { at: 2 * HOUR, page: 'b' },
      { at: HOUR, page: 'a' },
    ],
    now: DAY,
    expected: { page: 'a' },
  },
  {
    title: 'single: gone after its ttl',
    attributes: '  - { name: page, type: single, on: viewed, value: event.properties.page, ttl: 1d }',
    events: [{ at: HOUR, page: 'a' }],
    now: DAY + HOUR,
    expected: {},
  },
  {
    title: 'single: only of events that meet its condition',
    attributes:
      "  - { name: page, type: single, on: viewed, when: 'event.properties.paid', value: event.properties.page }",
    events: [
      { at: HOUR, page: 'a', paid: true },
      { at: 2 * HOUR, page: 'b', paid: false },
      { at: 3 * HOUR, page: 'c' },
    ],
    now: DAY,
    expected: { page: 'a' },
  },
  {
    title: 'counter: total and windows, by a field',
    attributes:
      '  - { name: spend, type: counter, on: bought, by: event.properties.paid, total: true, windows: [1h, 1d] }',
    events: [
      { at: 0, name: 'Bought', paid: 1.1 },
      { at: 23 * HOUR + 30 * MINUTE, name: 'Bought', paid: 2.2 },
      { at: 30 * MINUTE, name: 'Bought', paid: 4.4 },
    ],
    now: DAY,
    expected: { spend: { '1h': 2.2, '1d': 7.7, total: 7.7 } },
  },
  {
    title: 'counter: an event that comes later than its window counts in the total alone',
    attributes: '  - { name: views, type: counter, on: viewed, total: true, windows: [1h] }',
    events: [{ at: 0 }, { at: 2 * HOUR }],
    now: 2 * HOUR + MINUTE,
    expected: { views: { '1h': 1, total: 2 } },
  },
  {
    title: 'counter: what is no number is left out',
    attributes: '  - { name: spend, type: counter, on: bought, by: event.properties.paid, total: true }',
    events: [
      { at: 0, name: 'Bought', paid: 'much' },
      { at: 1, name: 'Bought', paid: 3 },
      { at: 2, name: 'Bought' },
    ],
    now: HOUR,
    expected: { spend: 3 },
  },
  {
    title: 'distinct counter: different values, in all and within windows',
    attributes:
      '  - { name: products, type: counter, on: viewed, distinct: event.properties.sku, total: true, windows: [1h] }',
    events: [
      { at: 0, sku: 'a' },
      { at: 10 * MINUTE, sku: 'b' },
      { at: 3 * HOUR, sku: 'a' },
      { at: 3 * HOUR + MINUTE, sku: 7 },
      { at: 3 * HOUR + 2 * MINUTE, sku: '7' },
      { at: 3 * HOUR + 3 * MINUTE },
    ],
    now: 3 * HOUR + 30 * MINUTE,
    expected: { products: { '1h': 2, total: 3 } },
  },
  {
    title: 'list: a cart',
    attributes: `  - name: cart
    type: list
    on: added
    id: event.properties.sku
    fields: { price: event.properties.price, qty: event.properties.qty }
    remove: [{ on: removed, id: event.properties.sku }]
    clear: [{ on: bought }]
    aggregate: { cart_total: { sum: 'item.price * item.qty' }, cart_size: { count: all }, dear: { count: 'item.price > 5.0' }, cheapest: { min: item.price }, dearest: { max: item.price }, mean: { avg: item.price }, oldest: { first: item.id }, newest: { last: item.id }, quantities: { distinct: item.qty } }`,
    events: [
      { at: 0, name: 'Added', sku: 'gone', price: 99, qty: 1 },
      { at: 10, name: 'Bought' },
      { at: 20, name: 'Added', sku: 'a', price: 2, qty: 3 },
      { at: 30, name: 'Added', sku: 'b', price: 10, qty: 1 },
      { at: 40, name: 'Added', sku: 'c', price: 4, qty: 1 },
      { at: 50, name: 'Removed', sku: 'b' },
      { at: 60, name: 'Added', sku: 'a', price: 6, qty: 2 },
    ],
    now: HOUR,
    expected: {
      cart: {
        items: [
          { id: 'c', price: 4, qty: 1, at: iso(40) },
          { id: 'a', price: 6, qty: 2, at: iso(60) },
        ],
        cart_total: 16,
        cart_size: 2,
        dear: 1,
        cheapest: 4,
        dearest: 6,
        mean: 5,
        oldest: 'c',
        newest: 'a',
        quantities: [1, 2],
      },
      cart_total: 16,
      cart_size: 2,
      dear: 1,
      cheapest: 4,
      dearest: 6,
      mean: 5,
      oldest: 'c',
      newest: 'a',
      quantities: [1, 2],
    },
  },
  {
    title: 'list: nothing in it',
    attributes: `  - { name: cart, type: list, on: added, id: event.properties.sku, aggregate: { n: { count: all }, sum: { sum: item.price }, last: { last: item.id } } }`,
    events: [{ at: 0 }],
    now: HOUR,
    expected: { cart: { items: [], n: 0, sum: 0 }, n: 0, sum: 0 },
  },
  {
    title: 'list: items pass after their ttl, and the oldest give way',
    attributes:
      '  - { name: seen, type: list, on: viewed, id: event.properties.sku, ttl: 1d, max: 2, aggregate: { seen_count: { count: all } } }',
    events: [
      { at: 0, sku: 'a' },
      { at: 5 * HOUR, sku: 'b' },
      { at: 6 * HOUR, sku: 'c' },
      { at: 7 * HOUR, sku: 'd' },
    ],
    now: DAY + 6 * HOUR + 1,
    expected: { seen: { items: [{ id: 'd', at: iso(7 * HOUR) }], seen_count: 1 }, seen_count: 1 },
  },
  {
    title: 'min, max and avg; a time compares as text',
    attributes: `  - { name: least, type: min, on: bought, value: event.properties.paid }
  - { name: most, type: max, on: bought, value: event.properties.paid }
  - { name: mean, type: avg, on: bought, value: event.properties.paid }
  - { name: first_order, type: min, on: bought, value: event.timestamp }
  - { name: none, type: max, on: viewed, value: event.properties.paid }`,
    events: [
      { at: 2 * HOUR, name: 'Bought', paid: 0.1 },
      { at: HOUR, name: 'Bought', paid: 0.2 },
      { at: 3 * HOUR, name: 'Bought', paid: -0.3 },
    ],
    now: DAY,
    expected: { least: -0.3, most: 0.2, mean: 0, first_order: iso(HOUR) },
  },
  {
    title: 'most_frequent: of equals the one said last',
    attributes: '  - { name: favourite, type: most_frequent, on: viewed, value: event.properties.category }',
    events: [
      { at: 0, category: 'yoga' },
      { at: 1, category: 'run' },
      { at: 2, category: 'run' },
      { at: 3, category: 'yoga' },
      { at: 4 },
    ],
    now: HOUR,
    expected: { favourite: 'yoga' },
  },
  {
    title: 'session: the present visit',
    attributes: `  - { name: session, type: session, gap: 30m, entry: event.properties.page, aggregate: { session_views: { count: viewed }, session_events: { count: all } } }`,
    events: [
      { at: 0, page: 'old' },
      { at: 5 * HOUR, page: 'home' },
      { at: 5 * HOUR + 20 * MINUTE, name: 'Added' },
      { at: 5 * HOUR + 50 * MINUTE, page: 'cart' },
    ],
    now: 6 * HOUR,
    expected: {
      session: {
        number: 2,
        active: true,
        start: iso(5 * HOUR),
        last: iso(5 * HOUR + 50 * MINUTE),
        seconds: 3000,
        events: 3,
        entry: 'home',
      },
      session_views: 2,
      session_events: 3,
    },
  },
  {
    title: 'session: a late event joins two visits',
    attributes: '  - { name: session, type: session, gap: 30m, aggregate: { views: { count: viewed } } }',
    events: [{ at: 0 }, { at: 50 * MINUTE }, { at: 25 * MINUTE }],
    now: 70 * MINUTE,
    expected: { session: { ...VISIT, number: 1, active: true, seconds: 3000, events: 3 }, views: 3 },
  },
  {
    title: 'session: over, and nothing counts for the next one',
    attributes: '  - { name: session, type: session, gap: 30m, aggregate: { views: { count: viewed } } }',
    events: [{ at: 0 }, { at: MINUTE }],
    now: 31 * MINUTE + SECOND,
    expected: { session: { ...VISIT, number: 1, active: false, seconds: 60, events: 2 }, views: 0 },
  },
  {
    title: 'computed: of other attributes, also of computed ones, whatever their order',
    attributes: `  - { name: tier, type: computed, value: 'profile.mean_order >= 50.0 ? "gold" : "none"' }
  - { name: mean_order, type: computed, value: profile.spend / double(profile.orders) }
  - { name: spend, type: counter, on: bought, total: true, by: event.properties.paid }
  - { name: orders, type: counter, on: bought, total: true }
  - { name: unknown, type: computed, value: profile.never + 1.0 }
  - { name: never, type: max, on: removed, value: event.properties.paid }`,
    events: [
      { at: 0, name: 'Bought', paid: 30 },
      { at: 1, name: 'Bought', paid: 90 },
    ],
    now: HOUR,
    expected: { tier: 'gold', mean_order: 60, spend: 120, orders: 2 },
  },
];

describe('what events come to', () => {
  it.each(ROWS.map((row) => [row.title, row] as const))('%s', (_, row) => {
    expect(attributesAfter(row)).toEqual(row.expected);
  });

  it.each(ROWS.map((row) => [row.title, row] as const))('%s, whatever the order of arrival', (_, row) => {
    expect(attributesAfter(row, [...row.events].reverse())).toEqual(row.expected);
    const byTime = [...row.events].sort((a, b) => a.at - b.at);
    expect(attributesAfter(row, byTime)).toEqual(row.expected);
  });
});

describe('bounds', () => {
  const comesTo = (attributes: string, events: readonly Told[], now = DAY) =>
    attributesAfter({ title: '', attributes, events, now, expected: {} }) as Record<string, unknown>;
  const numbered = (count: number, more: (i: number) => object) =>
    Array.from({ length: count }, (_, i) => ({ at: i * SECOND, ...more(i) }));

  it('a distinct counter is exact to its bound and near beyond it', () => {
    const attributes =
      '  - { name: n, type: counter, on: viewed, distinct: event.properties.sku, total: true, exact: 400 }';
    expect(
      comesTo(
        attributes,
        numbered(400, (i) => ({ sku: `p${i}` })),
      ).n,
    ).toBe(400);
    const beyond = comesTo(
      attributes,
      numbered(4000, (i) => ({ sku: `p${i}` })),
    ).n as number;
    expect(Math.abs(beyond - 4000) / 4000, `estimate ${beyond} of 4000`).toBeLessThan(0.2);
    expect(beyond).not.toBe(4000);
  });

  it('a list keeps its newest items', () => {
    const attributes = '  - { name: seen, type: list, on: viewed, id: event.properties.sku, max: 3 }';
    const { items } = comesTo(
      attributes,
      numbered(10, (i) => ({ sku: i })),
    ).seen as { items: { id: string }[] };
    expect(items.map(({ id }) => id)).toEqual(['7', '8', '9']);
  });

  it('a list of large items keeps what fits', () => {
    const attributes =
      '  - { name: seen, type: list, on: viewed, id: event.properties.sku, fields: { text: event.properties.text }, max: 1000 }';
    const { items } = comesTo(
      attributes,
      numbered(30, (i) => ({ sku: i, text: 'x'.repeat(4000) })),
    ).seen as {
      items: { id: string }[];
    };
    expect(items.length).toBe(16);
    expect(items.at(-1)!.id).toBe('29');
  });

  it('most_frequent finds what is frequent among many values', () => {
    const attributes =
      '  - { name: top, type: most_frequent, on: viewed, value: event.properties.sku, max: 20 }';
    expect(
      comesTo(
        attributes,
        numbered(600, (i) => ({ sku: i % 3 === 0 ? 'star' : `p${i}` })),
      ).top,
    ).toBe('star');
  });

  it('many visits are all counted', () => {
    const attributes = '  - { name: s, type: session, gap: 1m }';
    const visits = Array.from({ length: 50 }, (_, i) => ({ at: i * HOUR }));
    expect(comesTo(attributes, visits, 50 * HOUR).s).toMatchObject({ number: 50, active: false });
  });
});

describe('an attribute whose type has changed', () => {
  it('starts anew', () => {
    const single = '  - { name: x, type: single, on: viewed, value: event.properties.v }';
    const fold = new ProfileFold(configOf(`${EVENTS}${single}`));
    fold.send({ properties: { v: 5 } });
    const next = new ProfileFold(
      configOf(`${EVENTS}  - { name: x, type: max, on: viewed, value: event.properties.v }`),
    );
    for (const [key, state] of fold.records) next.records.set(key, state);
    expect(next.view('device', 'd1').attributes).toEqual({});
    next.send({ properties: { v: 3 } });
    expect(next.view('device', 'd1').attributes).toEqual({ x: 3 });
  });
});
