// Patterns from a config (RE2 syntax): matched against a whole value, in time proportional to its length.
import { RE2JS } from 're2js';
import { errorText } from '../kernel/errors.ts';

export interface LinearPattern {
  matches(value: string): boolean;
  /** Instructions: the time of a match is at most that many times the length of the value. */
  readonly size: number;
}

export interface PatternOptions {
  /** Case does not count, and `.` stands for line breaks as well. */
  readonly isLoose?: boolean;
  /** It may match a part of the value. */
  readonly isPart?: boolean;
}

/** Instructions of a compiled pattern: its time is that many times the length of the value at worst. */
const INSTRUCTIONS_MAX = 3000;

/** Compiles a pattern that `patternProblem` has nothing against. */
export function compilePattern(
  text: string,
  { isLoose = false, isPart = false }: PatternOptions = {},
): LinearPattern {
  const compiled = RE2JS.compile(text, isLoose ? RE2JS.CASE_INSENSITIVE | RE2JS.DOTALL : 0);
  const matches = (value: string) => (isPart ? compiled.test(value) : compiled.testExact(value));
  return { matches, size: compiled.programSize() };
}

/** What is wrong with a pattern, in words; undefined when nothing is. */
export function patternProblem(text: string, instructionsMax = INSTRUCTIONS_MAX): string | undefined {
  try {
    if (RE2JS.compile(text).programSize() <= instructionsMax) return undefined;
    return 'is too costly a pattern: repeat less, or smaller parts';
  } catch (error) {
    return `is not a linear-time regular expression (RE2): ${errorText(error)}`;
  }
}
