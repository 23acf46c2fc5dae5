// What a scenario is: a name, what it does in words, and a run that gives figures. A figure's name carries its unit.
import type { Io } from '../cli/io.ts';
import type { Ownership } from './ownership.ts';

export interface Case {
  readonly name: string;
  readonly figures: Readonly<Record<string, number>>;
}

/** How much to do: the quick run measures the same, shorter. */
export interface Sizes {
  readonly profiles: number;
  readonly events: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly manyProfiles: number;
  /** Of open loops; undefined: what each scenario states. */
  readonly ratePerSecond: number | undefined;
}

/** A deployment that is measured instead of an own one. */
export interface Target {
  readonly url: string;
  readonly key: string | undefined;
  readonly segment: string | undefined;
  readonly keys: readonly string[];
}

export interface BenchContext {
  readonly io: Io;
  readonly ownership: Ownership;
  readonly sizes: Sizes;
  /** 1 for the first; message ids and seeds differ from run to run. */
  readonly run: number;
  /** Where CPU profiles are kept, when they are asked for. */
  readonly profileDir: string | undefined;
  /** Mean size of the profile records that this run has stored, once a scenario has measured it. */
  recordBytes: number | undefined;
  readonly target: Target | undefined;
  /** Something that stands under the scenario's table. */
  note(text: string): void;
}

export interface Scenario {
  readonly name: string;
  /** One line for the table: what is measured, and under which conditions. */
  readonly about: string;
  /** Whether it can be run against any deployment. */
  readonly remote: boolean;
  /** Whether it is run when none is named. */
  readonly byDefault: boolean;
  run(context: BenchContext): Promise<readonly Case[]>;
}

/** The folder for the CPU profiles of one scenario in one run. */
export function profileDirOf(context: BenchContext, scenario: string): string | undefined {
  return context.profileDir === undefined ? undefined : `${context.profileDir}/${scenario}-run${context.run}`;
}
