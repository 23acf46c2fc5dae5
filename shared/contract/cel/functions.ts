// What expressions can do beyond the library's own functions: each by its CEL signature. Every one is pure, bounded by the
// size of what it is given, and throws an Error with words for whoever wrote the expression.
import { Duration, type Environment } from '@marcbachmann/cel-js/evaluator';
import { parseDurationMs } from '../../kernel/duration.ts';
import { compilePattern, type LinearPattern } from '../pattern.ts';
import { spend } from './budget.ts';

/** Longest text that a pattern is tried on. */
const PATTERN_SUBJECT_MAX = 16_384;
/** Instructions of a pattern. */
export const PATTERN_SIZE_MAX = 1_000;
/** Instructions times characters that count as one step. */
const PATTERN_WORK_PER_STEP = 500;
/** Longest text, and list, that an expression may make. */
const TEXT_MAX = 1_048_576;
const LIST_MAX = 100_000;
const DAY_MS = 86_400_000;

type Handler = (...args: never[]) => unknown;

/** Methods and functions that stand for one of the library's: theirs are not bounded, or mean less. */
export const REPLACED: ReadonlyMap<string, string> = new Map([
  ['matches', 'matches_re2'],
  ['split', 'split_bounded'],
  ['duration', 'duration_days'],
]);

const patterns = new Map<string, LinearPattern>();

function matches(text: string, pattern: string): boolean {
  if (text.length > PATTERN_SUBJECT_MAX)
    throw new Error(
      `matches() takes texts of up to ${PATTERN_SUBJECT_MAX} characters, this has ${text.length}`,
    );
  let compiled = patterns.get(pattern);
  if (!compiled) {
    // Patterns are literals of configs: few.
    compiled = compilePattern(pattern, { isPart: true });
    patterns.set(pattern, compiled);
  }
  spend((compiled.size * text.length) / PATTERN_WORK_PER_STEP);
  return compiled.matches(text);
}

function split(text: string, separator: string): readonly string[] {
  const parts = text.split(separator, LIST_MAX + 1);
  if (parts.length > LIST_MAX) throw new Error(`split() makes more than ${LIST_MAX} parts`);
  return parts;
}

function replace(text: string, from: string, to: string): string {
  if (from === '') throw new Error('replace() needs a text to look for');
  const count = text.split(from).length - 1;
  if (text.length + count * (to.length - from.length) > TEXT_MAX)
    throw new Error('replace() makes too long a text');
  return text.split(from).join(to);
}

function duration(text: string): Duration {
  const ms = parseDurationMs(text);
  if (ms === undefined) throw new Error(`'${text}' is not a duration such as 30s, 15m, 24h, 90d or 2w`);
  return Duration.fromMilliseconds(ms);
}

/** As numbers: whole ones of expressions come as bigint. */
function numbers(list: readonly unknown[], name: string): number[] {
  return list.map((value) => {
    if (typeof value !== 'number' && typeof value !== 'bigint')
      throw new Error(`${name}() takes a list of numbers`);
    return Number(value);
  });
}

function furthest(list: readonly unknown[], name: 'min' | 'max'): unknown {
  if (list.length === 0) throw new Error(`${name}() of an empty list`);
  if (list.every((value) => typeof value === 'string'))
    return list.reduce((best, value) => (value < best === (name === 'min') ? value : best));
  const all = numbers(list, name);
  return all.reduce((best, value) => (value < best === (name === 'min') ? value : best));
}

function sum(list: readonly unknown[]): number {
  return numbers(list, 'sum').reduce((total, value) => total + Math.round(value * 1e6), 0) / 1e6;
}

function average(list: readonly unknown[]): number {
  if (list.length === 0) throw new Error('avg() of an empty list');
  return sum(list) / list.length;
}

function distinct(list: readonly unknown[]): readonly unknown[] {
  const seen = new Map(list.map((value) => [identityOf(value), value]));
  return [...seen.values()];
}

