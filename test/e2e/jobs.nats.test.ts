// Jobs through the whole system: batch processes over one folder compute tables from the archive, profiles join them; a process
// that is killed in the middle of a run is relieved by another, which finishes it once.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DevHandle } from '../../shared/settings.ts';
import { eventually } from '../support/segment.ts';
import { ensureBuilt, type Finished, type Running, runCliProcess, startCli } from './cli-process.ts';

const CONFIG = `segment: jobs
stitching:
  keys:
    - { name: customer_id, limit: 1, normalize: [trim, lowercase] }
    - { name: device, kind: device, limit: 100 }
events:
  - { name: ordered, when: 'event.name == "Order Completed"' }
attributes:
  - { name: orders, type: counter, on: ordered, total: true }
batch:
  tables:
    - { name: rfm, key: customer_id, attributes: { recency: number, frequency: number, monetary: number, score: number, tier: string } }
    - { name: slow, key: customer_id, attributes: { orders: number } }
    - { name: wrong, key: customer_id, attributes: { orders: number } }
audiences:
  - { name: gold, when: 'profile.rfm.tier == "Gold"' }
`;

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-jobs-'));
const jobsDir = join(folder, 'jobs');
let dev: Running;
let handle: DevHandle;
const env: Record<string, string> = {};
const cli = (...args: readonly string[]): Promise<Finished> => runCliProcess(args, env);
const target = ['--segment', 'jobs', '--json'];
const pods = new Set<Running>();

function writeJob(file: string, text: string): void {
  writeFileSync(join(jobsDir, file), text);
}

async function startPod(): Promise<Running> {
  const pod = startCli([
    ...['batch', '--segment', 'jobs', '--nats-url', handle.natsUrl, '--json', '--log-level', 'warn'],
    ...['--data-dir', join(folder, 'data'), '--jobs', jobsDir, '--archive-flush', '100ms', '--shards', '4'],
  ]);
  pods.add(pod);
  await pod.line();
  return pod;
}

let sent = 0;

