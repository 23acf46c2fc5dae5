// Normalizers of key values: the chain that a key is configured with, run in order. A chain that the config check lets
// through gives the same value again when it is run over its own result.
import type { KeyConfig, Normalizer } from '../../shared/contract/config/segment-config.ts';
import { unquote } from '../../shared/contract/junk-form.ts';
import { toE164 } from '../../shared/contract/phone.ts';

/** Hashing is not among the steps: what a value must be like is asked before it is hashed. */
type Step = Exclude<Normalizer, 'sha256'>;
type Plain = Exclude<Step, 'e164'>;

const PLAIN: Readonly<Record<Plain, (value: string) => string>> = {
  trim: (value) => value.trim(),
  lowercase: (value) => value.toLowerCase(),
  digits: digitsOf,
  unquote,
};

const NON_ASCII = /[^\0-\x7f]/;
const DECIMAL_DIGIT = /\p{Nd}/u;

/** The value after all steps but the hash, or why it is no phone number. */
export type Normalize = (
  value: string,
) => { readonly kind: 'ok'; readonly value: string } | { readonly kind: 'rejected'; readonly detail: string };

export function compileNormalizers({ normalize, region }: KeyConfig): Normalize {
  const steps = normalize.filter((name): name is Step => name !== 'sha256');
  const e164At = steps.indexOf('e164');
  const before = plainSteps(e164At < 0 ? steps : steps.slice(0, e164At));
  // Nothing that may stand behind it changes an E.164 number.
  if (e164At >= 0) return (value) => toE164(run(before, value), region);
  return (value) => ({ kind: 'ok', value: recomposed(run(before, value)) });
}

/** The one spelling of a text in Unicode (NFC); undefined when it has none. */
export function composed(text: string): string | undefined {
  // Most values are ASCII, which has no other spelling; to find that out costs a third of composing.
  if (!NON_ASCII.test(text)) return text;
  // Half a surrogate pair has no UTF-8 form: two different values would become one key.
  return text.isWellFormed() ? text.normalize('NFC') : undefined;
}

/** Of a text that was well-formed before it was normalized, which no step changes. */
function recomposed(text: string): string {
  return NON_ASCII.test(text) ? text.normalize('NFC') : text;
}

function plainSteps(steps: readonly Step[]): readonly ((value: string) => string)[] {
  return steps.filter((name): name is Plain => name !== 'e164').map((name) => PLAIN[name]);
}

function run(steps: readonly ((value: string) => string)[], value: string): string {
  let result = value;
  for (const step of steps) result = step(result);
  return result;
}

/** The decimal digits of any script, as ASCII: numbers that differ in a digit stay different. */
function digitsOf(value: string): string {
  if (!NON_ASCII.test(value)) return value.replace(/[^0-9]+/g, '');
  let digits = '';
  for (const char of value) if (DECIMAL_DIGIT.test(char)) digits += digitValue(char.codePointAt(0)!);
  return digits;
}

/** Unicode gives every script its digits in one run from 0 to 9; where runs touch, each begins at a multiple of ten. */
function digitValue(codePoint: number): number {
  let zero = codePoint;
  while (DECIMAL_DIGIT.test(String.fromCodePoint(zero - 1))) zero -= 1;
  return (codePoint - zero) % 10;
}
