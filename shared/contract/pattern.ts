// Patterns from a config (RE2 syntax): matched against a whole value, in time proportional to its length.
import { RE2JS } from 're2js';
import { errorText } from '../kernel/errors.ts';

export interface LinearPattern {
  matches(value: string): boolean;
}

export interface PatternOptions {
  /** Case does not count, and `.` stands for line breaks as well. */
  readonly isLoose?: boolean;
}

/** Instructions of a compiled pattern: its time is that many times the length of the value at worst. */
const INSTRUCTIONS_MAX = 3000;

/** Compiles a pattern that `patternProblem` has nothing against. */
export function compilePattern(text: string, { isLoose = false }: PatternOptions = {}): LinearPattern {
  const compiled = RE2JS.compile(text, isLoose ? RE2JS.CASE_INSENSITIVE | RE2JS.DOTALL : 0);
  return { matches: (value) => compiled.testExact(value) };
}

/** What is wrong with a pattern, in words; undefined when nothing is. */
export function patternProblem(text: string): string | undefined {
  try {
    if (RE2JS.compile(text).programSize() <= INSTRUCTIONS_MAX) return undefined;
    return 'is too costly a pattern: repeat less, or smaller parts';
  } catch (error) {
    return `is not a linear-time regular expression (RE2): ${errorText(error)}`;
  }
}
