// Reports over the whole system: queries of the README against independent counts, and what a query may not do.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DevHandle } from '../../shared/settings.ts';
import { eventually } from '../support/segment.ts';
import { ensureBuilt, type Finished, type Running, runCliProcess, startCli } from './cli-process.ts';

const CONFIG = `segment: shop
stitching:
  keys:
    - { name: customer_id, limit: 1 }
    - { name: device, kind: device, limit: 100 }
events:
  - { name: ordered, when: 'event.name == "Order Completed"' }
attributes:
  - { name: spend, type: counter, on: ordered, by: event.properties.revenue, total: true }
audiences:
  - { name: buyers, when: 'profile.spend >= 1.0' }
  - { name: big, when: 'profile.spend >= 100.0' }
activations:
  - { name: thanks, payload: { spend: '{{ profile.spend }}' } }
triggers:
  - { name: thank, on: { entered: big }, activate: thanks }
`;
const PROFILES = 10;

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-reports-'));
const dataDir = join(folder, 'data');
let dev: Running;
const env: Record<string, string> = {};
const cli = (...args: readonly string[]): Promise<Finished> => runCliProcess(args, env);
const query = (sql: string, ...flags: readonly string[]) =>
  cli('batch', 'query', sql, '--segment', 'shop', '--data-dir', dataDir, ...flags);

