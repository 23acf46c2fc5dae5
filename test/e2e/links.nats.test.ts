// Links from batch through the whole system: an empty system seeded from a table, by a run that is killed on the way; and what
// old events say under a config that has learnt a key.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DevHandle } from '../../shared/settings.ts';
import { eventually } from '../support/segment.ts';
import { ensureBuilt, type Finished, type Running, runCliProcess, startCli } from './cli-process.ts';

const KEYS = `segment: links
stitching:
  keys:
    - { name: customer_id, limit: 1 }
    - { name: email, limit: 3, normalize: [trim, lowercase] }
    - { name: device, kind: device, limit: 100 }
`;
const OBSERVED = `${KEYS}    - { name: session, observe_only: true }\n`;
const LEARNT = `${KEYS}    - { name: session, kind: device, limit: 100 }\n`;
const PAIRS = 3000;

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-links-'));
const dataDir = join(folder, 'data');
let dev: Running;
let handle: DevHandle;
const env: Record<string, string> = {};
const cli = (...args: readonly string[]): Promise<Finished> => runCliProcess(args, env);
const flags = ['--segment', 'links', '--data-dir', dataDir, '--json'];

interface Report {
  readonly sets: number;
  readonly inPlace: number;
  readonly differing: number;
  readonly sent: number;
  readonly outcomes: Readonly<Record<string, number>>;
  readonly refusals: Readonly<Record<string, number>>;
}

async function links(...args: readonly string[]): Promise<Report> {
  const { code, out, err } = await cli('batch', 'links', ...args, ...flags);
  expect(code, err).toBe(0);
  return JSON.parse(out) as Report;
}

async function count(sql: string): Promise<number> {
  const { out, err, code } = await cli('batch', 'query', sql, ...flags);
  expect(code, err).toBe(0);
  return (JSON.parse(out) as { n: number }).n;
}

const facts = (kind: string) =>
  count(
    `SELECT count(*) AS n FROM (SELECT unnest(facts::JSON[]) AS f FROM audit) WHERE f->>'kind' = '${kind}'`,
  );

beforeAll(async () => {
  ensureBuilt();
  const file = join(folder, 'links.yaml');
  writeFileSync(file, OBSERVED);
  dev = startCli([
    ...['dev', '--port', '0', '--shards', '4', '--events-max-bytes', '100MB', '--json', '--config', file],
    ...['--data-dir', dataDir, '--archive-flush', '100ms'],
  ]);
  handle = JSON.parse(await dev.line()) as DevHandle;
  Object.assign(env, { NATS_URL: handle.natsUrl });
}, 60_000);

afterAll(async () => {
  dev?.child.kill('SIGTERM');
  await dev?.finished;
  rmSync(folder, { recursive: true, force: true });
});

