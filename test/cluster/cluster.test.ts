// Each event once on a cluster. The short form runs with all tests; the long one, with every fault, by
// `npm run cluster-test`. `CLUSTER_SEED` draws the same victims again, `CRASH_KEEP=1` keeps the folder with logs and data.
import { expect, it } from 'vitest';
import { type CrashOptions, runCrash } from '../crash/harness.ts';
import { cluster, deckOf } from './cluster-scenario.ts';

const env = process.env;
const seconds = Number(env.CLUSTER_SECONDS ?? 1);

const options: CrashOptions = {
  form: seconds >= 60 ? 'long' : 'short',
  seed: Number(env.CLUSTER_SEED ?? Math.floor(Math.random() * 1_000_000)),
  seconds,
  rate: Number(env.CLUSTER_RATE ?? 300),
};

it(
  `counts each accepted event once on a cluster: ${deckOf(options).join(', ')}`,
  async () => {
    const again = `CLUSTER_SEED=${options.seed} CLUSTER_SECONDS=${seconds} npx vitest run test/cluster/cluster.test.ts`;
    console.log(`cluster test: ${again}`);
    const { violations, report, evidence } = await runCrash(cluster, options);
    if (report) console.log(JSON.stringify(report, null, 1));
    if (violations.length > 0) console.error(`${evidence}\n${violations.join('\n')}\nagain: ${again}`);
    expect(violations, again).toEqual([]);
  },
  seconds * 1000 + 600_000,
);
