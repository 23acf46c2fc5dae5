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
  | { readonly kind: 'ok'; readonly expression: Expression }
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
    if (/\bmatches\s*\(/.test(source)) {
      return {
        kind: 'invalid',
        reason: 'matches() is not supported yet; use startsWith, endsWith, contains or ==',
      };
    }
    return { kind: 'ok', expression: { source, evaluate: (context) => evaluate(parsed, context) } };
  } catch (error) {
    return { kind: 'invalid', reason: firstLine(error) };
  }
}

function evaluate(
  parsed: (context: Record<string, unknown>) => unknown,
  context: ExpressionContext,
): Evaluated {
  try {
    return { kind: 'value', value: plain(parsed(context as unknown as Record<string, unknown>)) };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (MISSING_CODES.has(code)) return { kind: 'missing' };
    return { kind: 'failed', reason: firstLine(error) };
  }
}

/** JSON values only: ints come as bigint, timestamps as Date. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map)
    return Object.fromEntries([...value].map(([key, part]) => [String(key), plain(part)]));
  return value;
}

function firstLine(error: unknown): string {
  return errorText(error).split('\n')[0]!;
}
