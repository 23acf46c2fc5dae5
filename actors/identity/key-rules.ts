// The key rules of a config, compiled once, and the one check that every value of a key goes through: on the way in, at
// a look-up, for the routing. Total: any text gives a value or a reason, in time proportional to its length.
import type { KeyConfig, SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { EVENT_LIMITS } from '../../shared/contract/event.ts';
import { junkForm } from '../../shared/contract/junk-form.ts';
import type { RejectReason } from '../../shared/contract/outbox.ts';
import { compilePattern, type LinearPattern } from '../../shared/contract/pattern.ts';
import { sha256Hex } from '../../shared/kernel/hash.ts';
import { compileJunk, type JunkLists, type Rejection, ValueList } from './junk.ts';
import { compileNormalizers, composed, type Normalize } from './normalize.ts';

export interface KeyRule {
  readonly config: KeyConfig;
  /** 0 is the strongest. */
  readonly rank: number;
  readonly normalize: Normalize;
  readonly isHashed: boolean;
  readonly junk: JunkLists;
  readonly valid: LinearPattern | undefined;
}

export type CheckedValue =
  | { readonly kind: 'ok'; readonly value: string }
  | { readonly kind: 'rejected'; readonly reason: RejectReason; readonly detail: string };

const SHA256_HEX = /^[0-9a-f]{64}$/i;
const VALUE_MAX = EVENT_LIMITS.keyValueChars;

const compiled = new WeakMap<SegmentConfig, ReadonlyMap<string, KeyRule>>();

/** By key name. */
export function keyRulesOf(config: SegmentConfig): ReadonlyMap<string, KeyRule> {
  const known = compiled.get(config);
  if (known) return known;
  const ofAllKeys = new ValueList(config.stitching.invalid);
  const rules = new Map(
    config.stitching.keys.map((key, rank) => [key.name, compileRule(key, rank, ofAllKeys)] as const),
  );
  compiled.set(config, rules);
  return rules;
}

function compileRule(config: KeyConfig, rank: number, ofAllKeys: ValueList): KeyRule {
  return {
    config,
    rank,
    normalize: compileNormalizers(config),
    isHashed: config.normalize.includes('sha256'),
    junk: compileJunk(config, ofAllKeys),
    valid: config.valid === null ? undefined : compilePattern(config.valid),
  };
}

/** The one form of a value; a value that identifies nobody is rejected with the reason. */
export function checkValue(rule: KeyRule, raw: string): CheckedValue {
  // First of all: what follows may take more than its share of time over a very long text.
  if (raw.length > VALUE_MAX) return TOO_LONG;
  const text = composed(raw);
  if (text === undefined) return MALFORMED;
  const form = junkForm(text);
  if (rule.isHashed && SHA256_HEX.test(form)) return checkHash(rule, form);
  const junk = rule.junk.ofForm(form);
  if (junk) return rejected(junk);
  const normalized = rule.normalize(text);
  if (normalized.kind === 'rejected')
    return { kind: 'rejected', reason: 'not_a_phone_number', detail: normalized.detail };
  const { value } = normalized;
  const wrong = value === text ? undefined : wrongOnceNormalized(rule, value, form);
  if (wrong) return wrong;
  if (rule.isHashed && SHA256_HEX.test(value)) return checkHash(rule, value.toLowerCase());
  const misfit = misfitOf(rule, value);
  if (misfit) return misfit;
  return rule.isHashed ? checkHash(rule, sha256Hex(value)) : { kind: 'ok', value };
}

function checkHash({ junk }: KeyRule, hash: string): CheckedValue {
  const listed = junk.ofHash(hash);
  return listed ? rejected(listed) : { kind: 'ok', value: hash };
}

function wrongOnceNormalized({ junk }: KeyRule, value: string, formBefore: string): CheckedValue | undefined {
  if (value.length > VALUE_MAX) return TOO_LONG;
  const form = junkForm(value);
  if (form === formBefore) return undefined;
  const listed = form === '' ? EMPTIED : junk.ofForm(form);
  return listed && rejected(listed);
}

/** Of the normalized value, before it is hashed. */
function misfitOf({ config, valid }: KeyRule, value: string): CheckedValue | undefined {
  const { minLength, minDistinctChars } = config;
  if (minLength > 1 && charsUpTo(value, minLength) < minLength)
    return { kind: 'rejected', reason: 'too_short', detail: `shorter than ${minLength} characters` };
  if (minDistinctChars > 1 && distinctUpTo(value, minDistinctChars) < minDistinctChars)
    return {
      kind: 'rejected',
      reason: 'too_uniform',
      detail: `fewer than ${minDistinctChars} different characters`,
    };
  return valid === undefined || valid.matches(value) ? undefined : NOT_VALID;
}

function charsUpTo(value: string, enough: number): number {
  // At most two units make a character.
  if (value.length >= enough * 2) return enough;
  let count = 0;
  for (const _ of value) count += 1;
  return count;
}

function distinctUpTo(value: string, enough: number): number {
  const seen = new Set<string>();
  for (const char of value) if (seen.add(char).size >= enough) break;
  return seen.size;
}

function rejected({ reason, detail }: Rejection): CheckedValue {
  return { kind: 'rejected', reason, detail };
}

const TOO_LONG: CheckedValue = {
  kind: 'rejected',
  reason: 'too_long',
  detail: `longer than ${VALUE_MAX} characters`,
};
const MALFORMED: CheckedValue = {
  kind: 'rejected',
  reason: 'malformed',
  detail: 'not well-formed Unicode (half a surrogate pair)',
};
const NOT_VALID: CheckedValue = {
  kind: 'rejected',
  reason: 'not_valid',
  detail: "does not match the key's pattern 'valid'",
};
const EMPTIED: Rejection = { reason: 'empty', detail: 'nothing is left of the value once it is normalized' };
