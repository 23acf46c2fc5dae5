// Many stored profiles against fewer in the same run: how long a worker takes to start, what it holds in memory, how fast
// it is. Profiles are made by the actor and stored directly.
import { applyBacklog, seedProfiles } from '../backlog.ts';
import { readUse } from '../process-stat.ts';
import { openRig } from '../rig.ts';
import type { Case, Scenario } from '../scenario.ts';

export const million: Scenario = {
  name: 'million',
  about:
    'a uniform backlog through one worker on many stored profiles, against a tenth of them (each with three keys: four records)',
  remote: false,
  byDefault: false,
  async run(context) {
    const cases: Case[] = [];
    for (const profiles of [context.sizes.manyProfiles / 10, context.sizes.manyProfiles]) {
      const rig = await openRig(context, { profiles: `million-${profiles}` });
      try {
        await seedProfiles(rig, context, profiles);
        const figures = await applyBacklog(rig, context, 'uniform', 1, profiles);
        const natsRss = (readUse(rig.server.pid)?.rssBytes ?? 0) / 1e6;
        const factor = figures['events/s']! / (cases[0]?.figures['events/s'] ?? figures['events/s']!);
        const name = `${profiles.toLocaleString('en-US')} profiles`;
        cases.push({ name, figures: { ...figures, 'nats RSS MB': natsRss, factor } });
      } finally {
        await rig.close();
      }
    }
    return cases;
  },
};
