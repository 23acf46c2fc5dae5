// What most scenarios begin with: profiles that exist already, and a backlog of events in the log.
import { measureApply } from './measure-apply.ts';
import type { Rig } from './rig.ts';
import type { BenchContext } from './scenario.ts';
import { shopWorkload } from './shop-workload.ts';

/** Stores the profiles that exist before anything is measured. */
export async function seedProfiles(
  rig: Rig,
  context: BenchContext,
  profiles = context.sizes.profiles,
): Promise<void> {
  const workload = { ...shopWorkload(context, 'once'), name: 'seed', profiles };
  await rig.startLoad({ ...rig.segment, kind: 'seed', workload }).result;
}

/** Appends a backlog, then lets workers apply it. */
export async function applyBacklog(
  rig: Rig,
  context: BenchContext,
  spread: 'uniform' | 'zipf',
  workers = 1,
  profiles = context.sizes.profiles,
): Promise<Readonly<Record<string, number>>> {
  const { events } = context.sizes;
  const workload = { ...shopWorkload(context, spread), profiles };
  await rig.startLoad({ ...rig.segment, kind: 'append', workloads: [workload], events }).result;
  return measureApply(rig, events, workers);
}
