// What the demo must come to, counted straight from its two files by other means than the engine's: no code is shared
// with the events that are sent, only the files.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';

export interface CustomerTotals {
  orders: number;
  units: number;
  spend: number;
  returned: number;
  invoices: string[];
}

export interface Expected {
  readonly lines: number;
  /** By customer. */
  readonly customers: ReadonlyMap<string, CustomerTotals>;
  /** Invoices that never had a customer, each a profile of its own. */
  readonly anonymous: ReadonlyMap<string, CustomerTotals>;
  readonly vips: ReadonlySet<string>;
  readonly trackerEvents: number;
  /** Visitors of the web shop: sets of cookies, sessions and users that belong together. */
  readonly visitors: number;
  readonly webSpend: number;
  readonly productViews: number;
}

const VIP_SPEND = 1000;

/** Counts both files. */
export function countExpected(retailFile: string, cartFile: string): Expected {
  const retail = countRetail(textLines(retailFile).slice(1));
  const cart = countCart(textLines(cartFile));
  return { ...retail, ...cart };
}

function textLines(file: string): readonly string[] {
  return gunzipSync(readFileSync(file))
    .toString('utf8')
    .split('\n')
    .filter((line) => line !== '');
}

function countRetail(lines: readonly string[]) {
  const customerOf = new Map<string, string>();
  for (const line of lines) {
    const [, , invoice, customer] = line.split(',') as [string, string, string, string];
    if (customer !== '') customerOf.set(invoice, customer);
  }
  const customers = new Map<string, CustomerTotals>();
  const anonymous = new Map<string, CustomerTotals>();
  for (const line of lines) {
    const [, , invoice, , event, , qty, price] = line.split(',') as string[] & { length: 9 };
    const customer = customerOf.get(invoice ?? '');
    const owner = customer === undefined ? totalsOf(anonymous, invoice ?? '') : totalsOf(customers, customer);
    const value = Number(qty) * Number(price);
    const first = !owner.invoices.includes(invoice ?? '');
    if (first) owner.invoices.push(invoice ?? '');
    if (event === 'cancel') owner.returned += value;
    else {
      if (first) owner.orders += 1;
      owner.units += Number(qty);
      owner.spend += value;
    }
  }
  const vips = new Set(
    [...customers].filter(([, t]) => t.spend >= VIP_SPEND && t.orders > 0).map(([customer]) => customer),
  );
  return { lines: lines.length, customers, anonymous, vips };
}

function totalsOf(map: Map<string, CustomerTotals>, key: string): CustomerTotals {
  const found = map.get(key) ?? { orders: 0, units: 0, spend: 0, returned: 0, invoices: [] };
  map.set(key, found);
  return found;
}

/** Cookies, sessions and users that are seen together are one visitor: union-find, named by any member. */
function countCart(lines: readonly string[]) {
  const parent = new Map<string, string>();
  const root = (id: string): string => {
    const up = parent.get(id);
    if (up === undefined || up === id) {
      parent.set(id, id);
      return id;
    }
    return root(up);
  };
  let webSpend = 0;
  let productViews = 0;
  for (const line of lines) {
    const row = JSON.parse(line) as Record<string, string | null> &
      Record<string, { type?: string }[] & { type?: string }>;
    const ids = ['ecommerce_user_id', 'domain_userid', 'domain_sessionid'].flatMap((n) =>
      row[n] ? [`${n} ${row[n]}`] : [],
    );
    for (const id of ids) parent.set(root(id), root(ids[0] ?? id));
    const action = row.snowplow_ecommerce_snowplow_ecommerce_action_1_0_0?.type;
    if (action === 'product_view') productViews += 1;
    const paid = row.snowplow_ecommerce_transaction_1_0_0 as unknown as { revenue: string }[] | undefined;
    if (action === 'transaction') webSpend += Number(paid?.[0]?.revenue ?? 0);
  }
  const visitors = new Set([...parent.keys()].map(root)).size;
  return { trackerEvents: lines.length, visitors, webSpend, productViews };
}
