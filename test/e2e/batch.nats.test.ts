// Snapshot tables through the whole system: loaded from files while events flow, joined at a customer's next event and at once
// for readers, never mixed between runs, joined anew when keys come or people merge.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openDuck } from '../../batch/duck.ts';
import type { DevHandle } from '../../shared/settings.ts';
import { eventually } from '../support/segment.ts';
import { ensureBuilt, type Finished, type Running, runCliProcess, startCli } from './cli-process.ts';

const CONFIG = `segment: batch
stitching:
  keys:
    - { name: customer_id, limit: 1, normalize: [trim, lowercase] }
    - { name: device, kind: device, limit: 100 }
events:
  - { name: viewed, when: 'event.name == "Viewed"' }
attributes:
  - { name: views, type: counter, on: viewed, total: true }
  - { name: worth, type: computed, value: 'profile.crm.lifetime_spend + double(profile.views)' }
batch:
  tables:
    - { name: crm, key: customer_id, attributes: { tier: string, lifetime_spend: number, active: boolean, since: timestamp, tags: list } }
    - { name: scores, key: customer_id, join: at_once, attributes: { churn: number } }
catalogs:
  - { name: products, key: sku, attributes: { title: string, stock: number } }
audiences:
  - { name: leaving, when: 'profile.scores.churn > 0.5' }
  - { name: gold, when: 'profile.crm.tier == "Gold"' }
activations:
  - { name: offer, payload: { tier: '{{ profile.crm.tier }}' } }
  - { name: stay, payload: { churn: '{{ profile.scores.churn }}' } }
triggers:
  - { name: hold, on: { entered: leaving }, activate: stay }
  - { name: greet, on: viewed, when: 'profile.crm.tier == "Gold"', activate: offer }
`;

interface Profile {
  readonly id: string;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly batch: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly audiences: readonly string[];
}

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-batch-'));
let dev: Running;
let handle: DevHandle;
const env: Record<string, string> = {};
const cli = (...args: readonly string[]): Promise<Finished> => runCliProcess(args, env);
let sent = 0;

