// CEL (the Common Expression Language), compiled once and evaluated without ever throwing. Whole numbers of JSON are
// doubles and literals are ints, so arithmetic between the two is declared. `matches` is refused: the library runs it
// on a backtracking engine, which one event could stall.
import { Environment } from '@marcbachmann/cel-js';
import { errorText } from '../kernel/errors.ts';

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
  readonly now: Date;
}

export type Compiled =
  | { readonly kind: 'ok'; readonly expression: Expression; readonly type: string }
  | { readonly kind: 'invalid'; readonly reason: string };

const LIMITS = {
  maxAstNodes: 1000,
  maxDepth: 50,
  maxListElements: 200,
  maxMapEntries: 100,
  maxCallArguments: 16,
};
const MISSING_CODES: ReadonlySet<unknown> = new Set(['no_such_key', 'no_such_field', 'index_out_of_bounds']);

let shared: Environment | undefined;

function environment(): Environment {
  if (shared) return shared;
  const env = new Environment({
    enableOptionalTypes: true,
    homogeneousAggregateLiterals: false,
    limits: LIMITS,
  });
  for (const name of ['event', 'profile', 'keys', 'keys_all']) env.registerVariable(name, 'map');
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
  shared = env;
  return env;
}

/** Compiles and type-checks an expression. */
export function compileExpression(source: string): Compiled {
  try {
    const parsed = environment().parse(source);
    const checked = parsed.check();
    if (!checked.valid) return { kind: 'invalid', reason: firstLine(checked.error) };
    if (/\bmatches\s*(\/\/[^\n]*\n\s*)*\(/.test(withoutTexts(source))) {
      return {
        kind: 'invalid',
        reason: 'matches() is not supported yet; use startsWith, endsWith, contains or ==',
      };
    }
    const type = String(checked.type);
    return { kind: 'ok', type, expression: { source, evaluate: (context) => evaluate(parsed, context) } };
  } catch (error) {
    return { kind: 'invalid', reason: firstLine(error) };
  }
}

function evaluate(
  parsed: (context: Record<string, unknown>) => unknown,
  context: ExpressionContext,
): Evaluated {
  // A missing field is an exception of the library, and usual: its stack trace would cost more than everything else.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return { kind: 'value', value: plain(parsed(context as unknown as Record<string, unknown>)) };
  } catch (error) {
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

/** The expression without its string literals. */
function withoutTexts(source: string): string {
  return source.replace(/r?("""[\s\S]*?"""|'''[\s\S]*?'''|"(\\.|[^"\\])*"|'(\\.|[^'\\])*')/g, "''");
}

/** Which fields of a root an expression names: `profile.views` names `views` of `profile`. */
export function namedFields(source: string, root: 'profile' | 'keys' | 'keys_all'): readonly string[] {
  const pattern = new RegExp(`(?<![.\\w])${root}\\s*\\.\\s*\\??\\s*([a-zA-Z_]\\w*)`, 'g');
  return [...withoutTexts(source).matchAll(pattern)].map((match) => match[1]!);
}

function firstLine(error: unknown): string {
  return errorText(error).split('\n')[0]!;
}
