// Meaning of journeys: what they refer to is there, conditions compile, percentages add up, and no step goes round for ever.
import type { MeaningCheck } from './check-meaning.ts';
import { checkZone } from './check-sending.ts';
import type { RawJourney, RawMatch, RawStep } from './journey-schemas.ts';
import type { RawSegment } from './schema.ts';
import type { Path } from './source-map.ts';

interface Known {
  readonly events: readonly string[];
  readonly audiences: readonly string[];
  readonly activations: readonly string[];
  /** Attributes that a journey may write. */
  readonly settable: readonly string[];
}

const namesOf = (items: readonly { readonly name: string }[] | undefined) =>
  (items ?? []).map(({ name }) => name);

export function checkJourneys(raw: RawSegment, check: MeaningCheck): void {
  const known: Known = {
    events: namesOf(raw.events),
    audiences: namesOf(raw.audiences),
    activations: namesOf(raw.activations),
    settable: namesOf((raw.attributes ?? []).filter(({ type }) => type === 'single')),
  };
  raw.journeys?.forEach((journey, i) => {
    // Of one whose form is wrong nothing but the name is known.
    if (journey.steps !== undefined) checkJourney(journey, ['journeys', i], known, check);
  });
}

function checkJourney(journey: RawJourney, path: Path, known: Known, check: MeaningCheck): void {
  const { enter, goal, exit, steps } = journey;
  if ('entered' in enter)
    check.reference(enter.entered, known.audiences, 'audience', [...path, 'enter', 'entered']);
  else checkMatch(enter, [...path, 'enter'], known, check);
  if (goal) checkMatch(goal, [...path, 'goal'], known, check);
  exit?.forEach((one, i) => {
    if ('on' in one) checkMatch(one, [...path, 'exit', i], known, check);
    else if ('when' in one) check.condition(one.when, [...path, 'exit', i, 'when'], 'state');
  });
  const labels: string[] = [];
  visit(steps, [...path, 'steps'], (step, at) => {
    if (step.name === undefined) return;
    if (labels.includes(step.name)) check.at([...at, 'name'], 'DUPLICATE', `'${step.name}' names two steps`);
    labels.push(step.name);
  });
  visit(steps, [...path, 'steps'], (step, at) => checkStep(step, at, labels, known, check));
  checkRounds(steps, [...path, 'steps'], check);
}

function checkMatch({ on, when }: RawMatch, path: Path, { events }: Known, check: MeaningCheck): void {
  check.reference(on, events, 'key event', [...path, 'on']);
  check.condition(when, [...path, 'when'], 'profile');
}

const KINDS = ['wait', 'decide', 'split', 'activate', 'set', 'jump', 'stage'] as const;
/** Nested deeper, nobody can read them. */
const DEPTH_MAX = 6;

function checkKind(step: RawStep, path: Path, check: MeaningCheck): void {
  const said = KINDS.filter((kind) => step[kind] !== undefined);
  if (said.length !== 1)
    check.at(
      path,
      'SHAPE',
      `a step is one of ${KINDS.join(', ')}; this one is ${said.join(' and ') || 'none of them'}`,
    );
  const depth = path.filter((part) => part === 'steps' || part === 'else').length;
  if (depth > DEPTH_MAX)
    check.at(path, 'SHAPE', `steps are nested ${depth} deep, and at most ${DEPTH_MAX} are allowed`);
}

function checkStep(
  step: RawStep,
  path: Path,
  labels: readonly string[],
  known: Known,
  check: MeaningCheck,
): void {
  checkKind(step, path, check);
  if (step.activate !== undefined)
    check.reference(step.activate, known.activations, 'activation', [...path, 'activate']);
  if (step.jump !== undefined) check.reference(step.jump, labels, 'step', [...path, 'jump']);
  for (const [attribute, value] of Object.entries(step.set ?? {})) {
    check.reference(attribute, known.settable, 'attribute of type single', [...path, 'set', attribute]);
    check.expression(value, [...path, 'set', attribute], 'state');
  }
  step.decide?.forEach((branch, i) => {
    if ('when' in branch) check.condition(branch.when, [...path, 'decide', i, 'when'], 'state');
    else if (i < step.decide!.length - 1)
      check.at([...path, 'decide', i], 'SHAPE', "what stands behind 'else' is never reached");
  });
  const total = step.split?.reduce((sum, { percent }) => sum + percent, 0);
  if (total !== undefined && Math.abs(total - 100) > 1e-6)
    check.at([...path, 'split'], 'SHAPE', `the parts of a split add up to 100 percent, these to ${total}`);
  if (step.wait !== undefined && typeof step.wait === 'object') checkUntil(step.wait, path, known, check);
}

function checkUntil(
  wait: Exclude<RawStep['wait'], string | undefined>,
  path: Path,
  known: Known,
  check: MeaningCheck,
): void {
  const at: Path = [...path, 'wait', 'until'];
  const { until } = wait;
  if ('on' in until) checkMatch(until, at, known, check);
  else if ('when' in until) check.condition(until.when, [...at, 'when'], 'state');
  else if ('date' in until) check.expression(until.date, [...at, 'date'], 'state');
  else checkZone(until.zone, [...at, 'zone'], check);
}

/** A jump back to a stretch in which nothing waits would go round for ever. */
function checkRounds(steps: readonly RawStep[], path: Path, check: MeaningCheck): void {
  const order: { readonly step: RawStep; readonly at: Path }[] = [];
  visit(steps, path, (step, at) => void order.push({ step, at }));
  order.forEach(({ step, at }, i) => {
    if (step.jump === undefined) return;
    const to = order.findIndex((other) => other.step.name === step.jump);
    if (to < 0 || to > i) return;
    const waits = order.slice(to, i).some((between) => between.step.wait !== undefined);
    if (!waits)
      check.at([...at, 'jump'], 'SHAPE', `it goes back to '${step.jump}' without a wait in between`);
  });
}

function visit(steps: readonly RawStep[], path: Path, each: (step: RawStep, at: Path) => void): void {
  steps.forEach((step, i) => {
    const at: Path = [...path, i];
    each(step, at);
    step.decide?.forEach((branch, b) => {
      if ('else' in branch) visit(branch.else, [...at, 'decide', b, 'else'], each);
      else visit(branch.steps, [...at, 'decide', b, 'steps'], each);
    });
    step.split?.forEach((branch, b) => {
      visit(branch.steps, [...at, 'split', b, 'steps'], each);
    });
  });
}
