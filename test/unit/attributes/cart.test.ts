// Real events of a web shop: what is in every visitor's cart, and what it is worth, after each event, against a count that
// shares no code with the engine.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { configOf, ProfileFold } from '../profile/harness.ts';

const FILE = new URL('../../fixtures/cart/snowplow-ecommerce.jsonl.gz', import.meta.url);
const CONFIG = configOf(
  `events:
  - { name: added, when: 'event.name == "add_to_cart"' }
  - { name: removed, when: 'event.name == "remove_from_cart"' }
  - { name: bought, when: 'event.name == "transaction"' }
attributes:
  - name: cart
    type: list
    on: added
    id: event.properties.product
    fields: { price: event.properties.price }
    max: 50
    remove: [{ on: removed, id: event.properties.product }]
    clear: [{ on: bought }]
    aggregate: { cart_total: { sum: item.price }, cart_size: { count: all } }
`,
  'keys: [{ name: visitor, kind: device }]\n  retention: { anonymous: forever }',
);

interface Row {
  readonly event_id: string;
  readonly ts: string;
  readonly domain_userid: string | null;
  readonly snowplow_ecommerce_snowplow_ecommerce_action_1_0_0: { readonly type: string | null } | null;
  readonly snowplow_ecommerce_product_1_0_0:
    | readonly { readonly id: string; readonly price: string }[]
    | null;
}

it('carts are what was put in, less what was taken out and bought', () => {
  const rows = gunzipSync(readFileSync(FILE))
    .toString('utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Row)
    .sort((a, b) => Date.parse(a.ts) - Date.parse(b.ts) || (a.event_id < b.event_id ? -1 : 1));
  const fold = new ProfileFold(CONFIG);
  const carts = new Map<string, Map<string, number>>();
  const seen = { add_to_cart: 0, remove_from_cart: 0, transaction: 0 };
  for (const row of rows) {
    const action = row.snowplow_ecommerce_snowplow_ecommerce_action_1_0_0?.type ?? 'other';
    const visitor = row.domain_userid;
    if (!visitor) continue;
    const [product] = row.snowplow_ecommerce_product_1_0_0 ?? [];
    const timeMs = Date.parse(row.ts);
    const properties = product ? { product: product.id, price: Number(product.price) } : {};
    fold.send({ id: row.event_id, name: action, keys: { visitor }, properties, timestampMs: timeMs }, timeMs);

    const cart = carts.get(visitor) ?? new Map<string, number>();
    carts.set(visitor, cart);
    if (action in seen) seen[action as keyof typeof seen] += 1;
    if (action === 'add_to_cart' && product) {
      cart.delete(product.id);
      cart.set(product.id, Number(product.price));
    }
    if (action === 'remove_from_cart' && product) cart.delete(product.id);
    if (action === 'transaction') cart.clear();

    const {
      cart: shown,
      cart_total,
      cart_size,
    } = fold.view('visitor', visitor, timeMs).attributes as {
      cart: { items: { id: string; price: number }[] };
      cart_total: number;
      cart_size: number;
    };
    expect(
      shown.items.map(({ id, price }) => [id, price]),
      row.event_id,
    ).toEqual([...cart]);
    expect(cart_total).toBeCloseTo(
      [...cart.values()].reduce((sum, price) => sum + price, 0),
      6,
    );
    expect(cart_size).toBe(cart.size);
  }
  for (const [action, count] of Object.entries(seen)) expect(count, action).toBeGreaterThan(5);
});
