// A segment's own events once more, into a shadow on event time: with the same config the same comes of them, with another
// one exactly what is expected; killed on the way it goes on; and real invoices of long ago have the windows they had then.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Comparison } from '../../infra/shadow/compare.ts';
import { decodeArchiveRecord } from '../../shared/contract/archive-record.ts';
import { recordKeys, segmentNames } from '../../shared/contract/names.ts';
import { connectNats } from '../../shared/nats/connect.ts';
import { readLogState } from '../../shared/nats/log-state.ts';
import { createOutboxCopies } from '../../shared/nats/outbox-copies.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import type { DevHandle } from '../../shared/settings.ts';
import { eventually } from '../support/segment.ts';
import { ensureBuilt, type Finished, type Running, runCliProcess, startCli } from './cli-process.ts';

const CONFIG = `segment: origin
stitching:
  keys:
    - { name: customer_id, limit: 1 }
    - { name: device, kind: device, limit: 100 }
  retention: { anonymous: 90d, known: forever, redirects: 400d }
events:
  - { name: viewed, when: 'event.name == "Viewed"' }
  - { name: bought, when: 'event.name == "Bought"' }
attributes:
  - { name: views, type: counter, on: viewed, total: true, windows: [1h] }
  - { name: spend, type: counter, on: bought, total: true, by: event.properties.paid }
  - { name: pages, type: list, on: viewed, id: event.properties.page, max: 5 }
  - { name: visit, type: session, gap: 30m }
audiences:
  - { name: buyers, when: 'profile.spend >= 20.0' }
activations:
  - { name: thanks, payload: { spend: '{{ profile.spend }}' } }
triggers:
  - { name: thank, on: bought, activate: thanks }
`;
const RETAIL = new URL('../fixtures/retail/online-retail-2010-12.csv.gz', import.meta.url);
const PEOPLE = 41;
const EVENTS = 1200;

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-shadow-'));
let dev: Running;
let handle: DevHandle;
const env: Record<string, string> = {};
const cli = (...args: readonly string[]): Promise<Finished> => runCliProcess(args, env);

interface Sent {
  readonly messageId: string;
  readonly name: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly properties: Readonly<Record<string, unknown>>;
}

/** Visitors on two devices each, who sign in now and then; some events come twice. */
function eventsToSend(): readonly Sent[] {
  return Array.from({ length: EVENTS }, (_, i) => {
    const person = (i * 7) % PEOPLE;
    const keys: Record<string, string> = { device: `d-${person}-${i % 2}` };
    if (i % 5 === 0) keys.customer_id = `c-${person}`;
    const isOrder = i % 9 === 0;
    const properties = isOrder ? { paid: i % 13 } : { page: `p${i % 11}` };
    return {
      messageId: `m-${i % 50 === 49 ? i - 1 : i}`,
      name: isOrder ? 'Bought' : 'Viewed',
      keys,
      properties,
    };
  });
}

beforeAll(async () => {
  ensureBuilt();
  const file = join(folder, 'origin.yaml');
  writeFileSync(file, CONFIG);
  const data = join(folder, 'data');
  dev = startCli([
    'dev',
    '--port',
    '0',
    '--data-dir',
    data,
    '--shards',
    '4',
    '--events-max-bytes',
    '100MB',
    '--archive-flush',
    '100ms',
    '--json',
    '--config',
    file,
  ]);
  handle = JSON.parse(await dev.line()) as DevHandle;
  Object.assign(env, {
    NATS_URL: handle.natsUrl,
    STITCHWORK_DATA_DIR: data,
    STITCHWORK_URL: handle.url,
    STITCHWORK_ADMIN_KEY: handle.adminKey,
  });
  const events = eventsToSend();
  for (let at = 0; at < events.length; at += 300) {
    const answer = await fetch(`${handle.url}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${handle.writeKey}` },
      body: JSON.stringify(events.slice(at, at + 300)),
    });
    expect(answer.status).toBe(202);
  }
  const settled = await cli('status', '--wait', '30s', '--json');
  expect(settled.code).toBe(0);
}, 60_000);

afterAll(async () => {
  dev?.child.kill('SIGTERM');
  await dev?.finished;
  rmSync(folder, { recursive: true, force: true });
});

