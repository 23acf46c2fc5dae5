// Redis: events in a stream, a consumer group, one script call a batch that applies and acknowledges. Each write is on
// disk before it is answered (appendfsync always).
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { BenchContext, Case } from '../scenario.ts';
import { waitFor } from '../wait-for.ts';
import { findProgram, latencyFigures, type Peer, startServer, timed } from './peer.ts';
import {
  assertCounts,
  chunksOf,
  countViews,
  firstDocuments,
  LATENCY_RATE,
  type PageView,
  type Task,
} from './task.ts';

const BATCH = 500;
const FILL_BATCH = 1000;
const STREAM = 'events';
const GROUP = 'bench';
const START_DEADLINE_MS = 10_000;

/** Marks of event ids live 15 minutes, as long as a profile of Stitchwork remembers ids. */
const APPLY = `
local at = 1
for n = 1, tonumber(ARGV[1]) do
  local id, visitor, count = ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  at = at + 3
  if redis.call('SET', 'e:' .. id, 1, 'NX', 'PX', 900000) then
    redis.call('HINCRBY', 'p:' .. visitor, 'views', 1)
    for field = 1, count do
      redis.call('HSET', 'p:' .. visitor, ARGV[at + field * 2 - 1], ARGV[at + field * 2])
    end
  end
  at = at + count * 2
end
local acks = {}
for key = 2, #KEYS do acks[#acks + 1] = KEYS[key] end
if #acks > 0 then redis.call('XACK', KEYS[1], '${GROUP}', unpack(acks)) end
return 1`;

export const redis: Peer = {
  name: 'Redis',
  about:
    'stream, consumer group and script: at least once from stream to script, ids remembered 15 minutes; everything in memory; no stitching, no triggers',
  missing: () => (findProgram('redis-server') ? undefined : 'Redis is not installed, skipped'),
  async run(task, context) {
    const folder = mkdtempSync(join(tmpdir(), 'stitchwork-bench-redis-'));
    const socket = join(folder, 'redis.sock');
    const settings = { port: 0, unixsocket: socket, dir: folder, appendonly: 'yes', appendfsync: 'always' };
    const flags = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    const server = startServer(
      { binary: findProgram('redis-server')!, args: [...flags, '--save', ''], folder, stopSignal: 'SIGKILL' },
      context.ownership,
    );
    const client = new Redis({ path: socket, lazyConnect: true, maxRetriesPerRequest: null });
    client.on('error', () => {});
    try {
      const answers = () =>
        client.ping().then(
          () => true,
          () => false,
        );
      await waitFor('Redis answers', answers, { deadlineMs: START_DEADLINE_MS });
      return await runOn(client, server.pid, task, context);
    } finally {
      client.disconnect();
      await server.stop();
    }
  },
};

async function runOn(
  client: Redis,
  pid: number,
  task: Task,
  context: BenchContext,
): Promise<readonly Case[]> {
  const count = Math.min(task.views.length >> 1, Math.round(LATENCY_RATE * context.sizes.seconds));
  const paced = task.views.slice(-count);
  const streamed = task.views.slice(0, -paced.length);
  await fill(client, task.profiles, streamed);
  const script = String(await client.script('LOAD', APPLY));
  const figures = await timed(streamed.length, pid, () => drain(client, script, streamed.length));
  await assertStored(client, task.profiles, streamed);
  const latencies = await latencyFigures(paced, async (view) => {
    const log = client.xadd(STREAM, '*', ...flat(view));
    const applied = client.evalsha(script, 1, STREAM, 1, ...argumentsOf(view));
    await Promise.all([log, applied]);
  });
  await assertStored(client, task.profiles, task.views);
  return [{ name: `Redis streams ${task.workload.spread}`, figures: { ...figures, ...latencies } }];
}

async function fill(client: Redis, profiles: number, views: readonly PageView[]): Promise<void> {
  await client.xgroup('CREATE', STREAM, GROUP, '0', 'MKSTREAM');
  for (const chunk of chunksOf(firstDocuments(profiles), FILL_BATCH)) {
    const pipeline = client.pipeline();
    for (const { visitor, fields } of chunk) pipeline.hset(`p:${visitor}`, { views: 0, ...fields });
    await pipeline.exec();
  }
  for (const chunk of chunksOf(views, FILL_BATCH)) {
    const pipeline = client.pipeline();
    for (const view of chunk) pipeline.xadd(STREAM, '*', ...flat(view));
    await pipeline.exec();
  }
}

/** The next batch is read while one is applied. */
async function drain(client: Redis, script: string, events: number): Promise<void> {
  let applied = 0;
  let next = readBatch(client);
  while (applied < events) {
    const batch = await next;
    const call = client.evalsha(
      script,
      1 + batch.length,
      STREAM,
      ...batch.map(({ entry }) => entry),
      batch.length,
      ...batch.flatMap(({ fields }) => argumentsOfFlat(fields)),
    );
    applied += batch.length;
    if (applied < events) next = readBatch(client);
    await call;
  }
}

interface Entry {
  readonly entry: string;
  readonly fields: readonly string[];
}

type StreamAnswer = readonly [string, readonly [string, readonly string[]][]][] | null;

async function readBatch(client: Redis): Promise<readonly Entry[]> {
  const answer = await client.xreadgroup('GROUP', GROUP, 'one', 'COUNT', BATCH, 'STREAMS', STREAM, '>');
  const entries = (answer as StreamAnswer)?.[0]?.[1] ?? [];
  return entries.map(([entry, fields]) => ({ entry, fields }));
}

/** id, visitor, then fields and values. */
function flat({ id, visitor, fields }: PageView): string[] {
  return ['id', id, 'visitor', visitor, ...Object.entries(fields).flat()];
}

function argumentsOf({ id, visitor, fields }: PageView): (string | number)[] {
  const entries = Object.entries(fields);
  return [id, visitor, entries.length, ...entries.flat()];
}

/** The same of an entry of the stream. */
function argumentsOfFlat(fields: readonly string[]): (string | number)[] {
  return [fields[1]!, fields[3]!, (fields.length - 4) / 2, ...fields.slice(4)];
}

async function assertStored(client: Redis, profiles: number, views: readonly PageView[]): Promise<void> {
  const found = new Map<string, number>();
  for (const chunk of chunksOf(firstDocuments(profiles), FILL_BATCH)) {
    const pipeline = client.pipeline();
    for (const { visitor } of chunk) pipeline.hget(`p:${visitor}`, 'views');
    const answers = (await pipeline.exec()) ?? [];
    chunk.forEach(({ visitor }, index) => {
      found.set(visitor, Number(answers[index]?.[1] ?? 0));
    });
  }
  assertCounts('Redis', countViews(views), found);
}
