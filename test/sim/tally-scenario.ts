// The toy actor under messages that touch, merge, link, drop, guard and arm.
import { judge } from './oracle.ts';
import { NEWEST_CONFIG, type Scenario } from './scenario.ts';
import { createTallyActor } from './tally.ts';
import { toBytes } from './tally-model.ts';
import { drawWorkload } from './workload.ts';

/** More than one batch takes. */
const MESSAGES_OF_A_BURST = 1200;

export function tallyScenario(o: { readonly mostlyDuties?: boolean } = {}): Scenario {
  return {
    marksEachMessage: true,
    damagedKey: 'p.damaged',
    alarmsRing: true,
    actor: createTallyActor,
    draw(world, shards, spanMs) {
      const shape = {
        messages: world.chance(0.04) ? MESSAGES_OF_A_BURST : world.pick([30, 80, 150]),
        shards,
        spanMs,
        names: world.pick([2, 6, 20]),
        configVersionMax: NEWEST_CONFIG,
        mostlyDuties: world.chance(0.1) || o.mostlyDuties === true,
      };
      return drawWorkload(world, shape).map(({ message, ...sent }) => ({
        ...sent,
        payload: toBytes(message),
      }));
    },
    judge: ({ store, copies, history }) => judge(store, copies, history),
  };
}
