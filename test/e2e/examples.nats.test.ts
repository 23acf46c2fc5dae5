// The shipped examples as they are, but for shorter waits and a receiver of our own: what each promises in its first lines.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DevHandle } from '../../shared/settings.ts';
import { eventually } from '../support/segment.ts';
import { ensureBuilt, type Running, runCliProcess, startCli } from './cli-process.ts';

const EXAMPLES = join(import.meta.dirname, '../../infra/examples');
const SHORTER: readonly (readonly [string, string])[] = [
  ['{ wait: 30m }', '{ wait: 1s }'],
  ['{ wait: 10m }', '{ wait: 1s }'],
  ['at_most: 24h', 'at_most: 1s'],
  ['at_most: 2h', 'at_most: 2s'],
];
const SECRET = `whsec_${Buffer.from('a secret of the examples').toString('base64')}`;

interface Received {
  readonly path: string;
  readonly name: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly payload: Readonly<Record<string, unknown>>;
}

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-examples-'));
const received: Received[] = [];
let receiver: Server;
let dev: Running;
let handle: DevHandle;
let sent = 0;

beforeAll(async () => {
  ensureBuilt();
  receiver = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    request.on('end', () => {
      received.push({ path: request.url!, ...(JSON.parse(text) as Omit<Received, 'path'>) });
      response.end();
    });
  });
  await new Promise<void>((resolve) => void receiver.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  const files = readdirSync(EXAMPLES).map((name) => {
    let yaml = readFileSync(join(EXAMPLES, name), 'utf8').replace(/https:\/\/\w+\.example/g, url);
    for (const [long, short] of SHORTER) yaml = yaml.replaceAll(long, short);
    writeFileSync(join(folder, name), yaml);
    return join(folder, name);
  });
  const configs = files.flatMap((file) => ['--config', file]);
  const flags = ['--shards', '4', '--events-max-bytes', '50MB', '--json', '--allow-network', '127.0.0.0/8'];
  const secrets = ['CRM_SECRET', 'STORES_SECRET', 'SUPPORT_SECRET', 'SITE_SECRET'];
  const env = Object.fromEntries(secrets.map((name) => [name, SECRET]));
  dev = startCli(['dev', '--port', '0', '--data-dir', join(folder, 'data'), ...flags, ...configs], env);
  handle = JSON.parse(await dev.line()) as DevHandle;
}, 60_000);

afterAll(async () => {
  dev?.child.kill('SIGTERM');
  await dev?.finished;
  receiver?.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Sends events one after another, each committed before the next. */
async function send(
  segment: string,
  keys: Readonly<Record<string, string>>,
  ...events: readonly (readonly [name: string, properties?: Readonly<Record<string, unknown>>])[]
): Promise<void> {
  for (const [name, properties = {}] of events) {
    const answer = await fetch(`${handle.url}/v1/events?wait=commit&segment=${segment}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${handle.writeKey}` },
      body: JSON.stringify({ messageId: `m-${++sent}`, name, keys, properties }),
    });
    expect(answer.status, await answer.clone().text()).toBe(200);
  }
}

async function get(path: string): Promise<Record<string, unknown>> {
  const answer = await fetch(`${handle.url}${path}`, {
    headers: { authorization: `Bearer ${handle.adminKey}` },
  });
  expect(answer.status, await answer.clone().text()).toBe(200);
  return (await answer.json()) as Record<string, unknown>;
}

/** What arrived at a path, as `activation value-of-a-key`, when nobody waits inside a journey any more. */
async function arrived(
  segment: string,
  path: string,
  key: string,
  count: number,
): Promise<readonly string[]> {
  await eventually(`${count} for ${segment}`, () => at(path).length >= count, 20_000);
  await eventually(
    `nobody is inside of ${segment}`,
    async () => {
      const { journeys } = (await get(`/v1/journeys?segment=${segment}`)) as {
        journeys: readonly { readonly inside: number }[];
      };
      return journeys.every(({ inside }) => inside === 0);
    },
    20_000,
  );
  return at(path)
    .map(({ name, keys }) => `${name} ${keys[key]}`)
    .sort();
}

const at = (path: string) => received.filter((one) => one.path === path);

/** A zone in which it is about this hour now. */
function zoneWith(hour: number): string {
  const west = ((((new Date().getUTCHours() - hour) % 24) + 36) % 24) - 12;
  return west === 0 ? 'UTC' : `Etc/GMT${west > 0 ? '+' : '-'}${Math.abs(west)}`;
}

