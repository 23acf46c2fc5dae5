// How a failed run is told: the seed, the command that repeats it, what broke, and the last lines of its trace.
import type { SimResult } from './simulate.ts';

export function failureReport(result: SimResult, flags = ''): string {
  return [
    `SEED=${result.seed}`,
    `npm run sim -- --seed ${result.seed}${flags}`,
    ...result.violations.slice(0, 10),
    `--- the last ${result.tail.length} lines of the trace`,
    ...result.tail,
  ].join('\n');
}

/** Adds what was seen in a run to a total. */
export function addMarks(total: Map<string, number>, marks: ReadonlyMap<string, number>): void {
  for (const [branch, count] of marks) total.set(branch, (total.get(branch) ?? 0) + count);
}
