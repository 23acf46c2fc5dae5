// Journeys that wait by the hundred thousand: what it costs to arm a timer each, what they take, and how late ten thousand ring
// that fall due in the same second.

import { streamInfo } from '../../../shared/nats/jetstream-api.ts';
import { followBatches } from '../../../shared/nats/stream-batches.ts';
import { readCounts } from '../metrics-page.ts';
import { readUse } from '../process-stat.ts';
import { type BenchRole, openRig, type Rig } from '../rig.ts';
import type { Scenario } from '../scenario.ts';
import { shopWorkload } from '../shop-workload.ts';
import { percentile } from '../statistics.ts';
import { waitFor } from '../wait-for.ts';
import type { Workload } from '../workload.ts';

const TOGETHER = 10_000;
const FAR_MS = 30 * 86_400_000;
/** The ten thousand are armed by then. */
const SOON_MS = 30_000;
const STALL_MS = 900_000;

export const timers: Scenario = {
  name: 'timers',
  about: `a journey that waits for each of the many profiles, then ${TOGETHER} more that all go on at one moment`,
  remote: false,
  byDefault: false,
  async run(context) {
    const rig = await openRig(context, { config: 'infra/bench/timers.yaml', profiles: 'timers' });
    try {
      const pending = context.sizes.manyProfiles;
      const worker = await rig.startWorker();
      const empty = readUse(rig.server.pid)?.rssBytes ?? 0;
      const workload = { ...shopWorkload(context, 'once'), shape: 'waits' } as const;
      const startedMs = performance.now();
      const far = new Date(Date.now() + FAR_MS).toISOString();
      await send(
        rig,
        worker,
        { ...workload, name: `far${context.run}`, profiles: pending, until: far },
        pending,
        0,
      );
      const armedMs = performance.now() - startedMs;
      const nats = readUse(rig.server.pid)?.rssBytes ?? 0;
      const untilMs = Date.now() + SOON_MS;
      const soon = { ...workload, name: `soon${context.run}`, profiles: TOGETHER, first: pending };
      await send(rig, worker, { ...soon, until: new Date(untilMs).toISOString() }, TOGETHER, pending);
      const armedInTime = Date.now() < untilMs;
      await waitFor('all have rung', async () => (await activationsOf(rig)) >= TOGETHER, {
        ...{ deadlineMs: STALL_MS, pollMs: 500 },
      });
      const late = await lateness(rig, untilMs);
      return [
        {
          name: 'armed',
          figures: {
            timers: pending,
            'timers/s': (1000 * pending) / armedMs,
            'nats-server MB more': (nats - empty) / 1e6,
            'worker MB peak': (readUse(worker.pid)?.rssPeakBytes ?? 0) / 1e6,
          },
        },
        {
          name: `${TOGETHER} at one moment`,
          figures: {
            'p50 ms late': percentile(late, 0.5),
            'p99 ms late': percentile(late, 0.99),
            'max ms late': late.at(-1) ?? 0,
            'armed in time': armedInTime ? 1 : 0,
          },
        },
      ];
    } finally {
      await rig.close();
    }
  },
};

/** Appends events and waits until they are applied. `before`: how many the worker has applied. */
async function send(
  rig: Rig,
  worker: BenchRole,
  workload: Workload,
  events: number,
  before: number,
): Promise<void> {
  await rig.startLoad({ ...rig.segment, kind: 'append', workloads: [workload], events }).result;
  const applied = async () => (await readCounts(worker.url)).messages >= before + events;
  await waitFor('all are applied', applied, { deadlineMs: STALL_MS, pollMs: 100 });
}

async function activationsOf(rig: Rig): Promise<number> {
  const info = await streamInfo(rig.door, rig.names.activationsStream, 'LOG_UNAVAILABLE');
  return info?.state.messages ?? 0;
}

/** Of each activation from the moment that was waited for to the commit that decided it, ms, in order. */
async function lateness(rig: Rig, untilMs: number): Promise<readonly number[]> {
  const late: number[] = [];
  const { activationsStream, activationsFilter: filter } = rig.names;
  for await (const batch of followBatches(rig.door, activationsStream, { filter }))
    for (const { timeMs } of batch) late.push(timeMs - untilMs);
  return late.sort((a, b) => a - b);
}