const into = (shadow: string, ...more: readonly string[]) =>
  cli('replay', '--segment', 'origin', '--into', shadow, '--events-max-bytes', '200MB', '--json', ...more);

async function compare(shadow: string): Promise<Comparison & { readonly code: number | null }> {
  const { code, out, err } = await cli('compare', 'origin', shadow, '--json', '--examples', '50');
  expect([0, 5], err).toContain(code);
  return { ...(JSON.parse(out) as Comparison), code };
}

describe('the own stream into a shadow', () => {
  it('with the same config comes to the same', async () => {
    const replayed = await into('same');
    expect(replayed.code, replayed.err).toBe(0);
    expect(JSON.parse(replayed.out)).toMatchObject({ sent: EVENTS, commands: 0, unreadable: 0 });
    const { code, counts, profiles, activations, examples } = await compare('same');
    expect({ code, examples }).toEqual({ code: 0, examples: [] });
    expect(Object.values(counts).every((count) => count === 0)).toBe(true);
    expect(profiles).toEqual({ first: PEOPLE, second: PEOPLE });
    expect(activations.first).toBeGreaterThan(10);
    expect(activations.second).toBe(activations.first);
  }, 60_000);

  it('with another config differs in what it changes, and in nothing else', async () => {
    const file = join(folder, 'next.yaml');
    // Nobody is joined by a customer id any more, and an order counts twice.
    writeFileSync(
      file,
      CONFIG.replace(
        '    - { name: customer_id, limit: 1 }\n',
        '    - { name: customer_id, limit: 1, observe_only: true }\n',
      )
        .replace('limit: 1, observe_only', 'observe_only')
        .replace('by: event.properties.paid', 'by: event.properties.paid * 2.0'),
    );
    const replayed = await into('next', '--config', file);
    expect(replayed.code, replayed.err).toBe(0);
    const { code, counts, profiles } = await compare('next');
    const joined = new Map<string, Set<string>>();
    for (const { keys } of eventsToSend()) {
      const person = keys.device!.split('-')[1]!;
      joined.set(person, (joined.get(person) ?? new Set()).add(keys.device!));
    }
    const withTwo = [...joined.values()].filter((devices) => devices.size === 2).length;
    expect(withTwo).toBeGreaterThan(30);
    expect(code).toBe(5);
    expect(counts).toMatchObject({ parted: withTwo, joined: 0, only_first: 0, only_second: 0 });
    expect(profiles.second - profiles.first).toBe(withTwo);
  }, 60_000);

  it('ended on the way goes on where it was', async () => {
    const first = await into('halted', '--to-seq', '700');
    expect(first.code, first.err).toBe(0);
    const rest = await into('halted');
    expect(JSON.parse(rest.out)).toMatchObject({ resumedAfter: expect.any(Number) });
    expect(
      (JSON.parse(first.out) as { sent: number }).sent + (JSON.parse(rest.out) as { sent: number }).sent,
    ).toBe(EVENTS);
    expect((await compare('halted')).code).toBe(0);
  }, 60_000);

  it('is read from the archive where the log has given it up', async () => {
    const door = await connectNats({ url: handle.natsUrl, name: 'shadow test' });
    try {
      const names = segmentNames('origin');
      const { firstSequence, lastSequence } = await readLogState(door, names);
      const store = createRecordStore(door, names);
      await eventually('all of it is archived', async () => {
        const record = (await store.read([recordKeys.archive], 'leader')).get(recordKeys.archive);
        return record?.value != null && decodeArchiveRecord(record.value).position >= lastSequence;
      });
      await createOutboxCopies(door, names).purgeLog(Math.floor((firstSequence + lastSequence) / 2));
    } finally {
      await door.close();
    }
    const replayed = await into('archived');
    expect(replayed.code, replayed.err).toBe(0);
    expect(JSON.parse(replayed.out)).toMatchObject({ sent: EVENTS });
    expect((await compare('archived')).code).toBe(0);
    const one = await into('archived-one', '--only', 'device:d-3-0', '--only', 'device:d-3-1');
    const wanted = eventsToSend().filter(({ keys }) => keys.device!.startsWith('d-3-')).length;
    expect(JSON.parse(one.out)).toMatchObject({ sent: wanted });
  }, 60_000);

  it('refuses the live segment, and nothing runs a shadow or removes a live one', async () => {
    expect((await into('origin')).err).toContain('is the live segment');
    expect((await cli('replay', '--segment', 'origin')).code).toBe(2);
    expect((await cli('segment', 'rm', 'origin', '--yes')).err).toContain('is a live segment');
    const worker = await cli('worker', '--segment', 'same');
    expect(worker.code).not.toBe(0);
    expect(worker.err).toContain('is a shadow of origin');
    expect((await cli('segment', 'rm', 'same')).code).toBe(2);
    expect((await cli('segment', 'rm', 'same', '--yes')).code).toBe(0);
    expect((await cli('compare', 'origin', 'same')).code).toBe(3);
  }, 60_000);
});

