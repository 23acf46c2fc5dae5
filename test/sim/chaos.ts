// What happens to a run from outside, drawn per seed: crashes, pauses, partitions, server restarts, workers that join
// and leave, purges of the log, a newer config.

import type { Actor } from '../../shared/contract/actor.ts';
import { encodeHousekeeping } from '../../shared/contract/housekeeping-records.ts';
import { decodeShardRecord } from '../../shared/contract/shard-record.ts';
import type { Fleet, Member } from './fleet.ts';
import type { SimLog } from './log.ts';
import type { SimStore } from './store.ts';
import type { World } from './world.ts';

export interface ChaosParts {
  readonly world: World;
  readonly store: SimStore;
  readonly log: SimLog;
  readonly fleet: Fleet;
  readonly shards: number;
  readonly newerActor: () => Actor;
}

const WORKERS_MAX = 5;
const ACTIONS = {
  crash: (parts: ChaosParts) =>
    withWorker(parts, ({ process }) => {
      process.crash();
      parts.world.after(parts.world.between(0, 1500), '', () => parts.fleet.start());
    }),
  pause: (parts: ChaosParts) =>
    withWorker(parts, ({ process }) => {
      process.pause();
      parts.world.after(parts.world.between(50, 6000), '', () => {
        if (process.state === 'paused') parts.world.mark('process.resumed');
        process.resume();
      });
    }),
  cutOff: (parts: ChaosParts) =>
    withWorker(parts, ({ process }) => {
      const way = parts.world.pick([
        [false, false],
        [true, false],
        [false, true],
      ] as const);
      process.cutOff(way[0], way[1]);
      parts.world.after(parts.world.between(50, 6000), '', () => process.heal());
    }),
  restart: ({ world, store }: ChaosParts) => store.server.restart(world.between(50, 1500)),
  tear: ({ world, store }: ChaosParts) => {
    // Long enough for alarm clocks to come due meanwhile.
    store.tearNextCommitMs = world.between(500, 4000);
  },
  join: ({ fleet }: ChaosParts) => {
    if (fleet.living.length < WORKERS_MAX) fleet.start();
  },
  stop: (parts: ChaosParts) =>
    withWorker(parts, (member) => {
      parts.fleet.stop(member, () => {});
      parts.world.after(parts.world.between(0, 1000), '', () => parts.fleet.start());
    }),
  clockJump: (parts: ChaosParts) =>
    withWorker(parts, ({ process }) => {
      process.skewMs += parts.world.between(-600_000, 600_000);
      parts.world.mark('process.clock jump');
      parts.world.trace(`${process.name} clock is off by ${process.skewMs}`);
    }),
  purge: (parts: ChaosParts) => purgeLog(parts),
  config: ({ fleet, newerActor }: ChaosParts) => fleet.setActor(newerActor()),
} as const;
export type Action = keyof typeof ACTIONS;
const NAMES = Object.keys(ACTIONS) as readonly Action[];

/** Plans the chaos of a run: some kinds only, some of them often. */
export function planChaos(parts: ChaosParts, untilMs: number): void {
  const { world } = parts;
  const kinds = NAMES.filter(() => world.chance(0.6));
  if (kinds.length === 0) return;
  const count = world.pick([0, 2, 5, 10, 20]);
  for (let i = 0; i < count; i++) {
    const kind = world.pick(kinds);
    world.after(world.between(0, untilMs), `chaos: ${kind}`, () => ACTIONS[kind](parts));
  }
}

function withWorker({ world, fleet }: ChaosParts, act: (member: Member) => void): void {
  if (fleet.working.length > 0) act(world.pick(fleet.working));
}

/** As the housekeeper does it: says how far it will purge, then purges what every shard has applied. */
function purgeLog({ world, store, log, shards }: ChaosParts): void {
  let applied = Number.POSITIVE_INFINITY;
  for (let shard = 0; shard < shards; shard++) {
    const stored = store.latest(`s.${shard}`)?.value;
    applied = Math.min(applied, stored ? decodeShardRecord(stored).seq : 0);
  }
  if (applied <= 0 || !store.server.up) return;
  const value = encodeHousekeeping({ v: 1, purgedTo: applied });
  store.apply('setup', [
    { kind: 'put', key: 'h.purge', value, expect: store.latest('h.purge')?.sequence ?? 0 },
  ]);
  world.mark('log.purged');
  world.after(world.between(0, 2000), '', () => log.purge(applied), false);
}
