// Personalization, open loop: one call that brings an event and is answered after its commit, at three rates; decisions by a key
// alone; and events of profiles that no process has in memory. With a batch table of every profile and a catalog.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seedProfiles } from '../backlog.ts';
import { httpFigures, httpJob } from '../http-scenario.ts';
import type { HttpResult } from '../load/jobs.ts';
import { readUse } from '../process-stat.ts';
import { openRig, type Rig } from '../rig.ts';
import type { BenchContext, Case, Scenario } from '../scenario.ts';
import { loadTable, writeRows } from './snapshots.ts';

const RATES = [200, 500, 1000];
const READ_RATE = 2000;
const COLD_RATE = 500;
const CONNECTIONS = 64;
/** Profiles that are asked about again and again; as many more are asked about once. */
const WARM_PROFILES_MAX = 5_000;
const COLD_PROFILES_MAX = 50_000;
/** Processes that have run for a while: before that, a good part of the time goes into compiling what they run. */
const WARM_UP_SECONDS = 12;
const OFFERS = 300;
const SERVICE = 'web';

export const personalization: Scenario = {
  name: 'personalization',
  about: `POST /v1/personalize, open loop: with an event at ${RATES.join(', ')}/s (or --rate), by a key alone at ${READ_RATE}/s, with events of profiles that are nowhere in memory at ${COLD_RATE}/s; three sections, a batch row, a catalog row, a split; from the intended moment of sending`,
  remote: false,
  byDefault: true,
  async run(context) {
    const rig = await openRig(context, { config: 'infra/bench/snapshots.yaml', profiles: 'personalization' });
    try {
      const profiles = Math.min(COLD_PROFILES_MAX, context.sizes.profiles);
      await seedProfiles(rig, context, profiles);
      // It stores the config, without which there is no table to load.
      const worker = await rig.startWorker();
      await loadRows(context, rig, profiles);
      return await measureAll(context, rig, { profiles, workerPid: worker.pid });
    } finally {
      await rig.close();
    }
  },
};

async function loadRows(context: BenchContext, rig: Rig, profiles: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'stitchwork-bench-rows-'));
  const forget = context.ownership.own(() => rm(folder, { recursive: true, force: true }));
  try {
    const crm = join(folder, 'crm.csv');
    await writeRows(crm, profiles, 1);
    await loadTable(rig, crm);
    const offers = join(folder, 'offers.csv');
    const lines = Array.from({ length: OFFERS }, (_, i) => `offer-${i},Offer number ${i},${i % 40}\n`);
    await writeFile(offers, `offer,title,percent\n${lines.join('')}`);
    await loadTable(rig, offers, 'offers');
  } finally {
    await forget();
  }
}

interface Load {
  readonly name: string;
  readonly rate: number;
  readonly withEvent: boolean;
  readonly profiles: number;
  /** Each profile once. */
  readonly cold?: true;
}

async function measureAll(
  context: BenchContext,
  rig: Rig,
  { profiles, workerPid }: { readonly profiles: number; readonly workerPid: number },
): Promise<readonly Case[]> {
  const gateway = await rig.startGateway();
  const pids = { gateway: gateway.pid, worker: workerPid, nats: rig.server.pid };
  const warm = Math.min(WARM_PROFILES_MAX, Math.floor(profiles / 2));
  const rates = context.sizes.ratePerSecond === undefined ? RATES : [context.sizes.ratePerSecond];
  const loads: readonly Load[] = [
    ...rates.map((rate) => ({ name: `one call, ${rate}/s`, rate, withEvent: true, profiles: warm })),
    { name: `by a key, ${READ_RATE}/s`, rate: READ_RATE, withEvent: false, profiles },
    {
      name: `one call, cold profiles, ${COLD_RATE}/s`,
      rate: COLD_RATE,
      withEvent: true,
      profiles,
      cold: true,
    },
  ];
  const cases: Case[] = [];
  for (const [i, load] of loads.entries()) {
    const before = cpuOf(pids);
    const { seconds, result } = await measure(context, rig, gateway.url, load, i);
    const after = cpuOf(pids);
    const spent = Object.entries(after).map(([name, ms]) => {
      const used = ms - (before[name] ?? 0);
      return [`${name} us each`, (used * 1000) / (load.rate * seconds)] as const;
    });
    cases.push({ name: load.name, figures: { ...figuresOf(result, load), ...Object.fromEntries(spent) } });
  }
  return cases;
}

async function measure(context: BenchContext, rig: Rig, url: string, load: Load, index: number) {
  const notUsed = { url, key: rig.adminKey, measure: () => Promise.reject(new Error('not used')) };
  const request = { kind: 'personalize', service: SERVICE, withEvent: load.withEvent } as const;
  const job = httpJob(context, notUsed, { connections: CONNECTIONS, request, ratePerSecond: load.rate });
  // What is cold must not have been asked about while warming up.
  const warmUpSeconds = load.cold ? 0 : index === 0 ? WARM_UP_SECONDS : job.warmUpSeconds;
  const workload = {
    ...job.workload,
    name: `${job.workload.name}-${index}`,
    profiles: load.profiles,
    ...(load.cold && { spread: 'once' as const }),
  };
  const result = await rig.startLoad({ ...job, warmUpSeconds, workload }).result;
  return { seconds: job.seconds + warmUpSeconds, result };
}

function figuresOf(result: HttpResult, { withEvent }: Load): Readonly<Record<string, number>> {
  const { 'p50 ms': p50, ...rest } = httpFigures(result);
  return {
    'requests/s': result.requests / (result.elapsedMs / 1000),
    'p50 ms': p50!,
    'p95 ms': result.latencies.p95,
    ...rest,
    ...(withEvent && { 'committed %': (100 * result.committed) / result.requests }),
    'degraded %': (100 * result.degraded) / result.requests,
  };
}

function cpuOf(pids: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, readUse(pid)?.cpuMs ?? 0]));
}