describe('a new attribute', () => {
  it('is counted from the log for all profiles when it is applied with --rebuild', async () => {
    const file = join(folder, 'rebuilt.yaml');
    writeFileSync(
      file,
      CONFIG.replace(
        'audiences:',
        '  - { name: orders, type: counter, on: bought, total: true }\n  - { name: dearest, type: max, on: bought, value: event.properties.paid }\naudiences:',
      ),
    );
    const applied = await cli('apply', file, '--segment', 'origin', '--yes', '--rebuild');
    expect(applied.code, applied.err).toBe(0);
    const expected = new Map<string, { orders: number; dearest: number }>();
    const seen = new Set<string>();
    for (const { messageId, name, keys, properties } of eventsToSend()) {
      if (seen.has(messageId) || name !== 'Bought') continue;
      seen.add(messageId);
      const person = keys.device!.split('-')[1]!;
      const { orders, dearest } = expected.get(person) ?? { orders: 0, dearest: Number.NEGATIVE_INFINITY };
      expected.set(person, { orders: orders + 1, dearest: Math.max(dearest, properties.paid as number) });
    }
    expect(expected.size).toBeGreaterThan(10);
    for (const [person, values] of expected) {
      const answer = await fetch(`${handle.url}/v1/profiles/customer_id/c-${person}`, {
        headers: { authorization: `Bearer ${handle.adminKey}` },
      });
      expect(((await answer.json()) as { attributes: object }).attributes, person).toMatchObject(values);
    }
  }, 60_000);
});

