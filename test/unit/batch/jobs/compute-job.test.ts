// What a job sees and what becomes of its result, over a real archive.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ComputeRig } from './compute-rig.ts';
import { T0 } from './rig.ts';

const HOUR_MS = 3_600_000;
const CONFIG = `segment: shop
stitching:
  keys:
    - { name: customer_id, limit: 1, normalize: [trim, lowercase] }
    - { name: device, kind: device, limit: 100 }
events:
  - { name: viewed, when: 'event.name == "Viewed"' }
attributes:
  - { name: views, type: counter, on: viewed, total: true }
batch:
  tables:
    - { name: test, key: customer_id, attributes: { a: number } }
    - { name: crm, key: customer_id, attributes: { tier: string, spend: number, vip: boolean, since: timestamp, tags: list } }
`;
const NOW = T0 + 10 * HOUR_MS;
let rig: ComputeRig;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'stitchwork-modules-'));
  rig = await ComputeRig.open(CONFIG);
  rig.add({ name: 'Viewed', keys: { device: 'd1' }, properties: { n: 1 }, atMs: T0 });
  rig.add({
    name: 'Viewed',
    keys: { device: 'd1' },
    properties: { n: 2 },
    atMs: T0 + 1000,
    messageId: 'again',
  });
  rig.add({
    name: 'Viewed',
    keys: { device: 'd1' },
    properties: { n: 2 },
    atMs: T0 + 2000,
    messageId: 'again',
  });
  rig.add({ name: 'Signed In', keys: { device: 'd1', customer_id: ' ANN ' }, atMs: T0 + 3000 });
  rig.add({ name: 'Viewed', keys: { customer_id: 'Bob' }, atMs: T0 + HOUR_MS });
  rig.add({ name: 'Viewed', keys: { device: 'nobody' }, atMs: T0 + HOUR_MS });
  await rig.archive();
  rig.add({ name: 'Viewed', keys: { customer_id: 'late' }, atMs: T0 + 2 * HOUR_MS });
}, 30_000);

afterAll(async () => {
  await rig.close();
  await rm(folder, { recursive: true, force: true });
});

const sql = (body: string, part = {}) => rig.run({ body, ...part }, NOW);
/** The values of one column, as rows a1, a2 … of the table. */
const values = async (query: string) => {
  const numbered = `SELECT 'r' || row_number() OVER () AS key, x::DOUBLE AS a FROM (${query}) AS q(x)`;
  return Object.values((await sql(numbered)).table).map(({ a }) => a);
};

