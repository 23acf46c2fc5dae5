// CEL (the Common Expression Language), compiled once and evaluated without ever throwing, within a budget. Whole numbers of
// JSON are doubles and literals are ints, so arithmetic between the two is declared.
import { Environment } from '@marcbachmann/cel-js';
import { didYouMean } from '../kernel/edit-distance.ts';
import { errorText } from '../kernel/errors.ts';
import { beginBudget, isExhausted, meter, visitNodes } from './cel/budget.ts';
import { PATTERN_SIZE_MAX, REPLACED, registerFunctions } from './cel/functions.ts';
import { patternProblem } from './pattern.ts';

export type Evaluated =
  | { readonly kind: 'value'; readonly value: unknown }
  /** A field that the expression names is not there: a clean "no match". */
  | { readonly kind: 'missing' }
  | { readonly kind: 'failed'; readonly reason: string };

export interface Expression {
  readonly source: string;
  evaluate(context: ExpressionContext): Evaluated;
}

/** What CEL sees. Conditions of key events see the event only. */
export interface ExpressionContext {
  readonly event: Readonly<Record<string, unknown>>;
  readonly profile: Readonly<Record<string, unknown>>;
  readonly keys: Readonly<Record<string, string>>;
  readonly keys_all: Readonly<Record<string, readonly string[]>>;
  /** Of a visitor who is answered: whether it is in each. */
  readonly audiences?: Readonly<Record<string, boolean>>;
  /** In answers: rows of catalogs. */
  readonly lookup?: Readonly<Record<string, unknown>>;
  /** In aggregates of a list. */
  readonly item?: Readonly<Record<string, unknown>>;
  readonly now: Date;
  /** Size of the event in bytes: what an expression may cost depends on it. */
  readonly bytes?: number;
}

export type Compiled =
  | { readonly kind: 'ok'; readonly expression: Expression; readonly type: string }
  | InvalidExpression;

export interface InvalidExpression {
  readonly kind: 'invalid';
  readonly reason: string;
  /** Where in the source, 1-based; undefined when it cannot be told. */
  readonly at: { readonly line: number; readonly column: number } | undefined;
}

/** A condition over other roots than those of a segment config, for tools. */
export interface Filter {
  evaluate(context: Readonly<Record<string, unknown>>): Evaluated;
}

export type CompiledFilter = { readonly kind: 'ok'; readonly filter: Filter } | InvalidExpression;

const LIMITS = {
  maxAstNodes: 1000,
  maxDepth: 50,
  maxListElements: 200,
  maxMapEntries: 100,
  maxCallArguments: 16,
};
const MISSING_CODES: ReadonlySet<unknown> = new Set(['no_such_key', 'no_such_field', 'index_out_of_bounds']);

const CONFIG_ROOTS = {
  event: 'map',
  profile: 'map',
  keys: 'map',
  keys_all: 'map',
  audiences: 'map',
  lookup: 'map',
  item: 'map',
} as const;
/** What expressions of a config speak of, besides `now`. */
export type Root = keyof typeof CONFIG_ROOTS;
type Roots = Readonly<Record<string, 'map' | 'string'>>;

let shared: Environment | undefined;

function environment(): Environment {
  shared ??= makeEnvironment(CONFIG_ROOTS);
  return shared;
}

function makeEnvironment(roots: Roots): Environment {
  const env = new Environment({
    enableOptionalTypes: true,
    homogeneousAggregateLiterals: false,
    limits: LIMITS,
  });
  for (const [name, type] of Object.entries(roots)) env.registerVariable(name, type);
  env.registerVariable('now', 'google.protobuf.Timestamp');
  const arithmetic: Record<string, (a: number, b: number) => number> = {
    '+': (a, b) => a + b,
    '-': (a, b) => a - b,
    '*': (a, b) => a * b,
    '/': (a, b) => a / b,
    '%': (a, b) => a % b,
  };
  for (const [operator, apply] of Object.entries(arithmetic)) {
    const mixed = (a: unknown, b: unknown) => apply(Number(a), Number(b));
    env.registerOperator(`int ${operator} double`, mixed);
    env.registerOperator(`double ${operator} int`, mixed);
  }
  registerFunctions(env);
  return env;
}

