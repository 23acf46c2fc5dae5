// The figures of all runs put together, as a document and as tables: medians, with the least and greatest of the runs.
import type { Style } from '../cli/io.ts';
import { table } from '../cli/io.ts';
import type { ProfileSummary } from './cpu-profile.ts';
import type { Machine } from './machine.ts';
import type { Case, Scenario } from './scenario.ts';
import { type Spread, spreadOf } from './statistics.ts';

export interface FigureReport extends Spread {
  /** One a run, in their order. */
  readonly values: readonly number[];
}

export interface CaseReport {
  readonly name: string;
  readonly figures: Readonly<Record<string, FigureReport>>;
}

export interface ScenarioReport {
  readonly name: string;
  readonly about: string;
  readonly cases: readonly CaseReport[];
  /** What went wrong, once a run. */
  readonly failures: readonly string[];
  readonly notes: readonly string[];
}

export interface BenchReport {
  readonly machine: Machine;
  readonly runs: number;
  readonly quick: boolean;
  readonly options: Readonly<Record<string, unknown>>;
  readonly scenarios: readonly ScenarioReport[];
  readonly profiles: readonly { readonly file: string; readonly summary: ProfileSummary }[];
}

/** More would be wider than a terminal. */
const CASES_ABREAST = 5;

/** One run of one scenario. */
export type Outcome =
  | { readonly kind: 'done'; readonly cases: readonly Case[] }
  | { readonly kind: 'failed'; readonly reason: string };

/** Puts the runs of a scenario together. A figure that only some runs have is the median of those. */
export function reportScenario(
  { name, about }: Pick<Scenario, 'name' | 'about'>,
  outcomes: readonly Outcome[],
  notes: readonly string[] = [],
): ScenarioReport {
  const cases = new Map<string, Map<string, number[]>>();
  for (const outcome of outcomes) {
    if (outcome.kind === 'failed') continue;
    for (const { name: caseName, figures } of outcome.cases) {
      const known = cases.get(caseName) ?? new Map<string, number[]>();
      cases.set(caseName, known);
      for (const [figure, value] of Object.entries(figures)) {
        if (Number.isFinite(value)) known.set(figure, [...(known.get(figure) ?? []), value]);
      }
    }
  }
  return {
    name,
    about,
    cases: [...cases].map(([caseName, figures]) => ({
      name: caseName,
      figures: Object.fromEntries(
        [...figures].map(([figure, values]) => [figure, { ...spreadOf(values), values }]),
      ),
    })),
    failures: outcomes.flatMap((outcome) => (outcome.kind === 'failed' ? [outcome.reason] : [])),
    notes,
  };
}

/** The report for people. */
export function describeReport(report: BenchReport, style: Style): readonly string[] {
  const { machine, runs, scenarios, profiles } = report;
  const { cpu, cores, memoryGb, fdatasyncUs, node, natsServer, stitchwork, revision } = machine;
  return [
    `${cpu}, ${cores} cores shared by everything, ${memoryGb} GB; write and fdatasync of 4 kB: ${fdatasyncUs} us (median)`,
    `stitchwork ${stitchwork}${revision ? ` (${revision})` : ''}, Node ${node}, nats-server ${natsServer}, ${machine.startedAt}`,
    `load average of the minute before: ${machine.loadBefore}`,
    runs === 1 ? 'one run' : `median of ${runs} runs (least to greatest)`,
    ...scenarios.flatMap((scenario) => ['', ...describeScenario(scenario, style)]),
    ...profiles.flatMap(({ file, summary }) => ['', ...describeProfile(file, summary, style)]),
  ];
}

function describeScenario(
  { name, about, cases, failures, notes }: ScenarioReport,
  style: Style,
): readonly string[] {
  const tables: string[] = [];
  for (let at = 0; at < cases.length; at += CASES_ABREAST)
    tables.push(...tableOf(cases.slice(at, at + CASES_ABREAST), style));
  return [
    `${style.bold(name)}: ${about}`,
    ...tables,
    ...notes.map((text) => `  ${text}`),
    ...failures.map((reason) => `  ${style.red('failed')}: ${reason}`),
  ];
}

function tableOf(cases: readonly CaseReport[], style: Style): readonly string[] {
  const names = [...new Set(cases.flatMap(({ figures }) => Object.keys(figures)))];
  const rows = names.map((figure) => [figure, ...cases.map(({ figures }) => showFigure(figures[figure]))]);
  const head = ['', ...cases.map((one) => one.name)];
  return table([head, ...rows], style).map((line) => `  ${line}`);
}

function showFigure(figure: FigureReport | undefined): string {
  if (figure === undefined) return '-';
  const { median, min, max, values } = figure;
  const shown = showNumber(median);
  return values.length === 1 || min === max ? shown : `${shown} (${showNumber(min)} to ${showNumber(max)})`;
}

/** Three digits that count, or all of a number above 1,000. */
export function showNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString('en-US');
  if (size >= 100 || Number.isInteger(value)) return value.toFixed(0);
  return value.toFixed(size >= 10 ? 1 : 2);
}

function describeProfile(file: string, summary: ProfileSummary, style: Style): readonly string[] {
  const { busyMs, idleMs, functions, files } = summary;
  const list = (title: string, of: ProfileSummary['functions']) => [
    `  ${title}`,
    ...of.map(
      ({ name, ms, share }) =>
        `  ${(share * 100).toFixed(1).padStart(5)} %  ${ms.toFixed(0).padStart(6)} ms  ${name}`,
    ),
  ];
  return [
    `${style.bold('CPU')} ${file}: busy ${busyMs.toFixed(0)} ms, idle ${idleMs.toFixed(0)} ms`,
    ...list('by function, self time', functions),
    ...list('by file or package, self time', files),
  ];
}
