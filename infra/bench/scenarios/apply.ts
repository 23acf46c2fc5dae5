// Events through one worker process: on profiles that exist, uniform and Zipf, and on profiles that are only being made.
import { applyBacklog, seedProfiles } from '../backlog.ts';
import { measureApply } from '../measure-apply.ts';
import { meanRecordBytes } from '../record-size.ts';
import { openRig } from '../rig.ts';
import type { Case, Scenario } from '../scenario.ts';
import { shopWorkload } from '../shop-workload.ts';

export const apply: Scenario = {
  name: 'apply',
  about:
    'a backlog through one worker process on existing profiles; from its first to its last commit, the worker starting with empty memory',
  remote: false,
  byDefault: true,
  async run(context) {
    const cases: Case[] = [];
    for (const spread of ['uniform', 'zipf'] as const) {
      const rig = await openRig(context, { profiles: `apply-${spread}` });
      try {
        await seedProfiles(rig, context);
        const figures = await applyBacklog(rig, context, spread);
        if (spread === 'uniform') context.recordBytes = await meanRecordBytes(rig, context.sizes.profiles);
        cases.push({ name: `apply ${spread}`, figures });
      } finally {
        await rig.close();
      }
    }
    return cases;
  },
};

export const applyNew: Scenario = {
  name: 'apply-new',
  about: 'a backlog in which each event makes a profile with three keys, through one worker process',
  remote: false,
  byDefault: true,
  async run(context) {
    const rig = await openRig(context, { profiles: 'apply-new' });
    try {
      const workload = shopWorkload(context, 'once');
      const { profiles } = workload;
      await rig.startLoad({ ...rig.segment, kind: 'append', workloads: [workload], events: profiles }).result;
      return [{ name: 'apply new', figures: await measureApply(rig, profiles) }];
    } finally {
      await rig.close();
    }
  },
};

export const applyTwo: Scenario = {
  name: 'apply-2',
  about: 'the same backlog through one and through two worker processes',
  remote: false,
  byDefault: true,
  async run(context) {
    const cases: Case[] = [];
    for (const workers of [1, 2]) {
      const rig = await openRig(context, { profiles: `apply-2-with-${workers}` });
      try {
        await seedProfiles(rig, context);
        const figures = await applyBacklog(rig, context, 'uniform', workers);
        const factor = figures['events/s']! / (cases[0]?.figures['events/s'] ?? figures['events/s']!);
        cases.push({ name: `${workers} workers`, figures: { ...figures, factor } });
      } finally {
        await rig.close();
      }
    }
    return cases;
  },
};
