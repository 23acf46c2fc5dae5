// The shipped jobs against counts by other means, over an archive of made-up customers.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type Job, readJobFolder, shippedNames } from '../../../../batch/jobs/job-folder.ts';
import { seededRandom } from '../../../../shared/kernel/random.ts';
import { ComputeRig, type Ran, type TestEvent } from './compute-rig.ts';
import { T0 } from './rig.ts';

const DAY_MS = 86_400_000;
const SHIPPED = 'batch/jobs/shipped';
const CONFIG = `segment: shop
stitching:
  keys:
    - { name: customer_id, limit: 1 }
    - { name: device, kind: device, limit: 100 }
batch:
  tables:
    - { name: rfm, key: customer_id, attributes: { recency: number, frequency: number, monetary: number, score: number, tier: string } }
    - { name: lifetime_value, key: customer_id, attributes: { revenue: number, orders: number, average_order: number, revenue_a_year: number, first_order_at: timestamp, last_order_at: timestamp, through: number } }
    - { name: last_purchase, key: customer_id, attributes: { days: number, at: timestamp } }
    - { name: category_affinity, key: customer_id, attributes: { top: string, share: number, categories: list } }
    - { name: next_best_offer, key: customer_id, attributes: { offer: string, score: number, offers: list } }
    - { name: purchase_propensity, key: customer_id, attributes: { probability: number, decile: number } }
    - { name: baskets, key: customer_id, attributes: { largest: number, through: number } }
`;
const NOW = T0;
const PRODUCTS = ['mat', 'block', 'strap', 'ball', 'bag', 'sock', 'shoe', 'hat'];
const CATEGORY: Readonly<Record<string, string>> = {
  mat: 'yoga',
  block: 'yoga',
  strap: 'yoga',
  ball: 'yoga',
  bag: 'run',
  sock: 'run',
  shoe: 'run',
  hat: 'sun',
};
const CUSTOMERS = 400;

let rig: ComputeRig;
let folder: string;
let jobs: readonly Job[];
const events: TestEvent[] = [];

/** Whoever is keen looks and buys often, also from now on. */
function makeEvents(): void {
  const random = seededRandom(5);
  const pick = <T>(list: readonly T[]) => list[Math.floor(random.next() * list.length)]!;
  for (let c = 0; c < CUSTOMERS; c++) {
    const keys = { device: `d${c}` };
    const keen = random.next() ** 2;
    const liked = random.next() < 0.5 ? PRODUCTS.slice(0, 4) : PRODUCTS.slice(4);
    events.push({ name: 'Signed In', keys: { ...keys, customer_id: `c${c}` }, atMs: NOW - 121 * DAY_MS });
    for (let day = 120; day > 0; day--) {
      const atMs = NOW - day * DAY_MS + Math.floor(random.next() * DAY_MS);
      const product = pick(liked);
      if (random.next() < keen / 3)
        events.push({
          name: 'Product Viewed',
          keys,
          properties: { product_id: product, category: CATEGORY[product] },
          atMs,
        });
      if (random.next() < keen / 12) {
        const products = [product, pick(PRODUCTS)].map((id) => ({ product_id: id, category: CATEGORY[id] }));
        const revenue = Math.round(random.next() * 10_000) / 100;
        events.push({ name: 'Order Completed', keys, properties: { revenue, products }, atMs: atMs + 1 });
      }
    }
  }
  events.push({
    name: 'Order Completed',
    keys: { device: 'stranger' },
    properties: { revenue: 9 },
    atMs: NOW - 1,
  });
  events.push({
    name: 'Order Completed',
    keys: { device: 'd0' },
    properties: { revenue: 1e9 },
    atMs: NOW + 1,
  });
  events.sort((a, b) => a.atMs - b.atMs);
}

interface Orders {
  readonly revenue: number[];
  readonly atMs: number[];
  readonly bought: Set<string>;
}

/** By customer, straight from what was sent. */
function countOrders(): ReadonlyMap<string, Orders> {
  const found = new Map<string, Orders>();
  for (const { name, keys, properties, atMs } of events) {
    if (name !== 'Order Completed' || keys.device === 'stranger' || atMs > NOW) continue;
    const customer = keys.device!.replace('d', 'c');
    const orders = found.get(customer) ?? { revenue: [], atMs: [], bought: new Set() };
    orders.revenue.push(properties?.revenue as number);
    orders.atMs.push(atMs);
    for (const { product_id } of (properties?.products ?? []) as { product_id: string }[])
      orders.bought.add(product_id);
    found.set(customer, orders);
  }
  return found;
}

const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);

async function run(name: string, part: Partial<Job> = {}): Promise<Ran> {
  const job = jobs.find((each) => each.name === name);
  if (!job) throw new Error(`no job ${name}`);
  return rig.run({ ...job, ...part }, NOW);
}

