// Stitching: profiles becoming one, and an event finding its profile by three keys and by one, cold and warm.
import { loadSegmentFiles } from '../../segment-files.ts';
import { measureApply } from '../measure-apply.ts';
import { mergeCost } from '../merge-cost.ts';
import { openRig } from '../rig.ts';
import type { BenchContext, Case, Scenario } from '../scenario.ts';
import { shopWorkload } from '../shop-workload.ts';
import { JOIN_SHAPES, type JoinShape, joinsOf, SHOP_KEYS, type Workload } from '../workload.ts';

const PROFILES_MAX = 20_000;
/** Device keys, so that no limit is in the way. */
const JOIN_KEYS = ['cookie', 'session'];
const LARGE_PROFILE_KEYS = 200;

export const identity: Scenario = {
  name: 'identity',
  about:
    'backlogs through one worker process: events that join two profiles each; events by three keys and by one, each profile twice, so that the first half finds nothing in memory and the second everything; and one merge of two profiles with 200 keys, in memory',
  remote: false,
  byDefault: true,
  async run(context) {
    const profiles = Math.min(PROFILES_MAX, context.sizes.profiles);
    const cases: Case[] = [];
    for (const shape of JOIN_SHAPES) cases.push(await joins(context, shape, profiles));
    for (const keys of [SHOP_KEYS, SHOP_KEYS.slice(0, 1)])
      cases.push(await resolves(context, keys, profiles));
    return [...cases, await largeMerge(context)];
  },
};

async function joins(context: BenchContext, shape: JoinShape, profiles: number): Promise<Case> {
  const rig = await openRig(context, { profiles: `identity-${shape}` });
  try {
    const workload = { ...shopWorkload(context, 'once'), profiles, keys: JOIN_KEYS };
    await rig.startLoad({ ...rig.segment, kind: 'seed', workload: { ...workload, name: 'seed' } }).result;
    const joining: Workload = { ...workload, shape };
    const events = joinsOf(shape, profiles);
    await rig.startLoad({ ...rig.segment, kind: 'append', workloads: [joining], events }).result;
    const { 'events/s': rate, ...figures } = await measureApply(rig, events);
    const shown = {
      'worker us/event': figures['worker us/event']!,
      'nats us/event': figures['nats us/event']!,
    };
    return { name: shape, figures: { 'merges/s': rate!, ...shown } };
  } finally {
    await rig.close();
  }
}

async function resolves(context: BenchContext, keys: readonly string[], profiles: number): Promise<Case> {
  const rig = await openRig(context, { profiles: `identity-${keys.length}-keys` });
  try {
    const workload = { ...shopWorkload(context, 'once'), profiles, keys };
    await rig.startLoad({ ...rig.segment, kind: 'seed', workload: { ...workload, name: 'seed' } }).result;
    const events = 2 * profiles;
    await rig.startLoad({ ...rig.segment, kind: 'append', workloads: [workload], events }).result;
    const figures = await measureApply(rig, events);
    const warm = figures['events/s, 2nd half']!;
    const cold = coldRate(figures['events/s']!, warm);
    const name = keys.length === 1 ? 'by 1 key' : `by ${keys.length} keys`;
    return { name, figures: { 'cold events/s': cold, 'warm events/s': warm } };
  } finally {
    await rig.close();
  }
}

/** Rate of the first half, from that of the whole and of the second half. */
function coldRate(whole: number, secondHalf: number): number {
  return 1 / (2 / whole - 1 / secondHalf);
}

async function largeMerge(context: BenchContext): Promise<Case> {
  const rig = await openRig(context);
  try {
    const [source] = await loadSegmentFiles([rig.segment.configFile]);
    return { name: 'large merge', figures: { 'ms a merge': mergeCost(source!.config, LARGE_PROFILE_KEYS) } };
  } finally {
    await rig.close();
  }
}
