// The same task on what a user could pick instead, one after the other on the same disk with the same durability, and the
// ratios to Stitchwork.
import { errorText } from '../../../shared/kernel/errors.ts';
import { natsKv } from '../peers/nats-kv.ts';
import { ours } from '../peers/ours.ts';
import type { Peer } from '../peers/peer.ts';
import { REPEAT_EVERY, taskOf } from '../peers/task.ts';
import type { BenchContext, Case, Scenario } from '../scenario.ts';

const RATIO = 'Stitchwork / this one';

/** The clients of other systems are there in a checkout only, not where the package is installed. */
const LOADERS: readonly (() => Promise<Peer>)[] = [
  async () => ours,
  async () => (await import('../peers/postgres.ts')).postgres,
  async () => (await import('../peers/redis.ts')).redis,
  async () => natsKv,
];

export const peers: Scenario = {
  name: 'peers',
  about: `page views counted by visitor and a document of twenty fields changed by each, on disk before the answer, each event once (1 of ${REPEAT_EVERY} comes twice); all counts checked against the generator's`,
  remote: false,
  byDefault: false,
  async run(context) {
    const cases: Case[] = [];
    for (const spread of ['uniform', 'zipf'] as const) cases.push(...(await runSpread(context, spread)));
    return cases;
  },
};

async function runSpread(context: BenchContext, spread: 'uniform' | 'zipf'): Promise<readonly Case[]> {
  const { sizes, run } = context;
  const task = taskOf({
    profiles: sizes.profiles,
    events: sizes.events,
    spread,
    name: `${spread}${run}`,
    seed: run * 104_729,
  });
  const cases: Case[] = [];
  for (const load of LOADERS) {
    const peer = await loaded(load, context);
    if (!peer) continue;
    const missing = peer.missing();
    context.note(missing ?? `${peer.name}: ${peer.about}`);
    if (missing !== undefined) continue;
    context.io.talk(`  ${peer.name}, ${spread}`);
    cases.push(...(await peer.run(task, context)));
  }
  const own = cases[0]?.figures['events/s'];
  return cases.map(({ name, figures }) => {
    const ratio = own === undefined ? Number.NaN : own / (figures['events/s'] ?? Number.NaN);
    return { name, figures: { ...figures, [RATIO]: ratio } };
  });
}

/** Undefined, and noted, when a client library is not installed. */
async function loaded(load: () => Promise<Peer>, context: BenchContext): Promise<Peer | undefined> {
  try {
    return await load();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code !== 'ERR_MODULE_NOT_FOUND') throw error;
    context.note(`skipped, no client library: ${errorText(error)}`);
    return undefined;
  }
}
