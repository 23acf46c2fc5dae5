// Stitchwork itself at the task: the real worker by a config for it; one event's latency is over HTTP, to the answer after
// its commit.
import { decodeRecord } from '../../../actors/profile/record-codec.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { createRecordStore } from '../../../shared/nats/record-store.ts';
import { measureApply } from '../measure-apply.ts';
import { openRig, type Rig } from '../rig.ts';
import type { BenchContext, Case } from '../scenario.ts';
import { visitorOf, type Workload } from '../workload.ts';
import type { Peer } from './peer.ts';
import { assertCounts, chunksOf, countViews, LATENCY_RATE, type PageView, type Task } from './task.ts';

const CONFIG = 'infra/bench/peers/page-views.yaml';
const CONNECTIONS = 64;
const READ_CHUNK = 5000;
/** Counters are kept in millionths. */
const MICRO = 1e6;

export const ours: Peer = {
  name: 'Stitchwork',
  about:
    'event log, stitching, ids remembered 15 minutes, profile and checkpoint in one atomic batch; its worker starts with empty memory, its latency includes HTTP and both commits (log and profile)',
  missing: () => undefined,
  async run(task, context) {
    const rig = await openRig(context, { config: CONFIG, profiles: `peers-${task.workload.spread}` });
    try {
      return await runOn(rig, task, context);
    } finally {
      await rig.close();
    }
  },
};

async function runOn(rig: Rig, task: Task, context: BenchContext): Promise<readonly Case[]> {
  const { profiles, workload, views } = task;
  const { repeatEvery: _, ...first } = workload;
  const seed: Workload = { ...first, name: 'first', spread: 'once', shape: 'page-full' };
  await rig.startLoad({ ...rig.segment, kind: 'seed', workload: seed }).result;
  const events = views.length;
  await rig.startLoad({ ...rig.segment, kind: 'append', workloads: [workload], events }).result;
  const applied = await measureApply(rig, events);
  await assertStored(rig, profiles, views);
  const figures = {
    'events/s': applied['events/s']!,
    'events/s, 2nd half': applied['events/s, 2nd half']!,
    'server us/event': applied['nats us/event']!,
    'client us/event': applied['worker us/event']!,
    ...(await latencies(rig, context, workload)),
  };
  return [{ name: `Stitchwork ${workload.spread}`, figures }];
}

async function latencies(
  rig: Rig,
  context: BenchContext,
  workload: Workload,
): Promise<Record<string, number>> {
  await rig.startWorker();
  const gateway = await rig.startGateway();
  const result = await rig.startLoad({
    kind: 'http',
    url: gateway.url,
    key: rig.writeKey,
    segment: undefined,
    connections: CONNECTIONS,
    seconds: context.sizes.seconds,
    warmUpSeconds: context.sizes.warmUpSeconds,
    ratePerSecond: LATENCY_RATE,
    workload: { ...workload, name: `${workload.name}-paced` },
    request: { kind: 'send', batch: 1, waitForCommit: true },
  }).result;
  if (result.committed < result.done)
    throw new Error(`${result.done - result.committed} of ${result.done} answers came before the commit`);
  return { 'one event p50 ms': result.latencies.p50, 'one event p99 ms': result.latencies.p99 };
}

/** Each profile began with one event that is not of the task. */
async function assertStored(rig: Rig, profiles: number, views: readonly PageView[]): Promise<void> {
  const store = createRecordStore(rig.door, rig.names);
  const found = new Map<string, number>();
  const visitors = Array.from({ length: profiles }, (_, profile) => visitorOf(profile));
  for (const chunk of chunksOf(visitors, READ_CHUNK)) {
    const linkOf = new Map(chunk.map((visitor) => [recordKeys.link('visitor', visitor), visitor]));
    const visitorOfRecord = new Map<string, string>();
    for (const { key, value } of (await store.read([...linkOf.keys()], 'replica')).values()) {
      const link = value === null ? undefined : decodeRecord(key, value);
      if (link?.kind === 'link' && link.profileId)
        visitorOfRecord.set(recordKeys.profile(link.profileId), linkOf.get(key)!);
    }
    for (const { key, value } of (await store.read([...visitorOfRecord.keys()], 'replica')).values()) {
      const profile = value === null ? undefined : decodeRecord(key, value);
      const counter = profile?.kind === 'profile' ? profile.attributes.views : undefined;
      const total = counter?.kind === 'counter' ? counter.total / MICRO : 0;
      found.set(visitorOfRecord.get(key)!, total - 1);
    }
  }
  assertCounts('Stitchwork', countViews(views), found);
}
