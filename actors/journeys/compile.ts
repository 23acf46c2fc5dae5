// A journey prepared for deciding: every condition parsed once, named by a digest of what it does.
import type {
  EventMatch,
  JourneyConfig,
  JourneyExit,
  JourneyStep,
} from '../../shared/contract/config/segment-config.ts';
import type { Expression } from '../../shared/contract/expression.ts';
import { expressionsOf } from '../../shared/contract/template.ts';
import { sha256Base64Url } from '../../shared/kernel/hash.ts';
import { expressionOf } from '../attributes/evaluate.ts';

export interface JourneyRule {
  readonly name: string;
  readonly config: JourneyConfig;
  /** Digest of entry, goal, exits and steps. */
  readonly def: string;
  readonly goal: Match | undefined;
  readonly exits: readonly Exit[];
  /** Shortest time without a step after which it is over; undefined: none. */
  readonly staleMs: number | undefined;
  readonly enter: Match | undefined;
  /** Expressions by their text. */
  readonly expressions: ReadonlyMap<string, Expression>;
}

export interface Match {
  readonly on: string;
  readonly when: Expression | undefined;
  readonly where: string;
}

export type Exit =
  | { readonly kind: 'event'; readonly match: Match }
  | { readonly kind: 'condition'; readonly when: Expression };

const DIGEST_LENGTH = 12;

export function compileJourney(config: JourneyConfig): JourneyRule {
  const { name, enter, goal, exit, steps } = config;
  const where = `journeys.${name}`;
  const match = (one: EventMatch, field: string): Match => ({
    on: one.on,
    when: one.when === null ? undefined : expressionOf(one.when),
    where: `${where}.${field}`,
  });
  const stales = exit.flatMap((one) => ('staleMs' in one ? one.staleMs : []));
  return {
    name,
    config,
    def: sha256Base64Url(JSON.stringify([enter, goal, exit, steps]), DIGEST_LENGTH),
    enter: 'on' in enter ? match(enter, 'enter') : undefined,
    goal: goal ? match(goal, 'goal') : undefined,
    exits: exit.flatMap((one) => exitOf(one, match)),
    staleMs: stales.length === 0 ? undefined : Math.min(...stales),
    expressions: new Map(steps.flatMap(sourcesOf).map((text) => [text, expressionOf(text)])),
  };
}

function exitOf(exit: JourneyExit, match: (one: EventMatch, field: string) => Match): Exit | readonly Exit[] {
  if ('staleMs' in exit) return [];
  if ('on' in exit) return { kind: 'event', match: match(exit, 'exit') };
  return { kind: 'condition', when: expressionOf(exit.when) };
}

/** Expressions that a step evaluates. */
export function sourcesOf(step: JourneyStep): readonly string[] {
  switch (step.kind) {
    case 'decide':
      return step.branches.flatMap(({ when }) => when ?? []);
    case 'set':
      return [step.value];
    case 'wait_time':
      return expressionsOf(step.zone);
    case 'wait_date':
      return [step.date];
    case 'wait_for':
      return step.until.when === null ? [] : [step.until.when];
    default:
      return [];
  }
}

/** Everything that a journey evaluates over the profile. */
export function journeySources({ enter, goal, exit, steps }: JourneyConfig): readonly string[] {
  const matches = [enter, goal, ...exit].flatMap((one) => (one && 'when' in one ? (one.when ?? []) : []));
  return [...matches, ...steps.flatMap(sourcesOf)];
}
