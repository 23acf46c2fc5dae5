// A snapshot table refreshed while events flow, by a process that is killed again and again: whoever reads sees the rows of
// one run, the old or the new, and no event is lost or counted twice.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { segmentNames, snapshotKeys } from '../../shared/contract/names.ts';
import { decodeSnapshotRecord, type TableLoading } from '../../shared/contract/snapshot-records.ts';
import { connectNats, type NatsDoor } from '../../shared/nats/connect.ts';
import { getMessage } from '../../shared/nats/jetstream-api.ts';
import { createSnapshotPages, readPointer } from '../../shared/nats/snapshots.ts';
import { createStoredRows } from '../../shared/nats/stored-rows.ts';
import type { DevHandle } from '../../shared/settings.ts';
import { ensureBuilt, type Running, startCli } from './cli-process.ts';

const CONFIG = `segment: kill
stitching:
  keys:
    - { name: customer_id, limit: 1 }
events:
  - { name: viewed, when: 'event.name == "Viewed"' }
attributes:
  - { name: views, type: counter, on: viewed, total: true }
batch:
  tables:
    - { name: crm, key: customer_id, attributes: { version: number, note: string } }
`;
const ROWS = 30_000;
const PEOPLE = 40;
const ATTEMPTS_MAX = 30;
/** Of a load of so many rows, about. */
const COMMITS = 8;
const names = segmentNames('kill');

const folder = mkdtempSync(join(tmpdir(), 'stitchwork-load-kill-'));
let dev: Running;
let handle: DevHandle;
let door: NatsDoor;

beforeAll(async () => {
  ensureBuilt();
  const file = join(folder, 'kill.yaml');
  writeFileSync(file, CONFIG);
  const flags = ['--shards', '4', '--events-max-bytes', '100MB', '--json', '--config', file];
  dev = startCli(['dev', '--port', '0', '--data-dir', join(folder, 'data'), ...flags]);
  handle = JSON.parse(await dev.line()) as DevHandle;
  door = await connectNats({ url: handle.natsUrl, name: 'test' });
}, 60_000);

afterAll(async () => {
  await door?.close();
  dev?.child.kill('SIGTERM');
  await dev?.finished;
  rmSync(folder, { recursive: true, force: true });
});

function startLoad(version: number): Running {
  const file = join(folder, `crm-${version}.csv`);
  const rows = Array.from({ length: ROWS }, (_, i) => `c${i},${version},a note of version ${version}`);
  writeFileSync(file, ['customer_id,version,note', ...rows].join('\n'));
  const args = ['batch', 'load', 'crm', file, '--segment', 'kill', '--json'];
  return startCli([...args, '--nats-url', handle.natsUrl]);
}

/** Versions of the rows in force, and how many rows there are. */
async function versions(): Promise<{ readonly rows: number; readonly versions: readonly unknown[] }> {
  const seen = new Set<unknown>();
  const keys = new Set<string | undefined>();
  for await (const batch of createStoredRows(door, names).rows('crm', new AbortController().signal))
    for (const { key, values } of batch) {
      seen.add(values.version);
      keys.add(key);
    }
  return { rows: keys.size, versions: [...seen] };
}

/** Rows that a load which never ended has written. */
async function strayRows(): Promise<number> {
  const pointer = (await readPointer(door, names, 'crm'))!;
  let stray = 0;
  for await (const batch of createSnapshotPages(door, names).stored('crm', pointer.layout))
    for (const { rows } of batch) stray += rows.filter(({ run }) => run > pointer.run).length;
  return stray;
}

/** Kills a load when it has made so many commits, the first of which begins it. Resolves with its exit code, if it was faster. */
async function killedAfter({ child, finished }: Running, commits: number): Promise<number | null> {
  const before = (await loading())?.run ?? 0;
  let isOver = false;
  void finished.then(() => {
    isOver = true;
  });
  while (!isOver) {
    const now = await loading();
    if (now && now.run > before && now.commits >= commits) child.kill('SIGKILL');
  }
  return (await finished).code;
}

async function loading(): Promise<TableLoading | undefined> {
  const query = { last_by_subj: names.snapshotSubject(snapshotKeys.loading('crm')) };
  const message = await getMessage(door, names.snapshotsStream, query, 'STORE_UNAVAILABLE');
  return message && decodeSnapshotRecord<TableLoading>(message.data);
}

async function send(id: string, messageId: string): Promise<void> {
  const answer = await fetch(`${handle.url}/v1/events?wait=commit`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${handle.writeKey}` },
    body: JSON.stringify({ messageId, name: 'Viewed', keys: { customer_id: id } }),
  });
  expect(answer.status, await answer.clone().text()).toBe(200);
}

async function profile(id: string) {
  const answer = await fetch(`${handle.url}/v1/profiles/customer_id/${id}`, {
    headers: { authorization: `Bearer ${handle.adminKey}` },
  });
  return (await answer.json()) as {
    attributes: { views: number };
    batch: { crm?: { version: number } };
  };
}

it('a refresh that is killed and begun again, beside live events, is seen whole or not at all', async () => {
  expect((await startLoad(1).finished).code).toBe(0);
  const views = new Map<string, number>();
  const seen = new Map<string, number>();
  let stop = false;
  const living = (async () => {
    for (let i = 0; !stop; i++) {
      const id = `c${i % PEOPLE}`;
      await send(id, `m-${i}`);
      views.set(id, (views.get(id) ?? 0) + 1);
      const version = (await profile(id)).batch.crm?.version ?? 0;
      expect(version, 'never older again').toBeGreaterThanOrEqual(seen.get(id) ?? 1);
      seen.set(id, version);
    }
  })();
  living.catch(() => {});
  const deaths = { beforeWriting: 0, whileWriting: 0, afterwards: 0 };
  let inForce = 1;
  let strayBefore = 0;
  for (let attempt = 0; deaths.whileWriting < 2 || deaths.beforeWriting < 1; attempt++) {
    expect(attempt, JSON.stringify(deaths)).toBeLessThan(ATTEMPTS_MAX);
    const load = startLoad(inForce + 1);
    const code = await killedAfter(load, 1 + (attempt % COMMITS));
    const now = await versions();
    expect(now.rows).toBe(ROWS);
    expect(now.versions, 'rows of one run').toHaveLength(1);
    expect([inForce, inForce + 1]).toContain(now.versions[0]);
    const stray = await strayRows();
    if (now.versions[0] === inForce + 1) {
      inForce += 1;
      if (code !== 0) deaths.afterwards += 1;
    } else if (stray > 0 && stray !== strayBefore) deaths.whileWriting += 1;
    else deaths.beforeWriting += 1;
    strayBefore = stray;
  }
  const last = await startLoad(inForce + 1).finished;
  expect(last.code, last.err).toBe(0);
  expect(await versions()).toEqual({ rows: ROWS, versions: [inForce + 1] });
  expect(await strayRows()).toBe(0);
  stop = true;
  await living;
  for (const [id, count] of views) expect((await profile(id)).attributes.views).toBe(count);
  console.log(
    JSON.stringify({ ...deaths, runs: inForce, events: [...views.values()].reduce((a, b) => a + b, 0) }),
  );
}, 120_000);