describe('links', () => {
  const file = join(folder, 'pairs.csv');

  it('of a table seed an empty system, through a run that is killed', async () => {
    const rows = Array.from({ length: PAIRS }, (_, i) =>
      i % 2 === 0
        ? `customer_id,c${i},email, A${i}@x.com ,2026-01-01T00:00:00Z`
        : `email,a${i - 1}@x.com,device,d${i},2026-01-0${(i % 9) + 1}T00:00:00Z`,
    );
    const wrong = ['customer_id,c0,customer_id,c2,', 'customer_id,,email,x@x.com,'];
    writeFileSync(file, `key_name_a,value_a,key_name_b,value_b,at\n${[...rows, ...wrong].join('\n')}\n`);
    const dry = await links('--from', file);
    expect(dry).toMatchObject({ sets: PAIRS + 1, differing: PAIRS + 1, sent: 0, refusals: { limit: 1 } });
    expect(await count('SELECT count(*) AS n FROM profiles')).toBe(0);

    const victim = startCli(['batch', 'links', '--from', file, '--send', '--rate', '1500/s', ...flags], env);
    await eventually(
      'some are applied',
      async () => (await count('SELECT count(*) AS n FROM profiles')) > 0,
      30_000,
    );
    victim.child.kill('SIGKILL');
    expect((await victim.finished).code).not.toBe(0);
    const before = await count('SELECT count(*) AS n FROM links');
    expect(before).toBeLessThan(PAIRS * 1.5);

    const done = await links('--from', file, '--send');
    expect(done.sent).toBeLessThan(PAIRS);
    expect(await count('SELECT count(*) AS n FROM profiles')).toBe(PAIRS / 2);
    expect(await count('SELECT count(*) AS n FROM links')).toBe(PAIRS * 1.5);
    expect(await facts('profile_added')).toBe(PAIRS / 2);
    expect(await facts('key_attached')).toBe(PAIRS * 1.5);
    expect(await links('--from', file, '--send')).toMatchObject({ inPlace: PAIRS, differing: 1, sent: 0 });
    expect(await facts('link_refused')).toBe(0);
    expect(await links('--from', file, '--send', '--send-refused')).toMatchObject({ sent: 1 });
    expect(await facts('link_refused')).toBe(1);
    expect(await facts('key_attached')).toBe(PAIRS * 1.5);
  }, 180_000);

  it('of the archive say what old events mean to a config that has learnt a key', async () => {
    const events = Array.from({ length: 40 }, (_, i) => [
      { name: 'Viewed', keys: { device: `n${i}`, session: `s${i}` } },
      { name: 'Viewed', keys: { email: `n${i}@x.com`, session: `s${i}` } },
    ]).flat();
    const answer = await fetch(`${handle.url}/v1/events?wait=commit`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${handle.writeKey}` },
      body: JSON.stringify({ events }),
    });
    expect(answer.status).toBe(200);
    const status = () => cli('batch', 'archive', 'status', '--segment', 'links', '--json');
    await eventually('all is archived', async () => JSON.parse((await status()).out).lag === 0, 30_000);
    const people = () => count(`SELECT count(DISTINCT profile_id) AS n FROM links WHERE value LIKE 'n%'`);
    expect(await people()).toBe(80);
    expect(await links('--from-archive')).toMatchObject({ sets: 0, differing: 0 });
    const next = join(folder, 'next.yaml');
    writeFileSync(next, LEARNT);
    const key = ['--url', handle.url, '--key', handle.adminKey];
    const applied = await cli('apply', next, '--yes', ...key);
    expect(applied.code, applied.err).toBe(0);
    const dry = await links('--from-archive');
    expect(dry).toMatchObject({ sets: 80, inPlace: 0, differing: 80, sent: 0 });
    expect(dry.outcomes).toMatchObject({ attached: 40, merged: 40 });
    const done = await links('--from-archive', '--send');
    expect([done.outcomes, done.sent]).toEqual([dry.outcomes, 80]);
    expect(await people()).toBe(40);
    expect(await facts('profiles_merged')).toBe(40);
    await eventually(
      'links are archived too',
      async () => JSON.parse((await status()).out).lag === 0,
      30_000,
    );
    expect(await links('--from-archive', '--send')).toMatchObject({ inPlace: 80, differing: 0, sent: 0 });
  }, 120_000);

  it('are replayed into a shadow with the events, and say why two keys are one person', async () => {
    const shadow = ['--segment', 'links', '--data-dir', dataDir];
    const replayed = await cli(
      'replay',
      ...shadow,
      '--into',
      'again',
      '--events-max-bytes',
      '100MB',
      '--json',
    );
    expect(replayed.code, replayed.err).toBe(0);
    const compared = await cli('compare', 'links', 'again', '--data-dir', dataDir, '--json');
    expect(compared.code, compared.out).toBe(0);
    expect(JSON.parse(compared.out).profiles).toMatchObject({
      first: PAIRS / 2 + 40,
      second: PAIRS / 2 + 40,
    });
    const why = await cli(
      ...['identity', 'why', 'customer_id:c10', 'device:d11', '--json'],
      ...['--url', handle.url, '--key', handle.adminKey, '--segment', 'links'],
    );
    expect(why.code, why.err).toBe(0);
    expect(why.out).toContain('"link-');
  }, 90_000);

  it('need a file or the archive, and a rate', async () => {
    expect(await cli('batch', 'links', ...flags)).toMatchObject({
      code: 2,
      err: expect.stringContaining('give one of'),
    });
    expect((await cli('batch', 'links', '--from', file, '--rate', 'fast', ...flags)).code).toBe(2);
    expect((await cli('batch', 'links', '--from', join(folder, 'none.csv'), ...flags)).code).toBe(3);
    // What was sent is known to the profile: it would not even be refused again.
    const text = await cli('batch', 'links', '--from', file, '--segment', 'links', '--data-dir', dataDir);
    expect(text.out).toMatch(
      /3001 different sets of keys: 3000 in place, 1 not\n {2}nothing +1\n {2}not usable, broken: 1[\s\S]*--send does/,
    );
    expect(text.err).toMatch(/line \d+: value_a is empty/);
  }, 60_000);
});