describe('the examples', () => {
  it('abandoned cart', async () => {
    const segment = 'abandoned-cart';
    const put = (product_id: string, price: number) =>
      ['Product Added', { product_id, price, quantity: 1 }] as const;
    const agrees = (hour: number) =>
      ['Settings Changed', { mails: true, time_zone: zoneWith(hour) }] as const;
    await send(segment, { email: 'ann@x.org', device: 'ann' }, agrees(12), put('a', 40), put('b', 20));
    await send(segment, { device: 'bob' }, put('a', 400));
    await send(segment, { email: 'cid@x.org', device: 'cid' }, agrees(12), put('a', 90), ['Order Completed']);
    await send(segment, { email: 'dot@x.org', device: 'dot' }, agrees(2), put('a', 90));
    const told = (await arrived(segment, '/hooks/carts', 'device', 2)).filter(
      (one) => !one.startsWith('cart_text'),
    );
    expect(told).toEqual(['cart_mail ann', 'cart_push bob']);
    expect(at('/hooks/carts').find(({ name }) => name === 'cart_mail')?.payload).toMatchObject({
      email: 'ann@x.org',
      total: 60,
    });
    const { held } = await get(`/v1/profiles/device/dot?segment=${segment}`);
    expect(held).toMatchObject([{ activation: 'cart_mail' }]);
  }, 60_000);

  it('loyalty milestones', async () => {
    const segment = 'loyalty-milestones';
    const order = (revenue: number) => ['Order Completed', { revenue }] as const;
    await send(segment, { customer_id: 'ann' }, order(40), order(80), order(10));
    await send(segment, { customer_id: 'bob' }, order(1200), order(1), order(1), order(1), order(1));
    const expires = new Date(Date.now() + 7 * 86_400_000 + 1500).toISOString();
    await send(segment, { customer_id: 'cid' }, ['Points Granted', { expire_at: expires }]);
    expect(await arrived(segment, '/hooks/loyalty', 'customer_id', 4)).toEqual([
      'club_welcome bob',
      'milestone ann',
      'milestone bob',
      'points_expire cid',
    ]);
  }, 60_000);

  it('store visit', async () => {
    const segment = 'store-visit';
    const file = join(folder, 'crm.csv');
    writeFileSync(file, 'customer_id,tier,next_best_offer\nann,Gold,yoga mat\nbob,Silver,socks\n');
    const loaded = await runCliProcess(['batch', 'load', 'crm', file, '--segment', segment], {
      NATS_URL: handle.natsUrl,
    });
    expect(loaded.code, loaded.err).toBe(0);
    await eventually('workers know of the table', async () => {
      await send(segment, { customer_id: 'ann', app_id: 'a1' }, ['App Opened']);
      const { batch } = await get(`/v1/profiles/customer_id/ann?segment=${segment}`);
      return (batch as { crm?: object }).crm !== undefined;
    });
    const enters = ['Store Entered', { store: 'Berlin 3' }] as const;
    await send(segment, { customer_id: 'ann', app_id: 'a1' }, enters, enters);
    await send(segment, { customer_id: 'bob', app_id: 'b1' }, enters, ['Store Purchase']);
    expect(await arrived(segment, '/hooks/visits', 'customer_id', 3)).toEqual([
      'assistant ann',
      'survey ann',
      'thanks bob',
    ]);
    expect(at('/hooks/visits').find(({ name }) => name === 'assistant')?.payload).toEqual({
      ...{ store: 'Berlin 3', tier: 'Gold', offer: 'yoga mat', visits: 1 },
    });
  }, 60_000);

  it('stuck form', async () => {
    const segment = 'stuck-form';
    const fails = ['Form Error', { field: 'iban' }] as const;
    const starts = ['Form Started', { form: 'loan' }] as const;
    await send(segment, { session: 'ann' }, starts, fails, fails, fails, fails);
    await send(segment, { session: 'bob', email: 'bob@x.org' }, starts, fails);
    await send(segment, { session: 'cid' }, starts, ['Form Submitted']);
    // Ann was offered help at once: that is her one for the day.
    expect(await arrived(segment, '/hooks/forms', 'session', 2)).toEqual(['chat ann', 'help_mail bob']);
    expect(at('/hooks/forms').find(({ name }) => name === 'chat')?.payload).toEqual({
      ...{ field: 'iban', form: 'loan' },
    });
  }, 60_000);

  it('in-session offer', async () => {
    const segment = 'in-session-offer';
    const views = Array.from({ length: 5 }, () => ['Product Viewed', { category: 'yoga' }] as const);
    await send(segment, { cookie: 'ann' }, ['Product Added', { product_id: 'p', price: 120 }], ...views);
    await send(segment, { cookie: 'bob' }, ...views);
    await send(segment, { cookie: 'cid' }, ['Order Completed'], ...views);
    expect(await arrived(segment, '/hooks/offers', 'cookie', 2)).toEqual(['advice bob', 'discount ann']);
  }, 60_000);
});