describe('SQL', () => {
  it('sees each event of the archive once', async () => {
    expect(await values('SELECT count(*) FROM events')).toEqual([5]);
    expect(await values('SELECT count(*) FROM raw_events')).toEqual([6]);
    expect(
      await values(
        "SELECT properties->>'n' FROM events WHERE keys->>'device' = 'd1' AND name = 'Viewed' ORDER BY 1",
      ),
    ).toEqual([1, 2]);
    expect(await values('SELECT epoch_ms(max(event_time)) - epoch_ms(min(event_time)) FROM events')).toEqual([
      HOUR_MS,
    ]);
    expect(await values('SELECT max(sequence) FROM events')).toEqual([6]);
    rig.through = 4;
    expect(await values('SELECT max(sequence) FROM raw_events')).toEqual([4]);
    rig.through = undefined;
  });

  it('sees profiles and links as they are now, and whose an event is by any of its keys', async () => {
    expect(await values('SELECT count(*) FROM profiles')).toEqual([4]);
    expect(await values("SELECT attributes->>'views' FROM profiles ORDER BY 1")).toEqual([1, 1, 1, 2]);
    expect(await values("SELECT count(DISTINCT profile_id) FROM links WHERE value IN ('ann', 'd1')")).toEqual(
      [1],
    );
    expect(await values('SELECT count(*) FROM links')).toEqual([5]);
    const ran =
      await sql(`SELECT links.value AS customer_id, count(*) AS a FROM profile_events JOIN links USING (profile_id)
      WHERE name = 'Viewed' AND key_name = $key GROUP BY ALL`);
    expect(ran.table).toEqual({ ann: { a: 2 }, bob: { a: 1 } });
  });

  it('sees rows in force of tables', async () => {
    rig.inForce.crm = [
      {
        key: 'ann',
        values: { tier: 'Gold', spend: 1.5, vip: true, since: '2020-01-01T00:00:00.000Z', tags: ['a', 'b'] },
      },
      { key: 'bob', values: { tier: 'Old' } },
      { key: undefined, values: { tier: 'Long' } },
      { key: 'bob', values: { tier: 'Blue' } },
    ];
    const ran =
      await sql(`SELECT customer_id, spend + len(tags) + epoch_ms(since) AS a FROM results.crm WHERE vip AND tier = 'Gold'
      UNION ALL SELECT customer_id, 7 FROM results.crm WHERE tier = 'Blue'`);
    expect(ran.table).toEqual({ ann: { a: 3.5 + Date.parse('2020-01-01') }, bob: { a: 7 } });
  });

  it('is told the time of the run and the position, and has parameters', async () => {
    expect(await values('SELECT epoch_ms($now)')).toEqual([NOW]);
    expect(await values('SELECT $through')).toEqual([6]);
    const ran = await sql('SELECT $who AS key, $n + 1 AS a', { params: { who: 'x', n: 2 } });
    expect(ran.table).toEqual({ x: { a: 3 } });
  });

  it('may be several statements, the last of which gives the rows', async () => {
    const ran = await sql(`CREATE TABLE t AS SELECT 'x' AS key; CREATE MACRO twice(n) AS 2 * n;
      SELECT key, twice(4) AS a FROM t`);
    expect(ran.table).toEqual({ x: { a: 8 } });
    await expect(sql('SELECT 1; CREATE TABLE t (a INTEGER)')).rejects.toThrow(
      'the last statement must be a query',
    );
    await expect(sql('-- nothing')).rejects.toThrow('there is no statement');
  });

  it('with a mistake fails with what DuckDB says, and its line', async () => {
    await expect(sql('\n\nSELECT nothing AS key, 1 AS a FROM events')).rejects.toThrow(
      /nothing[\s\S]*LINE 3/,
    );
  });

  it('leaves out rows whose key identifies nobody, and tells', async () => {
    const ran = await sql("SELECT unnest(['x', NULL, 'null']) AS key, 1 AS a");
    expect(ran).toMatchObject({ rows: 1, unusable: 2, table: { x: { a: 1 } } });
    expect(ran.log).toContain('a row is left out: customer_id is null');
  });

  it('beyond its memory fails, and one that is aborted ends', async () => {
    const large =
      'SELECT key, a FROM (SELECT list(range::VARCHAR) AS l FROM range(50000000)), (SELECT 1 AS key, 1 AS a)';
    await expect(sql(`${large} WHERE len(l) > 0`, { memoryBytes: 50e6 })).rejects.toThrow(/memory/i);
    const over = new AbortController();
    const endless = 'SELECT 1 AS key, sum(a.range * b.range) AS a FROM range(1000000) a, range(1000000) b';
    const running = rig.run({ body: endless }, NOW, over.signal);
    setTimeout(() => over.abort(new Error('enough')), 100);
    await expect(running).rejects.toThrow('enough');
  }, 60_000);
});

describe('a run', () => {
  it('waits for a load that somebody else has begun', async () => {
    rig.conflicts = 2;
    const ran = await sql("SELECT 'x' AS key, 1 AS a");
    expect(ran.table).toEqual({ x: { a: 1 } });
    expect(ran.log.filter((line) => line.startsWith('waiting'))).toEqual([
      'waiting: another load is under way',
    ]);
  });
});

