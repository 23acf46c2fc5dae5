// Values that are sent as identifiers and identify nobody: a built-in list, and those of the config. The built-in one is
// the union of what other systems block (Segment, PostHog, Tealium, RudderStack) and of ids that devices share by
// mistake. Compared after trimming, unquoting and lowercasing.
import type { KeyConfig } from '../../shared/contract/config/segment-config.ts';
import { junkForm, patternIn } from '../../shared/contract/junk-form.ts';
import type { RejectReason } from '../../shared/contract/outbox.ts';
import { compilePattern, type LinearPattern } from '../../shared/contract/pattern.ts';
import { sha256Hex } from '../../shared/kernel/hash.ts';

const JUNK: ReadonlySet<string> = new Set([
  '-',
  '.',
  '0',
  '-1',
  'null',
  '(null)',
  '<null>',
  '[null]',
  'nil',
  '<nil>',
  'none',
  '(none)',
  '<none>',
  'undefined',
  '(undefined)',
  '[undefined]',
  'nan',
  'n/a',
  'na',
  '#n/a',
  'unknown',
  'anonymous',
  'anon',
  'anonymous_id',
  'anonymousid',
  'distinct_id',
  'distinctid',
  'guest',
  'user',
  'visitor',
  'id',
  'userid',
  'user_id',
  'customer_id',
  'customerid',
  'device_id',
  'deviceid',
  'client_id',
  'clientid',
  'email',
  'not_authenticated',
  'not authenticated',
  'unauthenticated',
  'not set',
  '(not set)',
  'notset',
  'not provided',
  '(not provided)',
  'unidentified',
  'default',
  'empty',
  'blank',
  'missing',
  'invalid',
  'error',
  'true',
  'false',
  'yes',
  'no',
  '[object object]',
  'object',
  '{}',
  '[]',
  // The id of nobody's advertising, the largest UUID, one id of a whole series of phones, and a made-up address.
  'ffffffff-ffff-ffff-ffff-ffffffffffff',
  '9774d56d682e549c',
  '02:00:00:00:00:00',
]);

/** Nothing but zeros and separators. */
const ZEROS = /^[0\-_.: ]*$/;
/** A template that nobody filled in: everybody who was sent it would be one person. */
const PLACEHOLDER_STARTS = new Set('{$%*');
const PLACEHOLDER = /^(\{\{.*\}\}|\$\{.*\}|%%.*%%|\*\|.*\|\*)$/s;

const EMPTY_HASH = sha256Hex('');
/** What is left of junk that was hashed by the sender. */
const JUNK_BY_HASH: ReadonlyMap<string, string> = new Map(
  ['', ...JUNK].map((junk) => [sha256Hex(junk), junk]),
);

export interface Rejection {
  readonly reason: RejectReason;
  readonly detail: string;
}

/** Asks the lists, of values in the form of `junkForm`. */
export interface JunkLists {
  /** Why a value is taken for nobody's; undefined: it is not. */
  ofForm(form: string): Rejection | undefined;
  /** The same of a SHA-256 in hex: by the hashes of what the lists name. Patterns cannot be asked. */
  ofHash(hash: string): Rejection | undefined;
}

const EMPTY: Rejection = {
  reason: 'empty',
  detail: 'nothing is left of the value without blanks and quotes',
};
const JUNK_WORD: Rejection = { reason: 'junk', detail: 'a value that identifies nobody' };
const UNFILLED: Rejection = { reason: 'junk', detail: 'a placeholder that was not filled in' };
const JUNK_HASH: Rejection = { reason: 'junk', detail: 'the hash of a value that identifies nobody' };
const BY_KEY: Rejection = { reason: 'listed_invalid', detail: "listed under the key's 'invalid'" };
const BY_SEGMENT: Rejection = { reason: 'listed_invalid', detail: "listed under 'invalid' of stitching" };

/** The built-in list, the key's own, and the one of all keys; what the key allows is excepted from the first and last. */
export function compileJunk(key: KeyConfig, ofAllKeys: ValueList): JunkLists {
  const invalid = new ValueList(key.invalid);
  const allow = new ValueList(key.allow);
  return {
    ofForm(form) {
      if (form === '') return EMPTY;
      const known = builtIn(form);
      if (known && !allow.has(form)) return known;
      if (invalid.has(form)) return BY_KEY;
      return ofAllKeys.has(form) && !allow.has(form) ? BY_SEGMENT : undefined;
    },
    ofHash(hash) {
      if (hash === EMPTY_HASH || ZEROS.test(hash)) return JUNK_HASH;
      const isAllowed = (plain: string) => allow.has(hash) || allow.has(plain);
      const known = JUNK_BY_HASH.get(hash);
      if (known !== undefined && !isAllowed(known)) return JUNK_HASH;
      if (invalid.literalOf(hash) !== undefined) return BY_KEY;
      const listed = ofAllKeys.literalOf(hash);
      return listed !== undefined && !isAllowed(listed) ? BY_SEGMENT : undefined;
    },
  };
}

function builtIn(form: string): Rejection | undefined {
  if (JUNK.has(form) || ZEROS.test(form)) return JUNK_WORD;
  return PLACEHOLDER_STARTS.has(form[0]!) && PLACEHOLDER.test(form) ? UNFILLED : undefined;
}

/** A list of the config: literals, and `/patterns/` for the whole value. */
export class ValueList {
  readonly #literals: ReadonlySet<string>;
  readonly #byHash: ReadonlyMap<string, string>;
  readonly #patterns: readonly LinearPattern[];

  constructor(entries: readonly string[]) {
    const literals = entries.filter((entry) => patternIn(entry) === undefined).map(junkForm);
    this.#literals = new Set(literals);
    // A listed hash stands for itself.
    const itself = literals.map((literal) => [literal, literal] as const);
    this.#byHash = new Map([...itself, ...literals.map((literal) => [sha256Hex(literal), literal] as const)]);
    const patterns = entries.flatMap((entry) => patternIn(entry) ?? []);
    this.#patterns = patterns.map((pattern) => compilePattern(pattern, { isLoose: true }));
  }

  has(form: string): boolean {
    if (this.#literals.has(form)) return true;
    for (const pattern of this.#patterns) if (pattern.matches(form)) return true;
    return false;
  }

  /** The literal that has the hash, or is it. */
  literalOf(hash: string): string | undefined {
    return this.#byHash.get(hash);
  }
}
