// Runs the simulation by hand: npm run sim -- --seed 17 | --seeds 1..2000 [--trace 200] [--disaster replaced|truncated|purged|overtaken | --profiles | --shared | --ledger]
// vitest compiles the sources; this script only turns flags into what sim.seeds.test.ts reads.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string' },
    trace: { type: 'string' },
    disaster: { type: 'string' },
    profiles: { type: 'boolean' },
    ledger: { type: 'boolean' },
    shared: { type: 'boolean' },
  },
});
const seeds = values.seeds ?? (values.seed === undefined ? undefined : `${values.seed}..${values.seed}`);
if (!/^\d+\.\.\d+$/.test(seeds ?? '')) {
  console.error(
    'usage: npm run sim -- --seed N | --seeds A..B [--trace LINES] [--disaster replaced|truncated|purged|overtaken | --profiles | --shared | --ledger]',
  );
  process.exit(2);
}
const root = fileURLToPath(new URL('../..', import.meta.url));
const { status } = spawnSync(
  process.execPath,
  ['node_modules/vitest/vitest.mjs', 'run', 'test/sim/seeds.test.ts', '--reporter=default', '--silent=false'],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      SIM_SEEDS: seeds,
      SIM_TRACE: values.trace ?? '40',
      SIM_DISASTER: values.disaster ?? '',
      SIM_SCENARIO: ['profiles', 'shared', 'ledger'].find((name) => values[name]) ?? '',
    },
  },
);
process.exit(status ?? 1);
