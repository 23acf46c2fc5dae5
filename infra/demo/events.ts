// The demo's two files as customer events: invoice lines whose customer is named on the last line of the invoice only,
// and the tracker events of a web shop. Message ids are made of what the line is, so sending one again changes nothing.
import { packagePath } from '../package-root.ts';
import { readRows } from '../replay/read-rows.ts';

export const RETAIL_FILE = packagePath('test/fixtures/retail/online-retail-2010-12.csv.gz');
export const CART_FILE = packagePath('test/fixtures/cart/snowplow-ecommerce.jsonl.gz');

export interface DemoEvent {
  readonly messageId: string;
  readonly name: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly timestamp: string;
}

type Line = Readonly<
  Record<'seq' | 'ts' | 'invoice' | 'customer' | 'event' | 'stock' | 'qty' | 'price' | 'country', string>
>;

/** The invoice lines in the order of the file. */
export async function* retailEvents(): AsyncGenerator<DemoEvent> {
  let held: Line | undefined;
  for await (const row of readRows(RETAIL_FILE, 'csv')) {
    if (row.kind === 'broken') throw new Error(`${RETAIL_FILE} line ${row.line}: ${row.reason}`);
    const line = row.fields as Line;
    if (held) yield retailEvent(held, held.invoice !== line.invoice);
    held = line;
  }
  if (held) yield retailEvent(held, true);
}

function retailEvent(line: Line, last: boolean): DemoEvent {
  const known = last && line.customer !== '';
  const properties = {
    stock: line.stock,
    qty: Number(line.qty),
    price: Number(line.price),
    country: line.country,
    closes_invoice: last,
  };
  return {
    messageId: `retail-${line.seq}`,
    name: line.event === 'cancel' ? 'Line Returned' : 'Line Bought',
    keys: { invoice: line.invoice, ...(known ? { customer_id: line.customer } : {}) },
    properties,
    timestamp: line.ts,
  };
}

interface TrackerRow {
  readonly event_id: string;
  readonly ts: string;
  readonly event_name: string;
  readonly domain_userid: string | null;
  readonly domain_sessionid: string | null;
  readonly ecommerce_user_id: string | null;
  readonly snowplow_ecommerce_snowplow_ecommerce_action_1_0_0: { readonly type: string | null } | null;
  readonly snowplow_ecommerce_product_1_0_0:
    | readonly {
        readonly category: string | null;
        readonly price: string | null;
      }[]
    | null;
  readonly snowplow_ecommerce_transaction_1_0_0: readonly { readonly revenue: string | null }[] | null;
}

/** The tracker events in the order of the file. */
export async function* cartEvents(): AsyncGenerator<DemoEvent> {
  for await (const row of readRows(CART_FILE, 'ndjson')) {
    if (row.kind === 'broken') throw new Error(`${CART_FILE} line ${row.line}: ${row.reason}`);
    yield cartEvent(row.fields as unknown as TrackerRow);
  }
}

function cartEvent(row: TrackerRow): DemoEvent {
  const keys: Record<string, string> = {};
  if (row.ecommerce_user_id) keys.user = row.ecommerce_user_id;
  if (row.domain_userid) keys.cookie = row.domain_userid;
  if (row.domain_sessionid) keys.session = row.domain_sessionid;
  const product = row.snowplow_ecommerce_product_1_0_0?.[0];
  const revenue = row.snowplow_ecommerce_transaction_1_0_0?.[0]?.revenue;
  return {
    messageId: row.event_id,
    name: row.snowplow_ecommerce_snowplow_ecommerce_action_1_0_0?.type ?? row.event_name,
    keys,
    properties: {
      ...(product?.category ? { category: product.category } : {}),
      ...(product?.price ? { price: Number(product.price) } : {}),
      ...(revenue ? { revenue: Number(revenue) } : {}),
    },
    timestamp: `${row.ts.slice(0, 10)}T${row.ts.slice(11).replace('+00:00', '').slice(0, 12)}Z`,
  };
}
