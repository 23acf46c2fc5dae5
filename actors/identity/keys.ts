// Stitching keys of an event: normalized, checked, and ordered from strongest to weakest. The same code serves the way
// in, the look-up and the routing, so that one value is one key everywhere.
import { RE2JS } from 're2js';
import type { KeyConfig, Normalizer, SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { CustomerEvent } from '../../shared/contract/event.ts';
import { routingKeyOf, routingKeyOfMessage } from '../../shared/contract/routing.ts';
import { sha256Hex } from '../../shared/kernel/hash.ts';
import { isBuiltInJunk, junkForm, unquote } from './junk.ts';

export type NormalizedKey =
  | { readonly kind: 'ok'; readonly value: string }
  | { readonly kind: 'rejected'; readonly reason: string }
  | { readonly kind: 'unknown_key' };

export interface EventKey {
  readonly config: KeyConfig;
  /** 0 is the strongest. */
  readonly rank: number;
  readonly value: string;
}

export interface RejectedKey {
  readonly name: string;
  readonly value: string;
  readonly reason: string;
}

export interface EventKeys {
  /** Strongest first. */
  readonly usable: readonly EventKey[];
  /** Stored, and never joined by. */
  readonly observed: readonly EventKey[];
  readonly rejected: readonly RejectedKey[];
}

const NORMALIZE: Readonly<Record<Normalizer, (value: string) => string>> = {
  trim: (value) => value.trim(),
  lowercase: (value) => value.toLowerCase(),
  digits: (value) => value.replace(/[^0-9]/g, ''),
  unquote,
  e164: (value) => value,
  sha256: sha256Hex,
};

/** A config's key rules, compiled once. */
interface KeyRules {
  readonly byName: ReadonlyMap<string, { config: KeyConfig; rank: number; valid: RE2JS | undefined }>;
  readonly invalid: ReadonlySet<string>;
}

const compiled = new WeakMap<SegmentConfig, KeyRules>();

function rulesOf(config: SegmentConfig): KeyRules {
  const known = compiled.get(config);
  if (known) return known;
  const byName = new Map(
    config.stitching.keys.map((key, rank) => {
      const valid = key.valid === null ? undefined : RE2JS.compile(key.valid);
      return [key.name, { config: key, rank, valid }] as const;
    }),
  );
  const rules = { byName, invalid: new Set(config.stitching.invalid.map(junkForm)) };
  compiled.set(config, rules);
  return rules;
}

/** The one form of a key's value; a value that identifies nobody is rejected with the reason. */
export function normalizeKey(config: SegmentConfig, keyName: string, raw: string): NormalizedKey {
  const rules = rulesOf(config);
  const rule = rules.byName.get(keyName);
  if (!rule) return { kind: 'unknown_key' };
  // Half a surrogate pair has no UTF-8 form: two different values would become one key.
  if (!raw.isWellFormed()) return { kind: 'rejected', reason: 'not well-formed Unicode' };
  const form = junkForm(raw);
  if (isBuiltInJunk(form)) return { kind: 'rejected', reason: 'junk value' };
  if (rules.invalid.has(form)) return { kind: 'rejected', reason: 'listed as invalid' };
  let value = raw;
  for (const name of rule.config.normalize) value = NORMALIZE[name](value);
  value = value.normalize('NFC');
  if (value === '') return { kind: 'rejected', reason: 'empty once normalized' };
  if (value !== raw && isBuiltInJunk(junkForm(value))) return { kind: 'rejected', reason: 'junk value' };
  if (rule.valid && !rule.valid.matches(value)) return { kind: 'rejected', reason: 'does not match valid' };
  return { kind: 'ok', value };
}

/** All keys of an event, checked. Names that the config does not know are rejected too: it may have changed since. */
export function keysOf(config: SegmentConfig, event: Pick<CustomerEvent, 'keys'>): EventKeys {
  const rules = rulesOf(config);
  const usable: EventKey[] = [];
  const rejected: RejectedKey[] = [];
  for (const name of Object.keys(event.keys)) {
    const raw = event.keys[name]!;
    const key = normalizeKey(config, name, raw);
    if (key.kind === 'ok') {
      const { config: keyConfig, rank } = rules.byName.get(name)!;
      usable.push({ config: keyConfig, rank, value: key.value });
    } else {
      const reason = key.kind === 'rejected' ? key.reason : 'not a stitching key of the config';
      rejected.push({ name, value: raw, reason });
    }
  }
  usable.sort((a, b) => a.rank - b.rank);
  return { usable, observed: [], rejected };
}

/** What an event is routed by: its weakest usable key (the device before the person), else its message id. */
export function routingKeyFor(config: SegmentConfig, event: CustomerEvent): string {
  const weakest = keysOf(config, event).usable.at(-1);
  return weakest ? routingKeyOf(weakest.config.name, weakest.value) : routingKeyOfMessage(event.messageId);
}