describe('a run that another process has taken over', () => {
  it('brings nothing into force, whenever that is found out', async () => {
    for (const asked of [1, 2]) {
      let asks = 0;
      rig.confirm = async () => {
        if (++asks === asked) throw new Error('lost');
      };
      const before = rig.loaded;
      await expect(sql("SELECT 'x' AS key, 1 AS a")).rejects.toThrow('lost');
      expect(rig.loaded).toBe(before);
    }
    rig.confirm = async () => {};
  });
});

describe('a module', () => {
  async function module_(text: string, part = {}, signal?: AbortSignal) {
    const path = join(folder, `${Math.floor(performance.now() * 1000)}.mjs`);
    await writeFile(path, text);
    return rig.run({ kind: 'module', path, body: text, ...part }, NOW, signal);
  }

  it('asks by SQL and gives rows, as many as it has', async () => {
    const ran = await module_(
      `export async function* run({ query, stream, params, key, now, through, log }) {
         const [{ n }] = await query('SELECT count(*) AS n FROM events WHERE name = $name', { name: 'Viewed' });
         log('viewed', n);
         for await (const { range } of stream('SELECT range FROM range(5000)')) yield { [key]: 'k' + range, a: range + params.more };
         yield { key: 'now', a: now.getTime() };
         yield { key: 'through', a: through };
       }`,
      { params: { more: 1 } },
    );
    expect(ran.log).toContain('viewed 4');
    expect(ran.rows).toBe(5002);
    expect(ran.table).toMatchObject({ k0: { a: 1 }, k4999: { a: 5000 }, now: { a: NOW }, through: { a: 6 } });
  });

  it('may give an array; what is wrong with it is told', async () => {
    expect((await module_("export const run = () => [{ key: 'x', a: 1 }]")).table).toEqual({ x: { a: 1 } });
    await expect(module_('export const runs = 1')).rejects.toThrow('the module exports no function run');
    await expect(module_('export const run = () => 1')).rejects.toThrow('run must give rows');
    await expect(module_('export const run = () => { throw new Error("bad luck") }')).rejects.toThrow(
      'bad luck',
    );
    await expect(module_("export const run = () => [{ key: 'x', b: 1 }]")).rejects.toThrow(
      'column b is none of',
    );
    await expect(
      module_("export async function* run({ query }) { await query('SELECT nothing'); }"),
    ).rejects.toThrow('nothing');
    await expect(module_('export const run = () => process.exit(3)')).rejects.toThrow('code 3');
  });

  it('that never gives way ends when its time is over, and one that takes too much memory fails', async () => {
    const over = new AbortController();
    const running = module_('export function run() { for (;;); }', {}, over.signal);
    setTimeout(() => over.abort(new Error('enough')), 200);
    await expect(running).rejects.toThrow('enough');
    const greedy =
      'export function run() { const all = []; for (;;) all.push(new Array(1000).fill(Math.random())); }';
    await expect(module_(greedy, { memoryBytes: 50e6 })).rejects.toThrow(/memory/);
  }, 60_000);
});

describe('files of the archive', () => {
  it('that are put together meanwhile stay for the run', async () => {
    const path = join(folder, 'remove.mjs');
    const query = "await query('SELECT count(*) AS n FROM events')";
    const text = `export async function* run({ query, log }) {
      const [before] = ${query};
      log('removed');
      await new Promise((resolve) => setTimeout(resolve, 100));
      const [after] = ${query};
      yield { key: 'before', a: before.n };
      yield { key: 'after', a: after.n };
    }`;
    await writeFile(path, text);
    const running = rig.run({ kind: 'module', path, body: text }, NOW, undefined, (line) => {
      if (line === 'removed') void rig.removeFiles();
    });
    expect((await running).table).toEqual({ before: { a: 5 }, after: { a: 5 } });
    await expect(values('SELECT count(*) FROM events')).rejects.toThrow(/ENOENT/);
  });
});
