// nats-server is killed and started again under load: how long from its return until events are applied, activations are
// copied and timers fire again. Watched through a connection that is made at its return.
import { setTimeout as sleep } from 'node:timers/promises';
import { connectNats, type NatsDoor } from '../../../shared/nats/connect.ts';
import { getMessage, streamInfo } from '../../../shared/nats/jetstream-api.ts';
import { watchCommits } from '../commit-watch.ts';
import { openRig, type Rig } from '../rig.ts';
import type { BenchContext, Scenario } from '../scenario.ts';
import { shopWorkload } from '../shop-workload.ts';
import { waitFor } from '../wait-for.ts';
import type { Workload } from '../workload.ts';

const RATE = 400;
const LOAD_SECONDS = 180;
const CONFIG = 'infra/bench/restart.yaml';
/** Under load, so that timers are due all the time. */
const BEFORE_KILL_MS = 5000;
const DOWN_MS = 500;
const FLOW_DEADLINE_MS = 60_000;
const POLL_MS = 10;

export const serverRestart: Scenario = {
  name: 'server-restart',
  about: `kill -9 of nats-server under ${RATE} events/s, back after ${DOWN_MS} ms; from its return to the first event applied, activation copied and timer fired (the load's own reconnection, up to 200 ms, included)`,
  remote: false,
  byDefault: true,
  async run(context) {
    const rig = await openRig(context, { config: CONFIG });
    try {
      return [{ name: 'SIGKILL', figures: await measureRestart(rig, context) }];
    } finally {
      await rig.close();
    }
  },
};

/** Where the copies stand. */
interface Position {
  readonly activations: number;
  readonly timers: number;
}

async function measureRestart(rig: Rig, context: BenchContext): Promise<Record<string, number>> {
  const base = shopWorkload(context, 'uniform');
  const workloads: Workload[] = (['order', 'anonymous'] as const).map((shape) => ({
    ...base,
    shape,
    name: `${base.name}-${shape}`,
  }));
  await rig.startWorker();
  const events = RATE * LOAD_SECONDS;
  rig.startLoad({ ...rig.segment, kind: 'append', workloads, events, ratePerSecond: RATE });
  const flows = async () => {
    const { activations, timers } = await positionOf(rig, rig.door);
    return activations > 0 && timers > 0;
  };
  await waitFor('activations and timers flow', flows, { deadlineMs: FLOW_DEADLINE_MS });
  await sleep(BEFORE_KILL_MS);
  await rig.server.kill();
  await sleep(DOWN_MS);
  const startedMs = performance.now();
  await rig.startServer();
  const backMs = performance.now();
  const door = await connectNats({ url: rig.server.url, name: 'stitchwork bench watch' });
  try {
    return { 'server start ms': backMs - startedMs, ...(await untilAllFlows(rig, door, backMs)) };
  } finally {
    await door.close();
  }
}

async function untilAllFlows(rig: Rig, door: NatsDoor, backMs: number): Promise<Record<string, number>> {
  const seen: Record<string, number> = {};
  const note = (what: string) => {
    seen[what] ??= performance.now() - backMs;
  };
  // What was read first may be a claim; progress is a checkpoint that moved after one was seen.
  const watch = watchCommits(door, rig.names, (_shard, _now, before) => {
    if (before !== undefined) note('event applied ms');
  });
  const start = await positionOf(rig, door);
  const isBack = async () => {
    const now = await positionOf(rig, door);
    if (now.activations > start.activations) note('activation copied ms');
    if (now.timers > start.timers) note('timer fired ms');
    return Object.keys(seen).length === 3;
  };
  await waitFor('everything flows again', isBack, { deadlineMs: FLOW_DEADLINE_MS, pollMs: POLL_MS });
  watch.close();
  return seen;
}

async function positionOf(rig: Rig, door: NatsDoor): Promise<Position> {
  const { names } = rig;
  const [copied, timer] = await Promise.all([
    streamInfo(door, names.activationsStream, 'LOG_UNAVAILABLE'),
    getMessage(door, names.eventsStream, { last_by_subj: names.sourceFilter('timer') }, 'LOG_UNAVAILABLE'),
  ]);
  return { activations: copied?.state.last_seq ?? 0, timers: timer?.sequence ?? 0 };
}
