// Journeys of a checked config file: nested steps laid out one after another, each with where it goes on.
import { parseDurationMs } from '../../kernel/duration.ts';
import type { RawJourney, RawMatch, RawStep, RawUntil } from './journey-schemas.ts';
import type { EventMatch, JourneyConfig, JourneyEntry, JourneyExit, JourneyStep } from './segment-config.ts';

export function readJourney(raw: RawJourney): JourneyConfig {
  return {
    name: raw.name,
    enter: 'entered' in raw.enter ? raw.enter : matchOf(raw.enter),
    reentry: raw.reentry ?? 'never',
    goal: raw.goal ? matchOf(raw.goal) : null,
    exit: (raw.exit ?? []).map(exitOf),
    draft: raw.state === 'draft',
    paused: raw.paused ?? false,
    priority: raw.priority ?? 0,
    steps: layOut(raw.steps),
  } satisfies { readonly enter: JourneyEntry } & JourneyConfig;
}

function matchOf({ on, when }: RawMatch): EventMatch {
  return { on, when: when ?? null };
}

function exitOf(raw: NonNullable<RawJourney['exit']>[number]): JourneyExit {
  if ('stale' in raw) return { staleMs: parseDurationMs(raw.stale)! };
  return 'on' in raw ? matchOf(raw) : { when: raw.when };
}

type Open = { -readonly [Field in keyof JourneyStep]: JourneyStep[Field] } & { jumpsTo?: string };

/** Where a step begins is known when everything before it is laid out; where a branch goes on, when it ends. */
function layOut(steps: readonly RawStep[]): readonly JourneyStep[] {
  const laid: Open[] = [];
  const places = new Map<string, number>();
  const openEnds = lay(steps, '', laid, places);
  for (const step of openEnds) step.next = laid.length;
  return laid.map(({ jumpsTo, ...step }) =>
    jumpsTo === undefined
      ? (step as JourneyStep)
      : ({ ...step, next: places.get(jumpsTo) ?? laid.length } as JourneyStep),
  );
}

/** Gives the steps whose `next` is whatever comes behind these. */
function lay(steps: readonly RawStep[], prefix: string, laid: Open[], places: Map<string, number>): Open[] {
  let ends: Open[] = [];
  steps.forEach((raw, i) => {
    const id = raw.name ?? `${prefix}${i + 1}`;
    const at = laid.length;
    if (raw.name !== undefined) places.set(raw.name, at);
    for (const step of ends) step.next = at;
    const step = { ...bodyOf(raw), id, next: -1 } as Open;
    laid.push(step);
    ends = raw.jump !== undefined ? [] : layBranches(raw, id, step, laid, places);
  });
  return ends;
}

function layBranches(
  raw: RawStep,
  id: string,
  step: Open,
  laid: Open[],
  places: Map<string, number>,
): Open[] {
  const branches = raw.decide ?? raw.split;
  if (!branches) return [step];
  const ends: Open[] = [];
  const targets: { target: number }[] = [];
  branches.forEach((branch, i) => {
    const label = 'name' in branch ? branch.name : String.fromCharCode(97 + i);
    const inner = 'else' in branch ? branch.else : branch.steps;
    const isEmpty = inner.length === 0;
    // A branch without steps goes on behind the choice: its target is filled in with the step's own next.
    const target = { target: isEmpty ? -1 : laid.length };
    targets.push(target);
    ends.push(...lay(inner, `${id}${label}.`, laid, places));
  });
  const kept = step as unknown as { branches: { target: number }[] };
  kept.branches = kept.branches.map((branch, i) => ({ ...branch, target: targets[i]!.target }));
  return [step, ...ends];
}

function bodyOf(raw: RawStep): object {
  if (raw.wait !== undefined) return waitOf(raw.wait);
  if (raw.decide)
    return {
      kind: 'decide',
      branches: raw.decide.map((branch) => ({ when: 'else' in branch ? null : branch.when, target: -1 })),
    };
  if (raw.split)
    return {
      kind: 'split',
      branches: raw.split.map(({ name, percent }) => ({ name, percent, target: -1 })),
    };
  if (raw.activate !== undefined) return { kind: 'activate', activation: raw.activate };
  if (raw.stage !== undefined) return { kind: 'stage', name: raw.stage };
  if (raw.jump !== undefined) return { kind: 'jump', jumpsTo: raw.jump };
  const [attribute, value] = Object.entries(raw.set!)[0]!;
  return { kind: 'set', attribute, value };
}

function waitOf(wait: NonNullable<RawStep['wait']>): object {
  if (typeof wait === 'string') return { kind: 'wait', ms: parseDurationMs(wait)! };
  const atMostMs = wait.at_most === undefined ? null : parseDurationMs(wait.at_most)!;
  const until: RawUntil = wait.until;
  if ('time' in until) return { kind: 'wait_time', time: until.time, zone: until.zone ?? 'UTC' };
  if ('date' in until) return { kind: 'wait_date', date: until.date, atMostMs };
  return { kind: 'wait_for', until: 'on' in until ? matchOf(until) : { when: until.when }, atMostMs };
}
