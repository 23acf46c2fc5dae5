// Batch and live joined on real invoices: a job counts the archive up to a day, live events go on from there, and for every
// customer the sum of both equals a direct count of the file. With RETAIL_FILE and RETAIL_DAY over another excerpt of it.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DevHandle } from '../../shared/settings.ts';
import { eventually } from '../support/segment.ts';
import { ensureBuilt, type Running, runCliProcess, startCli } from './cli-process.ts';

const FILE = process.env.RETAIL_FILE ?? 'test/fixtures/retail/online-retail-2010-12.csv.gz';
/** The first day that is live. */
const DAY = process.env.RETAIL_DAY ?? '2010-12-06';

const CONFIG = `segment: retail
stitching:
  keys:
    - { name: customer_id, limit: 1 }
    - { name: invoice, kind: device, limit: 1000 }
  max_keys_per_profile: 1000
events:
  - { name: line, when: 'event.name == "purchase"' }
  - { name: last_line, when: 'event.name == "purchase" && event.properties.last' }
  - { name: cancelled, when: 'event.name == "cancel"' }
batch:
  tables:
    - { name: history, key: customer_id, attributes: { orders: number, units: number, revenue: number, cancelled: number, through: number } }
attributes:
  - { name: orders, type: counter, total: true, on: last_line, backfill: { attribute: history.orders, through: history.through } }
  - { name: units, type: counter, total: true, on: line, by: event.properties.qty, backfill: { attribute: history.units, through: history.through } }
  - { name: revenue, type: counter, total: true, on: line, by: event.properties.qty * event.properties.price,
      backfill: { attribute: history.revenue, through: history.through } }
  - { name: cancelled_units, type: counter, total: true, on: cancelled, by: event.properties.qty,
      backfill: { attribute: history.cancelled, through: history.through } }
`;
const JOB = `/*---
name: history
table: history
---*/
SELECT links.value AS key,
  count(*) FILTER (name = 'purchase' AND (properties->>'last')::BOOLEAN) AS orders,
  coalesce(sum(qty) FILTER (name = 'purchase'), 0) AS units,
  coalesce(sum(qty * price) FILTER (name = 'purchase'), 0) AS revenue,
  coalesce(sum(qty) FILTER (name = 'cancel'), 0) AS cancelled,
  $through AS through
FROM (SELECT *, (properties->>'qty')::DOUBLE AS qty, (properties->>'price')::DOUBLE AS price FROM profile_events)
JOIN links USING (profile_id)
WHERE key_name = $key
GROUP BY links.value
`;

interface Line {
  readonly ts: string;
  readonly invoice: string;
  readonly customer: string;
  readonly event: string;
  readonly qty: number;
  readonly price: number;
  /** Of its invoice: the only one that names the customer. */
  readonly last: boolean;
}

interface Totals {
  orders: number;
  units: number;
  revenue: number;
  cancelled_units: number;
}

function readLines(): readonly Line[] {
  const text = gunzipSync(readFileSync(FILE)).toString('utf8');
  const rows = text
    .split('\n')
    .slice(1)
    .filter((line) => line !== '')
    .map((line) => line.split(','));
  // An invoice may be interrupted by another one.
  const lastOf = new Map(rows.map(([, , invoice], i) => [invoice, i]));
  return rows.map(([, ts = '', invoice = '', customer = '', event = '', , qty, price], i) => {
    const last = lastOf.get(invoice) === i;
    return { ts, invoice, customer, event, qty: Number(qty), price: Number(price), last };
  });
}

/** By customer, by nothing but the file. */
function count(lines: readonly Line[]): ReadonlyMap<string, Totals> {
  const totals = new Map<string, Totals>();
  for (const { invoice, customer, event, qty, price } of lines) {
    if (customer === '') continue;
    const own = totals.get(customer) ?? { orders: 0, units: 0, revenue: 0, cancelled_units: 0 };
    totals.set(customer, own);
    if (event === 'cancel') own.cancelled_units += qty;
    else {
      own.units += qty;
      own.revenue += qty * price;
      if (!seen.has(invoice)) own.orders += 1;
      seen.add(invoice);
    }
  }
  return totals;
}

