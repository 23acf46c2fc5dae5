// Real events of a web shop: whoever added to the cart and made no transaction within 30 minutes is written to, once for each
// such visit to the cart: exactly those that a direct count of the file finds.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { configOf, MINUTE, ProfileFold } from '../profile/harness.ts';

const FILE = new URL('../../fixtures/cart/snowplow-ecommerce.jsonl.gz', import.meta.url);
const WAIT_MS = 30 * MINUTE;
const CONFIG = configOf(
  `events:
  - { name: added, when: 'event.name == "add_to_cart"' }
  - { name: bought, when: 'event.name == "transaction"' }
activations: [{ name: mail }]
journeys:
  - { name: abandoned, enter: { on: added }, reentry: always, goal: { on: bought }, steps: [{ wait: 30m }, { activate: mail }] }
`,
  'keys: [{ name: visitor, kind: device }]\n  retention: { anonymous: forever }',
);

interface Row {
  readonly event_id: string;
  readonly ts: string;
  readonly domain_userid: string | null;
  readonly snowplow_ecommerce_snowplow_ecommerce_action_1_0_0: { readonly type: string | null } | null;
}

const EVENTS = gunzipSync(readFileSync(FILE))
  .toString('utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Row)
  .map(
    ({
      event_id: id,
      ts,
      domain_userid: visitor,
      snowplow_ecommerce_snowplow_ecommerce_action_1_0_0: action,
    }) => {
      return { id, atMs: Date.parse(ts), visitor, name: action?.type ?? 'other' };
    },
  )
  .sort((a, b) => a.atMs - b.atMs || (a.id < b.id ? -1 : 1));

/** Of each visitor: additions that are 30 minutes apart from those counted before, and no transaction within 30 minutes. */
function abandoned(): readonly string[] {
  const found: string[] = [];
  for (const visitor of new Set(EVENTS.flatMap((event) => event.visitor ?? []))) {
    const own = EVENTS.filter((event) => event.visitor === visitor);
    let freeFromMs = Number.NEGATIVE_INFINITY;
    for (const { name, atMs, id } of own) {
      if (name !== 'add_to_cart' || atMs < freeFromMs) continue;
      const order = own.find(
        (other) => other.name === 'transaction' && other.atMs > atMs && other.atMs < atMs + WAIT_MS,
      );
      freeFromMs = order ? order.atMs : atMs + WAIT_MS;
      if (!order) found.push(`${visitor} ${id} ${atMs + WAIT_MS}`);
    }
  }
  return found.sort();
}

it('an abandoned cart is told of for exactly those visitors that a count of the file finds', () => {
  const fold = new ProfileFold(CONFIG);
  for (const { id, atMs, visitor, name } of EVENTS) {
    if (!visitor) continue;
    fold.ringUntil(atMs);
    fold.send({ id, name, keys: { visitor }, timestampMs: atMs }, atMs);
  }
  fold.ringUntil(EVENTS.at(-1)!.atMs + 2 * WAIT_MS);
  const told = fold.activations().map(({ keys, at }) => `${keys.visitor} ${Date.parse(at)}`);
  const expected = abandoned().map((line) => line.replace(/ \S+ /, ' '));
  expect(told.sort()).toEqual(expected.sort());
  expect(told.length).toBeGreaterThan(5);
  const goals = fold.facts('journey_left').filter(({ reason }) => reason === 'goal').length;
  expect(goals).toBeGreaterThan(5);
  expect(fold.facts('journey_entered')).toHaveLength(told.length + goals);
});
