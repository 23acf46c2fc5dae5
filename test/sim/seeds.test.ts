// Seeds asked for by hand (`npm run sim`), as many as wanted; nothing to do in an ordinary test run.
import { expect, test } from 'vitest';
import { type Disaster, disaster } from './disaster.ts';
import { ledgerScenario } from './ledger-scenario.ts';
import { profileScenario } from './profile-scenario.ts';
import { addMarks, failureReport } from './report.ts';
import { sharedScenario } from './shared-scenario.ts';
import { type SimResult, simulate } from './simulate.ts';

const range = process.env.SIM_SEEDS;

const kind = process.env.SIM_DISASTER ?? '';
const chosen = process.env.SIM_SCENARIO ?? '';
const scenario = {
  profiles: profileScenario,
  shared: sharedScenario,
  ledger: ledgerScenario({ repeats: 0 }),
}[chosen];
const flags = kind !== '' ? ` --disaster ${kind}` : scenario ? ` --${chosen}` : '';

function runSeed(seed: number, traceLines: number): Promise<SimResult> {
  if (kind !== '') return disaster(seed, kind as Disaster, traceLines);
  return simulate({ seed, traceLines, ...(scenario && { scenario }) });
}

test.runIf(range !== undefined)(
  `seeds ${range}`,
  async () => {
    const [from, to] = range!.split('..').map(Number) as [number, number];
    const traceLines = Number(process.env.SIM_TRACE ?? 40);
    const marks = new Map<string, number>();
    const failed: number[] = [];
    for (let seed = from; seed <= to; seed++) {
      const result = await runSeed(seed, traceLines);
      addMarks(marks, result.marks);
      if (result.violations.length === 0) continue;
      failed.push(seed);
      console.error(failureReport(result, flags));
    }
    console.info(
      [...marks]
        .sort()
        .map(([branch, count]) => `${branch}: ${count}`)
        .join('\n'),
    );
    expect(failed, 'failed seeds').toEqual([]);
  },
  24 * 3_600_000,
);