describe('a file of long ago into a shadow', () => {
  const LINES = gunzipSync(readFileSync(RETAIL))
    .toString('utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((text) => text.split(','))
    .slice(0, 6000);
  const SHOP = `segment: shop
stitching:
  keys:
    - { name: customer_id, limit: 1 }
    - { name: invoice, kind: device, limit: 1000 }
  max_keys_per_profile: 1000
  retention: { anonymous: forever, known: forever }
events: [{ name: line, when: 'event.name == "Line"' }]
attributes:
  - { name: units, type: counter, on: line, by: event.properties.qty, total: true, windows: [1d, 30d] }
  - { name: products, type: counter, on: line, distinct: event.properties.stock, total: true }
  - { name: last_product, type: single, on: line, value: event.properties.stock }
  - { name: orders, type: counter, on: line, when: 'event.properties.event == "purchase"', distinct: event.properties.invoice, total: true }
  - { name: revenue, type: counter, on: line, when: 'event.properties.event == "purchase"', by: event.properties.qty * event.properties.price, total: true }
  - { name: cancelled, type: counter, on: line, when: 'event.properties.event == "cancel"', by: event.properties.qty, total: true }
`;

  interface Counted {
    units: number;
    day: number;
    cancelled: number;
    revenue: number;
    newestMs: number;
    readonly products: Set<string>;
    readonly orders: Set<string>;
    /** Those of the newest lines: one of them is the last. */
    readonly last: Set<string>;
  }

  /** Counted from the file, by customer; `day`: in the day before `endMs`. */
  function expectedAt(endMs: number): ReadonlyMap<string, Counted> {
    const known = LINES.filter(([, at, , customer]) => customer !== '' && Date.parse(at!) <= endMs);
    const customers = new Map<string, Counted>();
    const bucket = 86_400_000 / 60;
    for (const [, at, invoice, customer, event, stock, qty, price] of known) {
      const sum = customers.get(customer!) ?? {
        ...{ units: 0, day: 0, cancelled: 0, revenue: 0, newestMs: 0 },
        ...{ products: new Set<string>(), orders: new Set<string>(), last: new Set<string>() },
      };
      const atMs = Date.parse(at!);
      sum.units += Number(qty);
      if ((Math.floor(atMs / bucket) + 1) * bucket > endMs - 86_400_000) sum.day += Number(qty);
      sum.products.add(stock!);
      if (event === 'purchase') {
        sum.orders.add(invoice!);
        sum.revenue += Number(qty) * Number(price);
      } else sum.cancelled += Number(qty);
      if (atMs > sum.newestMs) sum.last.clear();
      sum.newestMs = Math.max(sum.newestMs, atMs);
      if (atMs === sum.newestMs) sum.last.add(stock!);
      customers.set(customer!, sum);
    }
    return customers;
  }

  it.each(['2010-12-01T12:00:00Z', '2010-12-02T09:30:00Z', '2010-12-03T00:00:00Z'])(
    'has the totals and windows of %s',
    async (end) => {
      const endMs = Date.parse(end);
      const rows = LINES.filter(([, at]) => Date.parse(at!) <= endMs);
      const csv = join(folder, `retail-${endMs}.csv`);
      writeFileSync(
        csv,
        ['seq,ts,invoice,customer,event,stock,qty,price,country', ...rows.map((row) => row.join(','))].join(
          '\n',
        ),
      );
      writeFileSync(join(folder, 'shop.yaml'), SHOP);
      const shadow = `retail-${String(endMs).slice(3, 9)}`;
      const replayed = await cli(
        ...['replay', csv, '--segment', 'origin', '--into', shadow, '--config', join(folder, 'shop.yaml')],
        ...[
          '--until',
          end,
          '--events-max-bytes',
          '200MB',
          '--set',
          'name=Line',
          '--map',
          'keys.invoice=invoice',
        ],
        ...[
          '--map',
          'keys.customer_id=customer',
          '--map',
          'properties.qty=qty:number',
          '--map',
          'properties.stock=stock',
          '--map',
          'properties.price=price:number',
        ],
        ...['--map', 'properties.event=event', '--map', 'properties.invoice=invoice'],
        ...['--map', 'timestamp=ts', '--json'],
      );
      expect(replayed.code, replayed.err).toBe(0);
      const found = await profilesAt(shadow, endMs);
      const expected = expectedAt(endMs);
      expect(expected.size).toBeGreaterThan(30);
      expect([...expected.values()].some(({ cancelled }) => cancelled < 0)).toBe(true);
      for (const [customer, { units, day, cancelled, revenue, products, orders, last }] of expected) {
        const attributes = found.get(customer);
        expect(attributes, customer).toMatchObject({
          ...{ units: { '1d': day, '30d': units, total: units }, products: products.size },
          ...{ orders: orders.size, cancelled },
        });
        expect(attributes!.revenue, customer).toBeCloseTo(revenue, 4);
        expect(last, customer).toContain(attributes!.last_product);
      }
    },
    60_000,
  );
});

/** Attributes by customer, as the profiles of a segment show them at a time. */
async function profilesAt(
  segment: string,
  nowMs: number,
): Promise<ReadonlyMap<string, Readonly<Record<string, unknown>>>> {
  const { readProfiles } = await import('../../infra/shadow/compare.ts');
  const { createConfigStore } = await import('../../shared/nats/config-store.ts');
  const { readSegmentText } = await import('../../infra/segment-files.ts');
  const { viewProfile } = await import('../../actors/profile/view.ts');
  const door = await connectNats({ url: handle.natsUrl, name: 'shadow test' });
  try {
    const names = segmentNames(segment);
    const { config } = readSegmentText((await createConfigStore(door, names).current())!.yaml).source!;
    const profiles = await readProfiles(door, names);
    return new Map(
      profiles.flatMap((profile) => {
        const customer = profile.keys.customer_id?.[0]?.value;
        return customer === undefined
          ? []
          : [[customer, viewProfile(profile, config, nowMs).attributes] as const];
      }),
    );
  } finally {
    await door.close();
  }
}