async function rows(sql: string): Promise<readonly Record<string, unknown>[]> {
  const { code, out, err } = await query(sql, '--json');
  expect(code, err).toBe(0);
  return out
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

beforeAll(async () => {
  ensureBuilt();
  const file = join(folder, 'shop.yaml');
  writeFileSync(file, CONFIG);
  dev = startCli([
    ...['dev', '--port', '0', '--shards', '4', '--events-max-bytes', '100MB', '--json', '--config', file],
    ...['--data-dir', dataDir, '--archive-flush', '100ms'],
  ]);
  const handle = JSON.parse(await dev.line()) as DevHandle;
  Object.assign(env, { NATS_URL: handle.natsUrl });
  const events = Array.from({ length: PROFILES }, (_, i) => [
    { name: 'Order Completed', keys: { device: `d${i}` }, properties: { revenue: i * 20 } },
    { name: 'Signed In', keys: { device: `d${i}`, ...(i % 2 === 0 && { customer_id: `c${i}` }) } },
  ]).flat();
  const answer = await fetch(`${handle.url}/v1/events?wait=commit`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${handle.writeKey}` },
    body: JSON.stringify({ events }),
  });
  expect(answer.status, await answer.clone().text()).toBe(200);
  const status = () => cli('batch', 'archive', 'status', '--segment', 'shop', '--json');
  await eventually('all is archived', async () => JSON.parse((await status()).out).lag === 0, 30_000);
}, 90_000);

afterAll(async () => {
  dev?.child.kill('SIGTERM');
  await dev?.finished;
  rmSync(folder, { recursive: true, force: true });
});

describe('a query', () => {
  it('of the README gives what a count by hand gives', async () => {
    const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
    const found = [...readme.matchAll(/^npx stitchwork batch query "(.+)" --segment shop(.*)$/gm)];
    expect(found.length).toBe(3);
    const told: string[] = [];
    for (const [, sql, flags] of found) {
      const ran = await query(sql!, ...flags!.split(' ').filter((flag) => flag !== ''));
      expect(ran.code, ran.err).toBe(0);
      told.push(ran.out.trim());
    }
    const day = new Date().toISOString().slice(0, 10);
    // 20 to 180 are buyers, 100 to 180 big ones.
    expect(told[0]!.split('\n').map((line) => line.trim())).toEqual([
      'name    profiles',
      'buyers  9',
      'big     5',
    ]);
    expect(told[1]).toBe('key_name,held,profiles\ncustomer_id,5,5\ndevice,10,10');
    expect(told[2]!.split('\n').map((line) => JSON.parse(line))).toMatchObject([
      { name: 'Order Completed', events: 10 },
      { name: 'Signed In', events: 10 },
    ]);
    expect(told[2]).toContain(day);
  }, 60_000);

  it('sees attributes, activations and the audit log, joined', async () => {
    const spent = await rows(
      `SELECT sum((p.attributes->>'spend')::DOUBLE) AS spend, count(*) AS n FROM activations a JOIN profiles p ON p.id = a.profile_id
       WHERE a.name = 'thanks' AND (a.payload->>'spend')::DOUBLE >= 100`,
    );
    expect(spent).toEqual([{ spend: 100 + 120 + 140 + 160 + 180, n: 5 }]);
    const added = await rows(
      `SELECT count(*) AS n FROM (SELECT unnest(facts::JSON[]) AS fact FROM audit) WHERE fact->>'kind' = 'profile_added'`,
    );
    expect(added).toEqual([{ n: PROFILES }]);
    const one = await rows(
      `SELECT keys, list_sort(audiences) AS audiences FROM profiles WHERE (keys->>'$.customer_id[0]') = 'c8'`,
    );
    expect(one).toEqual([{ keys: { customer_id: ['c8'], device: ['d8'] }, audiences: ['big', 'buyers'] }]);
  }, 60_000);

  it('reads nothing but the views, and changes nothing', async () => {
    const secret = join(folder, 'secret.csv');
    writeFileSync(secret, 'a\n1\n');
    const target = join(folder, 'out.csv');
    for (const [sql, reason] of [
      [`SELECT * FROM '${secret}'`, 'disabled'],
      [`SELECT * FROM read_text('/etc/hostname')`, 'disabled'],
      [`SELECT * FROM glob('${folder}/*')`, 'disabled'],
      [`COPY (SELECT 1) TO '${target}'`, 'disabled'],
      [`SELECT 1; COPY (SELECT 1) TO '${target}'`, '2 statements'],
      ['SET enable_external_access = true', 'nothing can be changed here'],
      [`ATTACH '${target}'`, 'nothing can be changed here'],
      ["COPY (SELECT 1) TO '/dev/stdout'", 'disabled'],
      ['CREATE TABLE t (a INTEGER)', 'nothing can be changed here'],
      ['DROP VIEW profiles', 'nothing can be changed here'],
      ['SELECT nothing FROM profiles', 'nothing'],
      ['SELECT $1 FROM profiles', 'no parameters'],
    ] as const) {
      const ran = await query(sql);
      expect([ran.code, ran.err], sql).toEqual([1, expect.stringContaining(reason)]);
    }
    expect(existsSync(target)).toBe(false);
  }, 90_000);

  it('ends at its time-out and at its memory limit, and leaves nothing behind', async () => {
    const endless = await query(
      'SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b',
      '--timeout',
      '1s',
    );
    expect([endless.code, endless.err]).toEqual([1, expect.stringContaining('longer than 1s')]);
    const large = await query('SELECT list(range) FROM range(100000000)', '--memory', '50MB');
    expect([large.code, large.err]).toEqual([1, expect.stringContaining('Memory')]);
    expect((await query('SELECT 1', '--memory', '5MB')).code).toBe(2);
    expect(readdirSync(join(dataDir, 'archive', 'shop', '.queries'))).toEqual([]);
  }, 60_000);
});

describe('an export', () => {
  const export_ = (...flags: readonly string[]) =>
    cli('batch', 'export', '--segment', 'shop', '--data-dir', dataDir, '--json', ...flags);

  it('is written on demand, whole, and the oldest goes', async () => {
    const to = join(folder, 'exports');
    const done = await export_('--to', to);
    expect(done.code, done.err).toBe(0);
    const { files } = JSON.parse(done.out) as { files: readonly { name: string; rows: number }[] };
    expect(Object.fromEntries(files.map(({ name, rows: count }) => [name, count]))).toEqual({
      'profiles.parquet': PROFILES,
      'attributes.parquet': PROFILES,
      'links.parquet': 15,
      'audiences.parquet': 14,
      'activations.parquet': 5,
    });
    for (let i = 0; i < 2; i++)
      expect((await export_('--to', to, '--what', 'links', '--keep', '2')).code).toBe(0);
    expect(readdirSync(to)).toHaveLength(2);
    expect(await export_('--what', 'profile')).toMatchObject({
      code: 2,
      err: expect.stringContaining('did you mean profiles?'),
    });
  }, 60_000);

  it('is written on schedule by one of two processes', async () => {
    const to = join(folder, 'scheduled');
    const pods = ['a', 'b'].map(() =>
      startCli([
        ...[
          'batch',
          '--segment',
          'shop',
          '--nats-url',
          env.NATS_URL!,
          '--log-level',
          'warn',
          '--data-dir',
          dataDir,
        ],
        ...['--shards', '4', '--export-cron', '*/2 * * * * *', '--export-dir', to, '--export-keep', '3'],
      ]),
    );
    try {
      const names = () =>
        (existsSync(join(to, 'shop')) ? readdirSync(join(to, 'shop')) : []).filter((n) => /^\d/.test(n));
      await eventually('some were written', () => names().length === 3, 30_000);
      const first = names().sort()[0]!;
      await eventually('the oldest has gone', () => names().length > 0 && !names().includes(first), 30_000);
      const manifest = JSON.parse(
        readFileSync(join(to, 'shop', names().sort().at(-1)!, 'manifest.json'), 'utf8'),
      );
      expect(manifest.files).toHaveLength(5);
    } finally {
      for (const { child } of pods) child.kill('SIGTERM');
      await Promise.all(pods.map(({ finished }) => finished));
    }
    const wrong = await cli('batch', '--segment', 'shop', '--export-cron', '99 * * * *');
    expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('--export-cron')]);
  }, 90_000);
});
