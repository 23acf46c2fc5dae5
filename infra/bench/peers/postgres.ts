// PostgreSQL: events and documents in two tables, each event stored and applied in one transaction. Micro-batches through
// a few connections that share no document, and one event a transaction.
import { execFileSync } from 'node:child_process';
import { chownSync, mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { hash32 } from '../../../shared/kernel/hash.ts';
import type { Ownership } from '../ownership.ts';
import type { BenchContext, Case } from '../scenario.ts';
import { waitFor } from '../wait-for.ts';
import { findProgram, foldersIn, latencyFigures, type Peer, startServer, timed } from './peer.ts';
import {
  assertCounts,
  chunksOf,
  countViews,
  firstDocuments,
  LATENCY_RATE,
  type PageView,
  type Task,
} from './task.ts';

const LANES = 3;
const BATCH = 1000;
const CONNECTIONS = 32;
const USER = 'bench';
const START_DEADLINE_MS = 30_000;
/** Of one event a transaction, as many as take some seconds. */
const SINGLE_SHARE = 10;

const SCHEMA = `
  create table profiles (id text primary key, views bigint not null, doc jsonb not null);
  create table events (id text primary key, profile text not null, body jsonb not null);`;

/** Repeated ids are left out by the primary key of the log; of several events of one profile the later fields win. */
const APPLY_BATCH = {
  name: 'apply-batch',
  text: `
  with input as (
    select distinct on (id) id, profile, body, n
    from unnest($1::text[], $2::text[], $3::jsonb[]) with ordinality as t(id, profile, body, n) order by id, n),
  fresh as (
    insert into events (id, profile, body) select id, profile, body from input on conflict (id) do nothing returning id),
  change as (
    select i.profile, count(distinct i.id) as views, jsonb_object_agg(e.key, e.value order by i.n) as patch
    from input i join fresh using (id) cross join lateral jsonb_each(i.body) e group by i.profile)
  update profiles p set views = p.views + c.views, doc = p.doc || c.patch from change c where p.id = c.profile`,
};

const APPLY_ONE = {
  name: 'apply-one',
  text: `
  with fresh as (insert into events (id, profile, body) values ($1, $2, $3) on conflict (id) do nothing returning body)
  update profiles set views = views + 1, doc = doc || fresh.body from fresh where id = $2`,
};

export const postgres: Peer = {
  name: 'PostgreSQL',
  about:
    'its events come from memory, not from a log; stores each and changes the document in one transaction; no stitching, no triggers, one key a profile',
  missing: () => (programs() ? undefined : 'PostgreSQL is not installed, skipped'),
  async run(task, context) {
    const cluster = await startCluster(context.ownership);
    try {
      return await runOn(cluster, task, context);
    } finally {
      await cluster.close();
    }
  },
};

async function runOn(cluster: Cluster, task: Task, context: BenchContext): Promise<readonly Case[]> {
  const { pid } = cluster;
  const { spread } = task.workload;
  const singles = Math.floor(task.views.length / SINGLE_SHARE);
  const batched = task.views.slice(0, -singles);
  const paced = task.views.slice(-Math.min(singles >> 1, Math.round(LATENCY_RATE * context.sizes.seconds)));
  const alone = task.views.slice(-singles, -paced.length);
  await fill(cluster, task.profiles);
  const figures = await timed(batched.length, pid, () => applyBatches(cluster, batched));
  await assertStored(cluster, batched);
  const single = await timed(alone.length, pid, () => applyAlone(cluster, alone));
  const pool = cluster.pool(CONNECTIONS);
  const latencies = await latencyFigures(paced, async ({ id, visitor, fields }) => {
    await pool.query({ ...APPLY_ONE, values: [id, visitor, JSON.stringify(fields)] });
  });
  await pool.end();
  await assertStored(cluster, task.views);
  return [
    { name: `PostgreSQL batches ${spread}`, figures },
    { name: `PostgreSQL one by one ${spread}`, figures: { ...single, ...latencies } },
  ];
}

/** A visitor's events are all in one lane, so that no two transactions wait for one another. */
async function applyBatches(cluster: Cluster, views: readonly PageView[]): Promise<void> {
  const lanes: PageView[][] = Array.from({ length: LANES }, () => []);
  for (const view of views) lanes[hash32(view.visitor) % LANES]!.push(view);
  await Promise.all(
    lanes.map(async (lane) => {
      const client = await cluster.client();
      for (const batch of chunksOf(lane, BATCH)) {
        const values = [
          batch.map(({ id }) => id),
          batch.map(({ visitor }) => visitor),
          batch.map(({ fields }) => JSON.stringify(fields)),
        ];
        await client.query({ ...APPLY_BATCH, values });
      }
      await client.end();
    }),
  );
}

async function applyAlone(cluster: Cluster, views: readonly PageView[]): Promise<void> {
  const left = views.values();
  const lane = async () => {
    const client = await cluster.client();
    for (const { id, visitor, fields } of left)
      await client.query({ ...APPLY_ONE, values: [id, visitor, JSON.stringify(fields)] });
    await client.end();
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, lane));
}