const seen = new Set<string>();
const folder = mkdtempSync(join(tmpdir(), 'stitchwork-jobs-retail-'));
const lines = readLines();
const cut = lines.findIndex(({ ts }) => ts >= DAY);
const target = ['--segment', 'retail', '--json'];
let dev: Running;
let handle: DevHandle;
const cli = (...args: readonly string[]) => runCliProcess(args, { NATS_URL: handle.natsUrl });

async function send(from: number, to: number): Promise<void> {
  for (let start = from; start < to; start += 500) {
    const events = lines.slice(start, Math.min(to, start + 500)).map((line, i) => ({
      messageId: `line-${start + i}`,
      name: line.event,
      keys: {
        invoice: line.invoice,
        ...(line.last && line.customer !== '' ? { customer_id: line.customer } : {}),
      },
      properties: { qty: line.qty, price: line.price, last: line.last },
      timestamp: line.ts,
    }));
    for (;;) {
      const answer = await fetch(`${handle.url}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${handle.writeKey}` },
        body: JSON.stringify({ events }),
      });
      if (answer.status === 202) break;
      expect(answer.status, await answer.text()).toBe(429);
    }
  }
}

async function applied(): Promise<void> {
  const waited = await runCliProcess(['status', '--wait', '600s', '--json'], {
    STITCHWORK_URL: handle.url,
    STITCHWORK_ADMIN_KEY: handle.adminKey,
  });
  expect(waited.code, waited.err).toBe(0);
}

/** Customers whose answer is not what was counted. */
async function differences(expected: ReadonlyMap<string, Totals>): Promise<readonly unknown[]> {
  const wrong: unknown[] = [];
  for (const [customer, totals] of expected) {
    const answer = await fetch(`${handle.url}/v1/profiles/customer_id/${customer}`, {
      headers: { authorization: `Bearer ${handle.adminKey}` },
    });
    const { attributes = {} } = (await answer.json()) as { attributes?: Record<string, number> };
    const found = Object.keys(totals).map((name) => Math.round((attributes[name] ?? 0) * 100) / 100);
    const wanted = Object.values(totals).map((value) => Math.round(value * 100) / 100);
    if (JSON.stringify(found) !== JSON.stringify(wanted)) wrong.push({ customer, found, wanted });
  }
  return wrong;
}

beforeAll(async () => {
  ensureBuilt();
  mkdirSync(join(folder, 'jobs'));
  writeFileSync(join(folder, 'jobs', 'history.sql'), JOB);
  writeFileSync(join(folder, 'retail.yaml'), CONFIG);
  const data = [
    '--data-dir',
    join(folder, 'data'),
    '--jobs',
    join(folder, 'jobs'),
    '--archive-flush',
    '200ms',
  ];
  dev = startCli([
    'dev',
    '--port',
    '0',
    ...data,
    '--shards',
    '4',
    '--log-level',
    'warn',
    '--json',
    '--config',
    join(folder, 'retail.yaml'),
  ]);
  handle = JSON.parse(await dev.line()) as DevHandle;
}, 60_000);

afterAll(async () => {
  dev?.child.kill('SIGTERM');
  await dev?.finished;
  rmSync(folder, { recursive: true, force: true });
});

describe('a snapshot of the archive and live events after it', () => {
  it('are together what a count of everything gives, for every customer', async () => {
    expect(cut).toBeGreaterThan(1000);
    expect(lines.length - cut).toBeGreaterThan(1000);
    await send(0, cut);
    await applied();
    await eventually(
      'everything is archived',
      async () => JSON.parse((await cli('batch', 'archive', 'status', ...target)).out).lag === 0,
      120_000,
    );
    const ran = await cli('batch', 'run', 'history', ...target);
    expect(ran.code, ran.out + ran.err).toBe(0);
    const before = count(lines.slice(0, cut));
    expect(JSON.parse(ran.out)).toMatchObject({ state: 'succeeded', rows: before.size });
    seen.clear();
    await send(cut, lines.length);
    await applied();
    const whole = count(lines);
    const changed = [...whole].filter(
      ([customer, { units }]) => before.has(customer) && before.get(customer)!.units !== units,
    );
    expect(changed.length).toBeGreaterThan(20);
    expect(await differences(whole)).toEqual([]);
  }, 900_000);
});
