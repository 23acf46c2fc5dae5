// The faults of the cluster test. While a node or worker is away all shards must be seen to work without it; then it
// comes back, and the next fault waits until the cluster is whole: two nodes of three at a time are a fault of its own.
import { readFileSync } from 'node:fs';
import type { ClusterNode } from '../../infra/cluster/nats-cluster.ts';
import { type Random, randomBelow } from '../../shared/kernel/random.ts';
import type { Canary } from '../crash/canary.ts';
import { type Fleet, type Slot, until } from '../crash/fleet.ts';
import type { Struck } from '../crash/report.ts';
import { BUCKET_STREAM } from '../crash/stream-check.ts';
import type { ClusterServers } from './cluster-servers.ts';
import type { Leaders } from './leaders.ts';

export const STRIKES = {
  'kill leader': killLeader,
  'kill follower': killFollower,
  'kill worker': killWorker,
  'isolate worker': isolateWorker,
  'isolate leader': isolateLeader,
  'isolate follower': isolateFollower,
  'kill two nodes': killTwoNodes,
  'rolling restart': rollingRestart,
} as const;

export type StrikeKind = keyof typeof STRIKES;

export interface Battlefield {
  readonly fleet: Fleet<ClusterServers>;
  readonly canary: Canary;
  readonly leaders: Leaders;
  readonly random: Random;
}

/** A fault, with the moment at which it began. */
export interface ClusterStrike extends Struck {
  readonly fault: { readonly kind: StrikeKind };
  readonly atMs: number;
  readonly endedAtMs: number;
}

/** The worker whose cable can be cut. */
export const CUT_WORKER = 'worker-0';
/** Beyond the election of another leader, and beyond the ten seconds after which one without followers gives up. */
const ISOLATED_MS = 13_000;
const WORKER_AWAY_MS = 3000;
const FIND_OUT_MS = 60_000;

export async function strike(kind: StrikeKind, field: Battlefield): Promise<ClusterStrike> {
  const atMs = Date.now();
  const recoveryMs = await STRIKES[kind](field);
  await field.fleet.servers.cluster.untilWhole();
  return { fault: { kind }, atMs, endedAtMs: Date.now(), recoveryMs };
}

async function killLeader(field: Battlefield): Promise<number> {
  return killNode(field, await leaderNode(field));
}

async function killFollower(field: Battlefield): Promise<number> {
  return killNode(field, await followerNode(field));
}

async function killNode({ canary }: Battlefield, node: ClusterNode): Promise<number> {
  await node.kill();
  const recoveryMs = await canary.untilAllShardsWork();
  await node.start();
  return recoveryMs;
}

async function killWorker({ fleet, canary, random }: Battlefield): Promise<number> {
  const worker = fleet.workers[randomBelow(random, fleet.workers.length)]!;
  await worker.untilReady();
  await worker.kill();
  const recoveryMs = await canary.untilAllShardsWork();
  await worker.untilReady();
  return recoveryMs;
}

/** The others take its shards over; when it is back it must find out, and must not have done anything meanwhile. */
async function isolateWorker({ fleet, canary }: Battlefield): Promise<number> {
  const worker = fleet.workers.find(({ name }) => name === CUT_WORKER)!;
  await worker.untilReady();
  const lost = countLost(worker);
  const startedMs = Date.now();
  const end = fleet.servers.hasNetwork ? fleet.servers.cutCable(CUT_WORKER) : stopped(worker);
  const recoveryMs = await canary.untilAllShardsWork();
  await delay(WORKER_AWAY_MS - (Date.now() - startedMs));
  end();
  await until('the isolated worker finds out', FIND_OUT_MS, () => Promise.resolve(countLost(worker) > lost));
  await worker.untilReady();
  return recoveryMs;
}

/** Shards that the present life of a worker knows that it has lost. */
function countLost(worker: Slot): number {
  return readFileSync(worker.lastLog, 'utf8').split('shard lost to another owner').length - 1;
}

function stopped(worker: { signal(name: 'SIGSTOP' | 'SIGCONT'): void }): () => void {
  worker.signal('SIGSTOP');
  return () => worker.signal('SIGCONT');
}

async function isolateLeader(field: Battlefield): Promise<number> {
  return isolateNode(field, await leaderNode(field));
}

async function isolateFollower(field: Battlefield): Promise<number> {
  return isolateNode(field, await followerNode(field));
}

async function isolateNode({ fleet, canary }: Battlefield, node: ClusterNode): Promise<number> {
  const startedMs = Date.now();
  const end = fleet.servers.isolate(node);
  const recoveryMs = await canary.untilAllShardsWork();
  await delay(ISOLATED_MS - (Date.now() - startedMs));
  end();
  return recoveryMs;
}

/** Nothing can be committed until one of them is back. */
async function killTwoNodes(field: Battlefield): Promise<number> {
  const nodes = [await leaderNode(field), await followerNode(field)];
  await Promise.all(nodes.map((node) => node.kill()));
  await Promise.all(nodes.map((node) => node.start()));
  return field.canary.untilAllShardsWork();
}

/** Every node in turn hands over and restarts; a worker is killed on the way. */
async function rollingRestart(field: Battlefield): Promise<number> {
  const { fleet, canary, random } = field;
  const victim = fleet.workers[randomBelow(random, fleet.workers.length)]!;
  for (const [turn, node] of fleet.servers.nodes.entries()) {
    const drained = node.drain();
    if (turn === 1) {
      await victim.untilReady();
      await victim.kill();
    }
    await drained;
    await node.start();
    await fleet.servers.cluster.untilWhole();
  }
  return canary.untilAllShardsWork();
}

async function leaderNode({ fleet, leaders }: Battlefield): Promise<ClusterNode> {
  return fleet.servers.node(await leaders.of(BUCKET_STREAM));
}

async function followerNode({ fleet, leaders, random }: Battlefield): Promise<ClusterNode> {
  const leader = await leaders.of(BUCKET_STREAM);
  const others = fleet.servers.nodes.filter(({ name }) => name !== leader);
  return others[randomBelow(random, others.length)]!;
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
