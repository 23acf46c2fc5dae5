// What an activator does: from the event to the first byte at the receiver, and how many it carries.

import { httpFigures, httpJob } from '../http-scenario.ts';
import { measureApply } from '../measure-apply.ts';
import { startReceiver } from '../receiver-process.ts';
import { openRig } from '../rig.ts';
import type { BenchContext, Case, Scenario } from '../scenario.ts';
import { shopWorkload } from '../shop-workload.ts';
import { percentile } from '../statistics.ts';
import { waitFor } from '../wait-for.ts';

const RATE = 200;
const CONNECTIONS = 32;
const CONFIG = 'infra/bench/activations.yaml';
const DEADLINE_MS = 600_000;
const BACKLOG_SHARE = 0.1;

export const activations: Scenario = {
  name: 'activations',
  about: `an activation an event, carried by one activator to a webhook: at ${RATE} events/s over HTTP unless --rate says otherwise, then a backlog`,
  remote: false,
  byDefault: false,
  run: async (context) => [await steady(context), await backlog(context)],
};

async function steady(context: BenchContext): Promise<Case> {
  const receiver = await startReceiver(context.ownership);
  const replace = ['RECEIVER', receiver.url] as const;
  const rig = await openRig(context, { config: CONFIG, replace, profiles: 'activations' });
  try {
    await rig.startWorker();
    await rig.startActivator();
    const gateway = await rig.startGateway();
    const measured = { url: gateway.url, key: rig.writeKey, measure: () => Promise.reject(new Error()) };
    const ratePerSecond = context.sizes.ratePerSecond ?? RATE;
    const request = { kind: 'send', batch: 1, waitForCommit: false } as const;
    const workload = { ...shopWorkload(context, 'uniform'), profiles: 2000, shape: 'order' } as const;
    const job = httpJob(context, measured, { connections: CONNECTIONS, request, ratePerSecond, workload });
    const result = await rig.startLoad(job).result;
    const sent = result.done + context.sizes.warmUpSeconds * ratePerSecond * 0.9;
    await waitFor('all have arrived', async () => (await receiver.count()) >= sent, {
      ...{ deadlineMs: 60_000, pollMs: 100 },
    });
    const { delaysMs, activations: count } = await receiver.finish();
    const figures = { 'p50 ms': percentile(delaysMs, 0.5), 'p99 ms': percentile(delaysMs, 0.99) };
    const { 'failed %': failed = 0 } = httpFigures(result);
    return {
      name: `${ratePerSecond} events/s, log time of the event to first byte`,
      figures: { ...figures, 'max ms': delaysMs.at(-1) ?? 0, activations: count, 'failed %': failed },
    };
  } finally {
    await rig.close();
    await receiver.close();
  }
}

async function backlog(context: BenchContext): Promise<Case> {
  const receiver = await startReceiver(context.ownership);
  const replace = ['RECEIVER', receiver.url] as const;
  const rig = await openRig(context, { config: CONFIG, replace, profiles: 'activations-backlog' });
  try {
    const events = Math.round(context.sizes.events * BACKLOG_SHARE);
    const sized = { ...context, sizes: { ...context.sizes, events, profiles: 2000 } };
    const workload = { ...shopWorkload(sized, 'uniform'), shape: 'order' } as const;
    await rig.startLoad({ ...rig.segment, kind: 'append', workloads: [workload], events }).result;
    await measureApply(rig, events);
    await rig.startActivator();
    await waitFor('all have arrived', async () => (await receiver.count()) >= events, {
      ...{ deadlineMs: DEADLINE_MS, pollMs: 100 },
    });
    const { elapsedMs, activations: count } = await receiver.finish();
    return {
      name: 'a backlog, one activator',
      figures: { activations: count, 'activations/s': (1000 * count) / elapsedMs },
    };
  } finally {
    await rig.close();
    await receiver.close();
  }
}