/** Compiles and type-checks an expression. */
export function compileExpression(source: string): Compiled {
  const compiled = compileIn(environment(), source);
  if (compiled.kind === 'invalid') return compiled;
  const { parsed, type } = compiled;
  const expression = {
    source,
    evaluate: (context: ExpressionContext) => evaluate(parsed, context as unknown as Record<string, unknown>),
  };
  return { kind: 'ok', type, expression };
}

/** Compiles a condition over `roots` and `now`, which must come out as yes or no. */
export function compileFilter(source: string, roots: Roots): CompiledFilter {
  const compiled = compileIn(makeEnvironment(roots), source);
  if (compiled.kind === 'invalid') return compiled;
  const { parsed, type } = compiled;
  if (type !== 'bool' && type !== 'dyn') {
    return { kind: 'invalid', reason: `the result is a ${type}, not true or false`, at: undefined };
  }
  return { kind: 'ok', filter: { evaluate: (context) => evaluate(parsed, { ...context }) } };
}

type Parsed = (context: Record<string, unknown>) => unknown;

function compileIn(
  env: Environment,
  source: string,
): { readonly kind: 'ok'; readonly parsed: Parsed; readonly type: string } | InvalidExpression {
  try {
    const parsed = env.parse(source) as Parsed & ReturnType<Environment['parse']>;
    const wrong = useOurs(parsed.ast);
    if (wrong) return { kind: 'invalid', reason: wrong.reason, at: placeOf(source, wrong.offset) };
    const checked = parsed.check();
    if (!checked.valid) return invalid(source, checked.error);
    meter(parsed.ast);
    return { kind: 'ok', parsed, type: String(checked.type) };
  } catch (error) {
    return invalid(source, error);
  }
}

/** Puts our functions in the place of the library's. Gives what is wrong with a pattern, and where. */
function useOurs(ast: unknown): { readonly reason: string; readonly offset: number } | undefined {
  let wrong: { readonly reason: string; readonly offset: number } | undefined;
  visitNodes(ast, (node) => {
    if (node.op !== 'call' && node.op !== 'rcall') return;
    const args = node.args as [name: unknown, ...rest: unknown[]];
    const ours = typeof args[0] === 'string' ? REPLACED.get(args[0]) : undefined;
    if (ours === undefined) return;
    if (args[0] === 'matches') wrong ??= wrongPattern(node as never);
    args[0] = ours;
  });
  return wrong;
}

/** A pattern is part of the config, so that it is compiled once and known to be linear. */
function wrongPattern(node: {
  readonly args: readonly unknown[];
  readonly start: number;
}): { readonly reason: string; readonly offset: number } | undefined {
  const pattern = (
    node.args.at(-1) as readonly { readonly op: string; readonly args: unknown; readonly start: number }[]
  )?.at(-1);
  if (pattern?.op !== 'value' || typeof pattern.args !== 'string')
    return {
      reason: 'matches() takes its pattern as a text that stands in the expression',
      offset: node.start,
    };
  const problem = patternProblem(pattern.args, PATTERN_SIZE_MAX);
  return problem === undefined ? undefined : { reason: `the pattern ${problem}`, offset: pattern.start };
}

function invalid(source: string, error: unknown): InvalidExpression {
  const range = error instanceof Error && 'range' in error ? error.range : undefined;
  const start = typeof range === 'object' && range !== null && 'start' in range ? range.start : undefined;
  const at = typeof start === 'number' ? placeOf(source, start) : undefined;
  return { kind: 'invalid', reason: inUsersWords(firstLine(error)), at };
}

/** Names as users write them, and what they may have meant by one that is not there. */
function inUsersWords(reason: string): string {
  let text = reason;
  for (const [theirs, ours] of REPLACED) text = text.replaceAll(ours, theirs);
  const called = /no matching overload for '(?:[^'(]*\.)?(\w+)\(/.exec(text)?.[1];
  const meant = called === undefined ? undefined : didYouMean(called, functionNames());
  return meant === undefined || meant === called ? text : `${text}; did you mean ${meant}()?`;
}