beforeAll(async () => {
  rig = await ComputeRig.open(CONFIG);
  makeEvents();
  for (const event of events) rig.add(event);
  await rig.archive();
  folder = await mkdtemp(join(tmpdir(), 'stitchwork-shipped-'));
  for (const name of await shippedNames(SHIPPED))
    await writeFile(join(folder, `${name}.sql`), `/*---\nuse: ${name}\n---*/\n`);
  const read = await readJobFolder(folder, SHIPPED, rig.config);
  expect(read.problems).toEqual([]);
  jobs = read.jobs;
}, 60_000);

afterAll(async () => {
  await rig.close();
  await rm(folder, { recursive: true, force: true });
});

describe('the shipped jobs', () => {
  it('are six, each with its table in its text', async () => {
    const tables = rig.config.batchTables.filter(({ name }) => name !== 'baskets');
    expect(jobs.map(({ name }) => name).sort()).toEqual(tables.map(({ name }) => name).sort());
    for (const job of jobs) {
      const said = /The table: ([\s\S]*?\} \})/.exec(await readFile(job.path, 'utf8'))?.[1] ?? '';
      const { key, columns } = tables.find(({ name }) => name === job.table)!;
      const told: unknown = parse(said.replace(/\n(--|\/\/)/g, ''));
      expect(told, job.name).toEqual({ name: job.table, key, attributes: columns });
      expect(job.cron, job.name).not.toBeNull();
    }
  });

  it('lifetime_value: what every customer has brought', async () => {
    const { table } = await run('lifetime_value');
    const counted = countOrders();
    expect(Object.keys(table).sort()).toEqual([...counted.keys()].sort());
    for (const [customer, { revenue, atMs }] of counted) {
      const row = table[customer]!;
      const total = sum(revenue);
      expect(row.revenue, customer).toBeCloseTo(total, 6);
      expect(row.average_order).toBeCloseTo(total / revenue.length, 6);
      const days = Math.floor((NOW - Math.min(...atMs)) / 3_600_000) / 24;
      expect(row.revenue_a_year as number).toBeGreaterThan((0.98 * 365 * total) / Math.max(30, days));
      expect(row.revenue_a_year as number).toBeLessThan((1.02 * 365 * total) / Math.max(30, days));
      expect(row).toMatchObject({
        orders: revenue.length,
        first_order_at: new Date(Math.min(...atMs)).toISOString(),
        last_order_at: new Date(Math.max(...atMs)).toISOString(),
        through: events.length,
      });
    }
  });

  it('last_purchase: whole days since', async () => {
    const { table } = await run('last_purchase');
    const expected = [...countOrders()].map(([customer, { atMs }]) => {
      const last = Math.max(...atMs);
      return [customer, { days: Math.floor((NOW - last) / DAY_MS), at: new Date(last).toISOString() }];
    });
    // Seconds that have begun count as whole ones.
    for (const [customer, row] of expected as [string, { days: number; at: string }][]) {
      expect(table[customer]?.at).toBe(row.at);
      expect(Math.abs((table[customer]?.days as number) - row.days)).toBeLessThanOrEqual(1);
    }
    expect(Object.keys(table)).toHaveLength(expected.length);
  });

  it('rfm: a fifth each, the same for equals, and tiers by their sum', async () => {
    const { table } = await run('rfm');
    const counted = [...countOrders()];
    const rank = (of: (orders: Orders) => number) => {
      const all = counted.map(([, orders]) => of(orders));
      return (orders: Orders) => {
        const worse = all.filter((value) => value < of(orders)).length;
        return Math.min(5, 1 + Math.floor((5 * worse) / (all.length - 1)));
      };
    };
    const ranks = [
      rank(({ atMs }) => Math.max(...atMs)),
      rank(({ revenue }) => revenue.length),
      rank(({ revenue }) => Math.round(sum(revenue) * 100)),
    ];
    const tiers = new Set<unknown>();
    for (const [customer, orders] of counted) {
      const [recency = 0, frequency = 0, monetary = 0] = ranks.map((of) => of(orders));
      const score = recency + frequency + monetary;
      const tier = score >= 12 ? 'Gold' : score >= 8 ? 'Silver' : 'Bronze';
      expect(table[customer], customer).toEqual({ recency, frequency, monetary, score, tier });
      tiers.add(tier);
    }
    expect(tiers.size).toBe(3);
  });

  it('category_affinity: by weight and age', async () => {
    const { table } = await run('category_affinity');
    const scores = new Map<string, Map<string, number>>();
    const add = (customer: string, category: string, weight: number) => {
      const own = scores.get(customer) ?? new Map<string, number>();
      own.set(category, (own.get(category) ?? 0) + weight);
      scores.set(customer, own);
    };
    for (const { name, keys, properties = {}, atMs } of events) {
      if (keys.device === 'stranger' || atMs > NOW) continue;
      const customer = keys.device!.replace('d', 'c');
      const age = 0.5 ** ((NOW - atMs) / DAY_MS / 30);
      if (name === 'Product Viewed') add(customer, properties.category as string, age);
      if (name === 'Order Completed')
        for (const { category } of properties.products as { category: string }[])
          add(customer, category, 5 * age);
    }
    expect(Object.keys(table).length).toBe(scores.size);
    for (const [customer, own] of scores) {
      const best = Math.max(...own.values());
      expect(table[customer]?.share as number, customer).toBeCloseTo(best / sum([...own.values()]), 4);
      expect(own.get(table[customer]?.top as string)).toBeCloseTo(best, 4);
      expect(table[customer]?.categories as string[]).toHaveLength(own.size);
    }
  });

  it('next_best_offer: bought by those who bought the same, and not bought yet', async () => {
    const { table } = await run('next_best_offer');
    const baskets = [...countOrders()];
    const buyers = (...products: string[]) =>
      baskets.filter(([, { bought }]) => products.every((p) => bought.has(p))).length;
    let offered = 0;
    for (const [customer, { bought }] of baskets) {
      const candidates = PRODUCTS.filter((product) => !bought.has(product)).flatMap((product) => {
        const support = [...bought].filter((own) => buyers(own, product) >= 2);
        const score = sum(support.map((own) => buyers(own, product) / buyers(own))) / support.length;
        return support.length > 0 ? [{ product, score }] : [];
      });
      const best = Math.max(...candidates.map(({ score }) => score));
      if (candidates.length === 0) {
        expect(table[customer], customer).toBeUndefined();
        continue;
      }
      offered += 1;
      expect(table[customer]?.score as number, customer).toBeCloseTo(best, 9);
      const named = candidates.find(({ product }) => product === table[customer]?.offer);
      expect(named?.score).toBeCloseTo(best, 9);
      expect((table[customer]!.offers as string[]).some((offer) => bought.has(offer))).toBe(false);
    }
    expect(offered).toBeGreaterThan(100);
  });

  it('purchase_propensity: tells buyers from others, on customers that it did not learn from', async () => {
    const { table, log } = await run('purchase_propensity');
    const told =
      /held out: (\d+) customers, (\d+) of whom bought: AUC ([\d.]+), log-loss ([\d.]+) \(([\d.]+) by/.exec(
        log.join('\n'),
      );
    expect(told, log.join('\n')).not.toBeNull();
    const [customers = 0, bought = 0, auc = 0, loss = 0, blind = 0] = told!.slice(1).map(Number);
    expect(customers).toBeGreaterThan(40);
    expect(bought).toBeGreaterThan(5);
    expect(auc).toBeGreaterThan(0.75);
    expect(auc).toBeLessThan(1);
    expect(loss).toBeLessThan(0.95 * blind);
    const rows = Object.values(table) as { probability: number; decile: number }[];
    expect(rows).toHaveLength(CUSTOMERS);
    expect(rows.every(({ probability }) => probability > 0 && probability < 1)).toBe(true);
    expect(new Set(rows.map(({ decile }) => decile)).size).toBe(10);
    const mean = (decile: number) => {
      const of = rows.filter((row) => row.decile === decile);
      return sum(of.map(({ probability }) => probability)) / of.length;
    };
    expect(mean(10)).toBeGreaterThan(3 * mean(1));
  });

  it('purchase_propensity: refuses to learn from a handful', async () => {
    const params = {
      ...jobs.find(({ name }) => name === 'purchase_propensity')?.params,
      order_event: 'Never',
    };
    await expect(run('purchase_propensity', { params })).rejects.toThrow(
      '0 bought in the last 30 days: at least 20',
    );
  });
});

describe('the job in the README', () => {
  it('finds the largest basket of 90 days', async () => {
    const text =
      /```sql\n(\/\*---\nname: big_baskets[\s\S]*?)```/.exec(await readFile('README.md', 'utf8'))?.[1] ?? '';
    await writeFile(join(folder, 'readme.sql'), text);
    const { jobs: read, problems } = await readJobFolder(folder, SHIPPED, rig.config);
    expect(problems).toEqual([]);
    const job = read.find(({ name }) => name === 'big_baskets')!;
    const { table } = await rig.run(job, NOW);
    const expected = [...countOrders()].flatMap(([customer, { atMs, revenue }]) => {
      const recent = revenue.filter((_, i) => atMs[i]! > NOW - 90 * DAY_MS);
      return recent.length > 0 ? [[customer, Math.max(...recent)] as const] : [];
    });
    for (const [customer, largest] of expected.filter(([customer]) => customer !== 'c0'))
      expect(table[customer], customer).toEqual({ largest, through: events.length });
    expect(Object.keys(table)).toHaveLength(expected.length);
  });
});