async function send(name: string, keys: object, properties: object = {}): Promise<void> {
  const answer = await fetch(`${handle.url}/v1/events?wait=commit`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${handle.writeKey}` },
    body: JSON.stringify({ messageId: `m${++sent}`, name, keys, properties }),
  });
  expect(answer.status, await answer.clone().text()).toBe(200);
}

async function profile(key: string, value: string) {
  const answer = await fetch(`${handle.url}/v1/profiles/${key}/${value}`, {
    headers: { authorization: `Bearer ${handle.adminKey}` },
  });
  expect(answer.status).toBe(200);
  return (await answer.json()) as { readonly batch: Record<string, Record<string, unknown>> };
}

function archived(): Promise<void> {
  return eventually(
    'everything is archived',
    async () => JSON.parse((await cli('batch', 'archive', 'status', ...target)).out).lag === 0,
    30_000,
  );
}

interface Run {
  readonly job: string;
  readonly run: number;
  readonly state: string;
  readonly owner: string;
  readonly attempt: number;
  readonly rows: number | null;
  readonly error: string | null;
}

async function history(job: string): Promise<readonly Run[]> {
  const told = await cli('batch', 'history', job, ...target);
  expect(told.code, told.err).toBe(0);
  return (JSON.parse(told.out) as { runs: readonly Run[] }).runs;
}

beforeAll(async () => {
  ensureBuilt();
  mkdirSync(jobsDir);
  const file = join(folder, 'jobs.yaml');
  writeFileSync(file, CONFIG);
  const flags = ['--shards', '4', '--events-max-bytes', '100MB', '--json', '--config', file];
  const data = [
    '--data-dir',
    join(folder, 'data'),
    '--jobs',
    join(folder, 'none'),
    '--archive-flush',
    '100ms',
  ];
  dev = startCli(['dev', '--port', '0', ...data, ...flags]);
  handle = JSON.parse(await dev.line()) as DevHandle;
  Object.assign(env, { NATS_URL: handle.natsUrl });
}, 60_000);

afterAll(async () => {
  for (const pod of pods) pod.child.kill('SIGKILL');
  await Promise.all([...pods].map(({ finished }) => finished));
  dev?.child.kill('SIGTERM');
  await dev?.finished;
  rmSync(folder, { recursive: true, force: true });
});

describe('jobs', () => {
  it('of a folder are run from the shipped ones, and profiles join what they compute', async () => {
    for (let i = 1; i <= 10; i++) {
      await send('Order Completed', { device: `d${i}` }, { revenue: i * 10 });
      for (let again = 1; again < i; again++)
        await send('Order Completed', { device: `d${i}` }, { revenue: i * 10 });
      await send('Signed In', { device: `d${i}`, customer_id: ` C${i} ` });
    }
    writeJob('rfm.sql', '/*---\nname: rfm\nuse: rfm\n---*/\n');
    writeJob('broken.sql', '/*---\nname: broken\ntabl: wrong\ncron: 99 * * * *\n---*/\nSELECT 1');
    await startPod();
    await archived();
    const ran = await cli('batch', 'run', 'rfm', ...target);
    expect(ran.code, ran.err + ran.out).toBe(0);
    expect(JSON.parse(ran.out)).toMatchObject({
      job: 'rfm',
      run: 1,
      state: 'succeeded',
      rows: 10,
      written: 10,
    });
    const read = () => profile('customer_id', 'c10');
    await eventually('the row is read', async () => (await read()).batch.rfm !== undefined);
    expect((await read()).batch.rfm).toMatchObject({
      tier: 'Gold',
      monetary: 5,
      frequency: 5,
      recency: 5,
      score: 15,
    });
    expect((await profile('device', 'd1')).batch.rfm).toMatchObject({ tier: 'Bronze', score: 3 });
    const list = JSON.parse((await cli('batch', 'list', ...target)).out);
    expect(list.jobs).toMatchObject([
      { job: 'rfm', cron: '0 3 * * *', runnable: true, last: { state: 'succeeded' } },
    ]);
    expect(list.problems.join('\n')).toMatch(
      /broken\.sql:3: 'tabl' is no field of a job; did you mean table/,
    );
    const logs = await cli('batch', 'logs', 'rfm', '--segment', 'jobs');
    expect(logs.out).toMatch(/10 rows[\s\S]*succeeded: 10 rows in force/);
  }, 90_000);

  it('whose process is killed in the middle is finished by another, once', async () => {
    const go = join(folder, 'go');
    const begun = join(folder, 'begun');
    writeJob('slow.mjs', slowJob(begun, go));
    await startPod();
    await eventually(
      'the job is known',
      async () => (await cli('batch', 'run', 'slow', '--no-wait', ...target)).code === 0,
    );
    await eventually('it began', () => existsSync(begun));
    const list = JSON.parse((await cli('batch', 'list', ...target)).out);
    const { owner } = list.jobs.find(({ job }: { job: string }) => job === 'slow').running;
    const refused = await cli('batch', 'run', 'slow', ...target);
    expect([refused.code, refused.err]).toEqual([1, expect.stringContaining('run 1 of slow is under way')]);
    const victim = [...pods].find(({ child }) => owner.includes(`-${child.pid}-`))!;
    expect([...pods].length).toBe(2);
    victim.child.kill('SIGKILL');
    await victim.finished;
    pods.delete(victim);
    await eventually('another has begun it', () => readFileSync(begun, 'utf8').length === 2, 15_000);
    writeFileSync(go, '');
    await eventually('it is over', async () => (await history('slow')).length > 0, 15_000);
    const runs = await history('slow');
    expect(runs).toMatchObject([{ run: 1, state: 'succeeded', attempt: 2, rows: 10 }]);
    expect(runs[0]?.owner).not.toBe(owner);
    const tables = JSON.parse((await cli('batch', 'list', ...target)).out).tables;
    expect(tables).toContainEqual(
      expect.objectContaining({ table: 'slow', run: 1, rows: 10, by: 'job slow, run 1' }),
    );
    await eventually('the other has announced the jobs', async () => {
      const { jobs } = JSON.parse((await cli('batch', 'list', ...target)).out) as {
        jobs: { runnable: boolean }[];
      };
      return jobs.length === 2 && jobs.every(({ runnable }) => runnable);
    });
    const logs = await cli('batch', 'logs', 'slow', '--segment', 'jobs');
    expect(logs.out).toMatch(/attempt 2/);
  }, 90_000);

  it('that fail leave the table as it is, with the reason', async () => {
    writeJob('wrong.sql', job('wrong', '', "SELECT 'c1' AS customer_id, 1 AS orders"));
    await startPod();
    const asked = () => cli('batch', 'run', 'wrong', ...target);
    await eventually('it is known', async () => (await asked()).code === 0, 15_000);
    for (const [text, reason] of [
      [
        "SELECT 'c1' AS customer_id, 'x' AS orders",
        'column orders is VARCHAR, a number is meant: write orders::DOUBLE',
      ],
      ["SELECT unnest(['c1', ' C1']) AS customer_id, 1 AS orders", 'there are two rows of customer_id c1'],
      ["SELECT 'c1' AS customer_id, $nothing AS orders", '$nothing is no parameter of this job'],
      [
        "SELECT 'c1' AS customer_id, sum(a.range * b.range) AS orders FROM range(1000000) a, range(1000000) b",
        'timeout of 1 s',
      ],
    ] as const) {
      writeJob('wrong.sql', job('wrong', 'timeout: 1s', text));
      const ran = await asked();
      expect([ran.code, JSON.parse(ran.out).state], ran.out).toEqual([1, 'failed']);
      expect(JSON.parse(ran.out).error).toContain(reason);
    }
    const tables = JSON.parse((await cli('batch', 'list', ...target)).out).tables;
    expect(tables).toContainEqual(
      expect.objectContaining({ table: 'wrong', rows: 1, by: expect.stringMatching(/^job wrong/) }),
    );
  }, 90_000);
});

function job(name: string, more: string, sql: string): string {
  return `/*---\nname: ${name}\ntable: ${name}\n${more}\n---*/\n${sql}\n`;
}

/** Tells of every beginning in one file, and waits for the other. */
function slowJob(begun: string, go: string): string {
  return `/*---
name: slow
table: slow
---*/
import { appendFileSync, existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

export async function* run({ stream, log }) {
  appendFileSync(${JSON.stringify(begun)}, '.');
  while (!existsSync(${JSON.stringify(go)})) await setTimeout(10);
  const sql = \`SELECT links.value AS customer_id, count(*) AS orders FROM profile_events JOIN links USING (profile_id)
    WHERE name = 'Order Completed' AND key_name = 'customer_id' GROUP BY ALL\`;
  for await (const row of stream(sql)) yield row;
}
`;
}
