// The bench: every scenario once a run, run after run, then one report. It measures and never judges.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { errorText } from '../../shared/kernel/errors.ts';
import type { Io } from '../cli/io.ts';
import { readCpuProfile, summarizeProfile } from './cpu-profile.ts';
import { describeMachine } from './machine.ts';
import { createOwnership, type Ownership } from './ownership.ts';
import { type BenchReport, type Outcome, reportScenario } from './report.ts';
import type { BenchContext, Case, Scenario, Sizes, Target } from './scenario.ts';
import { withCeilingShare } from './shares.ts';

export interface BenchOptions {
  readonly scenarios: readonly Scenario[];
  readonly runs: number;
  readonly quick: boolean;
  readonly sizes: Sizes;
  readonly profileDir: string | undefined;
  readonly target: Target | undefined;
}

const PROFILE_TOP = 20;

/**
 * Runs everything. What fails is told in the report; the rest goes on. Rejects when it is interrupted, with everything
 * given back.
 */
export async function runBench(options: BenchOptions, io: Io): Promise<BenchReport> {
  const ownership = createOwnership();
  const signal = io.interruptible();
  const interrupted = new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
  try {
    return await Promise.race([runAll(options, io, ownership), interrupted]);
  } finally {
    await ownership.closeAll();
  }
}

async function runAll(options: BenchOptions, io: Io, ownership: Ownership): Promise<BenchReport> {
  const { scenarios, runs, sizes, profileDir, target } = options;
  const machine = await describeMachine();
  const outcomes = new Map<string, Outcome[]>(scenarios.map(({ name }) => [name, []]));
  const notes = new Map<string, Set<string>>(scenarios.map(({ name }) => [name, new Set()]));
  const shared = { io, ownership, sizes, profileDir, target };
  for (let run = 1; run <= runs; run++) {
    let noted: Set<string> = new Set();
    const note = (text: string) => void noted.add(text);
    const context: BenchContext = { ...shared, run, recordBytes: undefined, note };
    const ofRun = new Map<string, readonly Case[]>();
    for (const scenario of scenarios) {
      noted = notes.get(scenario.name) ?? new Set();
      io.talk(`run ${run} of ${runs}: ${scenario.name}`);
      const outcome = await runOne(scenario, context);
      if (outcome.kind === 'done') ofRun.set(scenario.name, outcome.cases);
      else {
        io.talk(`  failed: ${outcome.reason}`);
        outcomes.get(scenario.name)?.push(outcome);
      }
    }
    for (const [name, cases] of withCeilingShare(ofRun)) outcomes.get(name)?.push({ kind: 'done', cases });
  }
  return {
    machine,
    runs,
    quick: options.quick,
    options: { ...sizes, url: target?.url, keys: target?.keys },
    scenarios: scenarios.map((scenario) =>
      reportScenario(scenario, outcomes.get(scenario.name) ?? [], [...(notes.get(scenario.name) ?? [])]),
    ),
    profiles: profileDir === undefined ? [] : summarizeFolder(profileDir),
  };
}

async function runOne(scenario: Scenario, context: BenchContext): Promise<Outcome> {
  try {
    return { kind: 'done', cases: await scenario.run(context) };
  } catch (error) {
    return { kind: 'failed', reason: errorText(error) };
  }
}

function summarizeFolder(folder: string): BenchReport['profiles'] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.cpuprofile'))
    .sort()
    .map((file) => ({ file, summary: summarizeProfile(readCpuProfile(join(folder, file)), PROFILE_TOP) }));
}