function identityOf(value: unknown): string {
  return (
    JSON.stringify(value, (_name, part: unknown) => (typeof part === 'bigint' ? Number(part) : part)) ??
    'null'
  );
}

function sorted(list: readonly unknown[]): readonly unknown[] {
  if (list.every((value) => typeof value === 'string')) return [...list].sort();
  return numbers(list, 'sort').sort((a, b) => a - b);
}

function end(list: readonly unknown[], at: 0 | -1): unknown {
  if (list.length === 0) throw new Error(`${at === 0 ? 'first' : 'last'}() of an empty list`);
  return list.at(at);
}

function date(time: Date, zone: string): string {
  try {
    return new Intl.DateTimeFormat('en-CA', { timeZone: zone, dateStyle: 'short' }).format(time);
  } catch {
    throw new Error(`there is no time zone '${zone}'`);
  }
}

function toNumber(value: unknown, name: string): number {
  if (typeof value === 'number' || typeof value === 'bigint') return Number(value);
  throw new Error(`math.${name}() takes numbers`);
}

const math = (name: string, apply: (...values: number[]) => number): Handler =>
  ((_space: unknown, ...values: unknown[]) =>
    apply(...values.map((value) => toNumber(value, name)))) as Handler;

const TS = 'google.protobuf.Timestamp';
const FUNCTIONS: readonly (readonly [signature: string, handler: Handler])[] = [
  ['string.matches_re2(string): bool', matches],
  ['matches_re2(string, string): bool', matches],
  ['string.split_bounded(string): list<string>', split],
  ['string.replace(string, string): string', replace],
  ['duration_days(string): google.protobuf.Duration', duration],
  ['list.sum(): double', sum],
  ['list.avg(): double', average],
  ['list.min(): dyn', (list: readonly unknown[]) => furthest(list, 'min')],
  ['list.max(): dyn', (list: readonly unknown[]) => furthest(list, 'max')],
  ['list.first(): dyn', (list: readonly unknown[]) => end(list, 0)],
  ['list.last(): dyn', (list: readonly unknown[]) => end(list, -1)],
  ['list.distinct(): list<dyn>', distinct],
  ['list.sort(): list<dyn>', sorted],
  ['list.flatten(): list<dyn>', (list: readonly unknown[]) => list.flat().slice(0, LIST_MAX)],
  [`string(${TS}): string`, (time: Date) => time.toISOString()],
  [`${TS}.date(): string`, (time: Date) => time.toISOString().slice(0, 10)],
  [`${TS}.date(string): string`, date],
  [
    `daysBetween(${TS}, ${TS}): int`,
    (from: Date, to: Date) => BigInt(Math.trunc((to.getTime() - from.getTime()) / DAY_MS)),
  ],
];

class MathNamespace {}

/** Registers everything; returns the names, for suggestions. */
export function registerFunctions(env: Environment): void {
  for (const [signature, handler] of FUNCTIONS)
    env.registerFunction(signature, handler as (...args: unknown[]) => unknown);
  env.registerType('MathNamespace', MathNamespace);
  env.registerConstant('math', 'MathNamespace', new MathNamespace());
  const one: Readonly<Record<string, (value: number) => number>> = {
    abs: Math.abs,
    round: Math.round,
    floor: Math.floor,
    ceil: Math.ceil,
    sqrt: Math.sqrt,
  };
  for (const [name, apply] of Object.entries(one))
    env.registerFunction(
      `MathNamespace.${name}(dyn): double`,
      math(name, apply) as (...args: unknown[]) => unknown,
    );
  for (const [name, apply] of [
    ['greatest', Math.max],
    ['least', Math.min],
  ] as const)
    for (const count of [2, 3, 4]) {
      const args = Array.from({ length: count }, () => 'dyn').join(', ');
      env.registerFunction(
        `MathNamespace.${name}(${args}): double`,
        math(name, apply) as (...args: unknown[]) => unknown,
      );
    }
}