async function fill(cluster: Cluster, profiles: number): Promise<void> {
  const client = await cluster.client();
  for (const chunk of chunksOf(firstDocuments(profiles), BATCH)) {
    const values = [chunk.map(({ visitor }) => visitor), chunk.map(({ fields }) => JSON.stringify(fields))];
    await client.query(
      'insert into profiles select id, 0, doc from unnest($1::text[], $2::jsonb[]) as t(id, doc)',
      values,
    );
  }
  await client.query('vacuum analyze profiles');
  await client.query('checkpoint');
  await client.end();
}

async function assertStored(cluster: Cluster, views: readonly PageView[]): Promise<void> {
  const client = await cluster.client();
  const { rows } = await client.query<{ id: string; views: string }>('select id, views from profiles');
  await client.end();
  assertCounts(
    'PostgreSQL',
    countViews(views),
    new Map(rows.map(({ id, views: count }) => [id, Number(count)])),
  );
}

interface Cluster {
  client(): Promise<pg.Client>;
  pool(connections: number): pg.Pool;
  readonly pid: number;
  close(): Promise<void>;
}

/** Durable as shipped (fsync and synchronous_commit on), with the room that this much data needs. */
const SETTINGS = ['shared_buffers=1GB', 'max_wal_size=8GB', 'checkpoint_timeout=30min', 'listen_addresses='];

async function startCluster(ownership: Ownership): Promise<Cluster> {
  const { initdb, server } = programs()!;
  const folder = mkdtempSync(join(tmpdir(), 'stitchwork-bench-pg-'));
  const identity = unprivileged();
  if (identity) chownSync(folder, identity.uid, identity.gid);
  const data = join(folder, 'data');
  execFileSync(initdb, ['-D', data, '-U', USER, '-A', 'trust', '-E', 'UTF8', '--locale=C'], {
    stdio: 'ignore',
    cwd: folder,
    ...identity,
  });
  const settings = SETTINGS.flatMap((setting) => ['-c', setting]);
  const args = ['-D', data, '-k', folder, ...settings];
  const { pid, stop } = startServer(
    { binary: server, args, folder, identity, stopSignal: 'SIGQUIT' },
    ownership,
  );
  const options = { host: folder, user: USER, database: 'postgres' };
  const client = async () => {
    const one = new pg.Client(options);
    // Ended under us when the bench is interrupted: whoever waits for an answer hears of it.
    one.on('error', () => {});
    await one.connect();
    return one;
  };
  const cluster = {
    client,
    pool: (connections: number) => new pg.Pool({ ...options, max: connections }).on('error', () => {}),
    pid,
    close: stop,
  };
  try {
    const answers = () =>
      client()
        .then((one) => one.end())
        .then(
          () => true,
          () => false,
        );
    await waitFor('PostgreSQL answers', answers, { deadlineMs: START_DEADLINE_MS });
    const one = await client();
    await one.query(SCHEMA);
    await one.end();
    return cluster;
  } catch (error) {
    await cluster.close();
    throw error;
  }
}

/** PostgreSQL does not run as root: then its own user is used. */
function unprivileged(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

function programs(): { readonly initdb: string; readonly server: string } | undefined {
  const folders = foldersIn('/usr/lib/postgresql').map((version) => join(version, 'bin'));
  const initdb = findProgram('initdb', folders);
  const server = findProgram('postgres', folders);
  return initdb && server ? { initdb, server } : undefined;
}