let names: readonly string[] | undefined;

function functionNames(): readonly string[] {
  names ??= [
    ...new Set(
      environment()
        .getDefinitions()
        .functions.map(({ name }) => name),
    ),
  ].filter((name) => ![...REPLACED.values()].includes(name));
  return names;
}

function placeOf(source: string, offset: number): { readonly line: number; readonly column: number } {
  const before = source.slice(0, offset).split('\n');
  return { line: before.length, column: before.at(-1)!.length + 1 };
}

const TOO_COSTLY: Evaluated = {
  kind: 'failed',
  reason: 'it costs too much on this event: it looks at too many things, too large ones, or both',
};

function evaluate(parsed: Parsed, context: Record<string, unknown>): Evaluated {
  // A missing field is an exception of the library, and usual: its stack trace would cost more than everything else.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  beginBudget((context as { readonly bytes?: number }).bytes ?? 0);
  try {
    const value = parsed(context);
    return isExhausted() ? TOO_COSTLY : { kind: 'value', value: plain(value) };
  } catch (error) {
    if (isExhausted()) return TOO_COSTLY;
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (MISSING_CODES.has(code)) return { kind: 'missing' };
    return { kind: 'failed', reason: firstLine(error) };
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** The result as JSON has it: ints come as bigint, timestamps as Date. Throws for what JSON does not have. */
function plain(value: unknown): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value;
    case 'bigint':
      return Number(value);
    case 'number':
      if (!Number.isFinite(value)) throw new Error('the result is no finite number');
      return value;
    case 'object':
      return value === null ? null : plainObject(value);
    default:
      throw new Error(`the result is a ${typeof value}, which JSON does not have`);
  }
}

function plainObject(value: object): unknown {
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  const entries = value instanceof Map ? [...value] : undefined;
  if (entries) return Object.fromEntries(entries.map(([key, part]) => [String(key), plain(part)]));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw new Error(`the result is a ${value.constructor.name}, which JSON does not have`);
  }
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, plain(part)]));
}

/** The expression with its string literals emptied, everything else in its place. */
function withoutTexts(source: string): string {
  const text = /r?("""(?:\\[\s\S]|[^\\])*?"""|'''(?:\\[\s\S]|[^\\])*?'''|"(\\.|[^"\\])*"|'(\\.|[^'\\])*')/g;
  return source.replace(text, (literal) => `'${' '.repeat(literal.length - 2)}'`);
}

const NAME_CONDITION = /^\s*event\.name\s*==\s*("[^"\\]*"|'[^'\\]*')\s*(&&|$)/;

/**
 * The event name without which a condition cannot hold: `event.name == "x"`, alone (`isAll`) or followed by `&&`.
 * Undefined when it does not begin so, or may hold otherwise.
 */
export function requiredEventName(
  source: string,
): { readonly eventName: string; readonly isAll: boolean } | undefined {
  const match = NAME_CONDITION.exec(source);
  if (!match || /\|\||\?/.test(withoutTexts(source))) return undefined;
  return { eventName: match[1]!.slice(1, -1), isAll: match[2] === '' };
}

/** Whether an expression speaks of a root at all. */
export function namesRoot(source: string, root: Root): boolean {
  return new RegExp(`(?<![.\\w])${root}(?!\\w)`).test(withoutTexts(source));
}

/** Whether an expression uses a root otherwise than by naming a field of it: `profile["views"]`, or all of it. */
export function usesWhole(source: string, root: Root): boolean {
  return new RegExp(`(?<![.\\w])${root}(?!\\w)(?!\\s*\\.\\s*\\??\\s*[a-zA-Z_])`).test(withoutTexts(source));
}

/** Which fields of a root an expression names: `profile.views` names `views` of `profile`. */
export function namedFields(source: string, root: Root): readonly string[] {
  const pattern = new RegExp(`(?<![.\\w])${root}\\s*\\.\\s*\\??\\s*([a-zA-Z_]\\w*)`, 'g');
  return [...withoutTexts(source).matchAll(pattern)].map((match) => match[1]!);
}

function firstLine(error: unknown): string {
  return errorText(error).split('\n')[0]!;
}
