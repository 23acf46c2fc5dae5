// What the HTTP scenarios share: a gateway of their own, or the one that is asked about, and the figures of a result.
import { seedProfiles } from './backlog.ts';
import type { HttpJob, HttpResult } from './load/jobs.ts';
import { runLoad } from './load/load-process.ts';
import { readUse } from './process-stat.ts';
import { openRig, type Rig } from './rig.ts';
import type { BenchContext } from './scenario.ts';
import { shopWorkload } from './shop-workload.ts';

export interface MeasuredGateway {
  readonly url: string;
  readonly key: string | undefined;
  /** Runs a job, and says what the own processes spent on each event or read. */
  measure(job: HttpJob): Promise<{
    readonly result: HttpResult;
    readonly usPerDone: Readonly<Record<string, number>>;
  }>;
}

export interface GatewayNeeds {
  readonly worker: boolean;
  /** Stored before anything is measured. */
  readonly profiles: number;
}

/** Runs `use` against the target, or against processes started for it. */
export async function withGateway<T>(
  context: BenchContext,
  name: string,
  needs: GatewayNeeds,
  use: (gateway: MeasuredGateway) => Promise<T>,
): Promise<T> {
  const { target } = context;
  if (target) {
    const measure = async (job: HttpJob) => ({
      result: await runChecked(runLoad(job, context.ownership)),
      usPerDone: {},
    });
    return use({ url: target.url, key: target.key, measure });
  }
  const rig = await openRig(context, { profiles: name });
  try {
    if (needs.profiles > 0) await seedProfiles(rig, context, needs.profiles);
    const worker = needs.worker ? await rig.startWorker() : undefined;
    const gateway = await rig.startGateway();
    const pids = { gateway: gateway.pid, worker: worker?.pid, nats: rig.server.pid };
    const key = rig.adminKey;
    return await use({ url: gateway.url, key, measure: (job) => measureUse(rig, pids, job) });
  } finally {
    await rig.close();
  }
}

/** A job with what all of them share. */
export function httpJob(
  context: BenchContext,
  gateway: MeasuredGateway,
  own: Pick<HttpJob, 'connections' | 'request'> & Partial<HttpJob>,
): HttpJob {
  const { sizes, target } = context;
  return {
    kind: 'http',
    url: gateway.url,
    key: gateway.key,
    segment: target?.segment,
    seconds: sizes.seconds,
    warmUpSeconds: sizes.warmUpSeconds,
    workload: shopWorkload(context, 'uniform'),
    ...own,
  };
}

/** Latencies, and failures where there were any. */
export function httpFigures({ latencies, failed, requests }: HttpResult): Record<string, number> {
  const failures = Object.values(failed).reduce((sum, count) => sum + count, 0);
  return {
    'p50 ms': latencies.p50,
    'p99 ms': latencies.p99,
    'max ms': latencies.max,
    'failed %': requests === 0 ? 0 : (100 * failures) / requests,
  };
}

async function measureUse(rig: Rig, pids: Readonly<Record<string, number | undefined>>, job: HttpJob) {
  const before = cpuOf(pids);
  const result = await runChecked(rig.startLoad(job).result);
  const after = cpuOf(pids);
  // The warm-up is part of what was spent.
  const measuredShare = job.seconds / (job.seconds + job.warmUpSeconds);
  const usPerDone: Record<string, number> = {};
  for (const [name, spentMs] of Object.entries(after))
    usPerDone[`${name} us each`] = ((spentMs - (before[name] ?? 0)) * 1000 * measuredShare) / result.done;
  return { result, usPerDone };
}

function cpuOf(pids: Readonly<Record<string, number | undefined>>): Record<string, number> {
  const used: Record<string, number> = {};
  for (const [name, pid] of Object.entries(pids))
    if (pid !== undefined) used[name] = readUse(pid)?.cpuMs ?? 0;
  return used;
}

/** A run in which nothing succeeded has nothing to tell. */
async function runChecked(running: Promise<HttpResult>): Promise<HttpResult> {
  const result = await running;
  if (result.done === 0)
    throw new Error(`no request succeeded: ${JSON.stringify(result.failed)} ${result.firstFailure}`);
  return result;
}