async function send(keys: Readonly<Record<string, string>>): Promise<void> {
  const answer = await fetch(`${handle.url}/v1/events?wait=commit`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${handle.writeKey}` },
    body: JSON.stringify({ messageId: `m${++sent}`, name: 'Viewed', keys }),
  });
  expect(answer.status, await answer.clone().text()).toBe(200);
}

async function profile(key: string, value: string): Promise<Profile> {
  const answer = await fetch(`${handle.url}/v1/profiles/${key}/${value}`, {
    headers: { authorization: `Bearer ${handle.adminKey}` },
  });
  expect(answer.status).toBe(200);
  return (await answer.json()) as Profile;
}

/** Waits until readers have heard of a run. */
async function untilTier(customer: string, tier: string | undefined): Promise<Profile> {
  for (const end = performance.now() + 5_000; ; ) {
    const found = await profile('customer_id', customer);
    if (found.batch.crm?.tier === tier || performance.now() > end) {
      expect(found.batch.crm?.tier).toBe(tier);
      return found;
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function load(name: string, text: string, ...more: readonly string[]): Promise<Finished> {
  const file = join(folder, name);
  writeFileSync(file, text);
  return cli('batch', 'load', 'crm', file, '--segment', 'batch', '--json', ...more);
}

beforeAll(async () => {
  ensureBuilt();
  const file = join(folder, 'batch.yaml');
  writeFileSync(file, CONFIG);
  const flags = ['--shards', '4', '--events-max-bytes', '100MB', '--json', '--config', file];
  dev = startCli(['dev', '--port', '0', '--data-dir', join(folder, 'data'), ...flags]);
  handle = JSON.parse(await dev.line()) as DevHandle;
  Object.assign(env, {
    NATS_URL: handle.natsUrl,
    STITCHWORK_URL: handle.url,
    STITCHWORK_ADMIN_KEY: handle.adminKey,
  });
}, 60_000);

afterAll(async () => {
  dev?.child.kill('SIGTERM');
  await dev?.finished;
  rmSync(folder, { recursive: true, force: true });
});

describe('a snapshot', () => {
  it('is read at once, and joined at the next event: conditions, audiences and payloads see it', async () => {
    await send({ customer_id: 'ann', device: 'd-ann' });
    expect(await profile('customer_id', 'ann')).toMatchObject({
      attributes: { views: 1 },
      batch: {},
      audiences: [],
    });
    const loaded = await load(
      'one.csv',
      'customer,tier,lifetime_spend,active,since,tags\n ANN ,Gold,120.5,true,2020-05-01,a|b\nbob,Silver,3,false,,\n',
      ...['--key-column', 'customer', '--as-of', '2026-01-01T00:00:00Z'],
    );
    expect(loaded.code, loaded.err).toBe(0);
    expect(JSON.parse(loaded.out)).toMatchObject({ run: 1, rows: 2, written: 2, removed: 0, unusable: 0 });
    const read = await untilTier('ann', 'Gold');
    expect(read).toMatchObject({
      attributes: { views: 1, worth: 121.5 },
      batch: {
        crm: {
          tier: 'Gold',
          lifetime_spend: 120.5,
          active: true,
          since: '2020-05-01T00:00:00.000Z',
          tags: ['a', 'b'],
          snapshotAt: '2026-01-01T00:00:00.000Z',
        },
      },
    });
    await send({ device: 'd-ann' });
    expect(await profile('device', 'd-ann')).toMatchObject({
      audiences: ['gold'],
      attributes: { worth: 122.5 },
    });
    const { out } = await cli('tail', 'activations', '--segment', 'batch', '--all', '--no-follow', '--json');
    const activations = out.split('\n').filter((line) => line !== '');
    expect(activations).toHaveLength(1);
    expect(activations[0]).toContain('"tier":"Gold"');
  });

  it('that is loaded again writes what has changed, and removes what is gone', async () => {
    const loaded = await load(
      'two.ndjson',
      `${JSON.stringify({ customer_id: 'ann', tier: 'Silver', lifetime_spend: 130 })}\n${JSON.stringify({ customer_id: 'cat', tier: 'Gold' })}\n`,
    );
    expect(JSON.parse(loaded.out)).toMatchObject({ run: 2, rows: 2, written: 2, removed: 1 });
    await untilTier('ann', 'Silver');
    await send({ customer_id: 'ann' });
    expect(await profile('customer_id', 'ann')).toMatchObject({ audiences: [] });
    await send({ customer_id: 'bob' });
    expect((await profile('customer_id', 'bob')).batch).toEqual({});
    const again = await load(
      'three.ndjson',
      `${JSON.stringify({ customer_id: 'cat', tier: 'Gold' })}\n${JSON.stringify({ customer_id: 'ann', lifetime_spend: 130, tier: 'Silver' })}\n`,
    );
    expect(JSON.parse(again.out)).toMatchObject({ run: 3, rows: 2, written: 0, removed: 0 });
  });

  it('is joined when the key comes, and by the survivor of a merge', async () => {
    await send({ device: 'd-cat' });
    expect((await profile('device', 'd-cat')).batch).toEqual({});
    await send({ customer_id: 'cat', device: 'd-cat' });
    expect(await profile('device', 'd-cat')).toMatchObject({
      batch: { crm: { tier: 'Gold' } },
      audiences: ['gold'],
      attributes: { views: 2 },
    });
  });

  it('with rows that cannot be used tells them by line and loads the others', async () => {
    const loaded = await load(
      'four.csv',
      'customer_id,tier,lifetime_spend\nann,Silver,much\n,Gold,1\ncat,Gold,7\n',
    );
    expect(loaded.code).toBe(5);
    expect(loaded.err).toContain('line 2: lifetime_spend is "much", no number');
    expect(loaded.err).toContain('line 3: customer_id is no customer_id');
    expect(JSON.parse(loaded.out)).toMatchObject({ run: 4, rows: 1, unusable: 2 });
    const list = await cli('batch', 'list', '--segment', 'batch', '--json');
    expect(JSON.parse(list.out)).toMatchObject({
      tables: [
        { table: 'crm', key: 'customer_id', run: 4, rows: 1 },
        { table: 'scores', run: null },
        { table: 'products', run: null },
      ],
    });
    const strange = await cli('batch', 'load', 'crn', join(folder, 'four.csv'), '--segment', 'batch');
    expect([strange.code, strange.err]).toEqual([3, expect.stringContaining('did you mean crm?')]);
  });
});

describe('a refresh under load', () => {
  it('is seen by every profile in turn, never older again, and no event is lost', async () => {
    const people = Array.from({ length: 60 }, (_, i) => `p${i}`);
    const rows = (run: number) =>
      people.map((id) => JSON.stringify({ customer_id: id, tier: 'Blue', lifetime_spend: run })).join('\n');
    expect((await load('load-0.ndjson', rows(0))).code).toBe(0);
    const seen = new Map<string, number>();
    const counts = new Map<string, number>();
    let stop = false;
    const reading = (async () => {
      for (let i = 0; !stop; i++) {
        const id = people[i % people.length]!;
        await send({ customer_id: id });
        counts.set(id, (counts.get(id) ?? 0) + 1);
        const spend = (await profile('customer_id', id)).batch.crm?.lifetime_spend as number | undefined;
        expect(spend ?? 0, id).toBeGreaterThanOrEqual(seen.get(id) ?? 0);
        seen.set(id, spend ?? 0);
      }
    })();
    for (let run = 1; run <= 3; run++) expect((await load(`load-${run}.ndjson`, rows(run))).code).toBe(0);
    stop = true;
    await reading;
    const known = [...counts.keys()][0]!;
    await eventually('readers have heard of the last run', async () => {
      return (await profile('customer_id', known)).batch.crm?.lifetime_spend === 3;
    });
    for (const id of people) {
      const found = await profile('customer_id', id).catch(() => undefined);
      if (counts.has(id))
        expect(found).toMatchObject({
          attributes: { views: counts.get(id) },
          batch: { crm: { lifetime_spend: 3 } },
        });
    }
    expect(counts.size).toBeGreaterThan(20);
  }, 60_000);
});

describe('a table that is joined at once', () => {
  it('sets off what a changed row changes, without an event, once each', async () => {
    const people = Array.from({ length: 300 }, (_, i) => `risk-${i}`);
    for (const customer of people) await send({ customer_id: customer });
    const scores = (churn: (i: number) => number) =>
      ['customer_id,churn', ...people.map((customer, i) => `${customer},${churn(i)}`)].join('\n');
    const loadScores = async (name: string, text: string) => {
      const file = join(folder, name);
      writeFileSync(file, text);
      const loaded = await cli('batch', 'load', 'scores', file, '--segment', 'batch', '--json');
      expect(loaded.code, loaded.err).toBe(0);
    };
    await loadScores(
      'low.csv',
      scores(() => 0.1),
    );
    await loadScores(
      'risen.csv',
      scores((i) => (i % 3 === 0 ? 0.9 : 0.1)),
    );
    const size = async () => {
      const answer = await fetch(`${handle.url}/v1/audiences`, {
        headers: { authorization: `Bearer ${handle.adminKey}` },
      });
      const { audiences } = (await answer.json()) as { audiences: { name: string; size: number }[] };
      return audiences.find(({ name }) => name === 'leaving')?.size;
    };
    await eventually('a hundred are in', async () => (await size()) === 100, 20_000);
    await loadScores(
      'fallen.csv',
      scores(() => 0.2),
    );
    await eventually('nobody is in', async () => (await size()) === 0, 20_000);
    const { out } = await cli('tail', 'activations', '--segment', 'batch', '--all', '--no-follow', '--json');
    const stays = out.split('\n').filter((line) => line.includes('"stay"'));
    expect(stays).toHaveLength(100);
    expect(await profile('customer_id', 'risk-0')).toMatchObject({
      attributes: { views: 1 },
      batch: { scores: { churn: 0.2 } },
    });
  }, 60_000);
});

describe('a catalog', () => {
  it('is loaded as a table is, and read by key', async () => {
    const row = async (catalog: string, key: string) => {
      const answer = await fetch(`${handle.url}/v1/catalogs/${catalog}/${encodeURIComponent(key)}`, {
        headers: { authorization: `Bearer ${handle.adminKey}` },
      });
      const body = (await answer.json()) as {
        attributes?: object;
        error?: { code: string; message: string };
      };
      return { status: answer.status, ...body };
    };
    const loadProducts = async (name: string, text: string) => {
      const file = join(folder, name);
      writeFileSync(file, text);
      expect((await cli('batch', 'load', 'products', file, '--segment', 'batch', '--json')).code).toBe(0);
    };
    expect(await row('products', 'mat-1')).toMatchObject({ status: 404 });
    await loadProducts('products.csv', 'sku,title,stock\nmat-1,Yoga mat,12\n"a/b c",Odd,0\n');
    await eventually('it is in force', async () => (await row('products', 'mat-1')).status === 200);
    expect(await row('products', 'mat-1')).toMatchObject({ attributes: { title: 'Yoga mat', stock: 12 } });
    expect(await row('products', 'a/b c')).toMatchObject({ attributes: { title: 'Odd', stock: 0 } });
    await loadProducts('products-2.csv', 'sku,title,stock\nmat-1,Yoga mat,11\n');
    await eventually('the next is in force', async () => (await row('products', 'a/b c')).status === 404);
    expect(await row('products', 'mat-1')).toMatchObject({ attributes: { stock: 11 } });
    expect((await row('product', 'mat-1')).error?.message).toContain("did you mean 'products'");
  }, 30_000);
});

describe('a Parquet file', () => {
  it('is loaded with its types, and a rollback brings the run before back', async () => {
    const file = join(folder, 'crm.parquet');
    const duck = await openDuck({ memoryBytes: 200e6, threads: 1, tempFolder: folder });
    await duck.use((connection) =>
      connection.run(`COPY (SELECT 'parker' AS customer_id, 'Gold' AS tier, 12.5::DECIMAL(9,2) AS lifetime_spend,
        true AS active, TIMESTAMP '2024-02-29 10:00:00' AS since, ['a', 'b'] AS tags
        UNION ALL SELECT 'piper', 'Silver', 7, NULL, NULL, NULL) TO '${file}' (FORMAT parquet)`),
    );
    duck.close();
    await send({ customer_id: 'parker' });
    const loaded = await cli('batch', 'load', 'crm', file, '--segment', 'batch', '--json');
    expect(loaded.code, loaded.err).toBe(0);
    expect(JSON.parse(loaded.out)).toMatchObject({ rows: 2, written: 2, unusable: 0 });
    const { batch } = await untilTier('parker', 'Gold');
    expect(batch.crm).toMatchObject({
      lifetime_spend: 12.5,
      active: true,
      since: '2024-02-29T10:00:00.000Z',
      tags: ['a', 'b'],
    });
    const back = await cli('batch', 'rollback', 'crm', '--segment', 'batch', '--json');
    expect(back.code, back.err).toBe(0);
    await untilTier('parker', undefined);
    expect((await cli('batch', 'rollback', 'crn', '--segment', 'batch')).err).toContain('did you mean crm');
    writeFileSync(file, 'no Parquet');
    const broken = await cli('batch', 'load', 'crm', file, '--segment', 'batch');
    expect(broken.code).not.toBe(0);
    expect(broken.err).toContain('cannot be read as Parquet');
  }, 30_000);
});
