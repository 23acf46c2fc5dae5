// Laws of key values: a value that was normalized is normalized to itself, whatever the chain; the way in, the look-up and
// the routing agree; any text gives a value or a reason, and quickly.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { keysOf, normalizeKey, routingKeyFor } from '../../actors/identity/keys.ts';
import { parseSegmentConfig } from '../../shared/contract/config/parse.ts';
import type { ConfigProblem } from '../../shared/contract/config/problem.ts';
import { NORMALIZERS, type SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { EVENT_LIMITS } from '../../shared/contract/event.ts';
import { routingKeyOf } from '../../shared/contract/routing.ts';
import { sha256Hex } from '../../shared/kernel/hash.ts';
import { configOf, eventOf } from '../unit/profile/harness.ts';

const REGIONS = ['', 'DE', 'US', 'IT', 'RU', 'AR', 'BR', 'MX', 'GB', 'HU', 'CN', 'SM'];

/** Every chain of up to three normalizers that the config check lets through, with each region where it is of use. */
const CHAINS: readonly { readonly name: string; readonly config: SegmentConfig }[] = chainsOf().flatMap(
  (chain) => {
    const regions = chain.includes('e164') ? REGIONS : [''];
    return regions.flatMap((region) => {
      const of = region === '' ? '' : `, region: ${region}`;
      const key = `{ name: k, normalize: [${chain.join(', ')}]${of}, invalid: [blocked, /x.*y/], allow: ['none', 'guest'] }`;
      const parsed = parseSegmentConfig(
        `segment: s\nstitching: { invalid: [everybody], keys: [${key}, { name: other, limit: 1 }] }\n`,
      );
      return parsed.kind === 'ok' ? [{ name: `[${chain.join(', ')}] ${region}`, config: parsed.config }] : [];
    });
  },
);

function chainsOf(): readonly (readonly string[])[] {
  const longer = (chains: readonly (readonly string[])[]) =>
    chains.flatMap((chain) => NORMALIZERS.map((name) => [...chain, name]));
  const [one, two] = [longer([[]]), longer(longer([[]]))];
  return [[], ...one, ...two, ...longer(two)];
}

/** What trips normalizers: quotes, blanks, digits of other scripts, letters that change length or spelling. */
const PARTS = [
  ...['"', "'", '`', ' ', '\t', '\n', '\u00a0', '\u2000', '\ufeff', '\u200b', '\u1fef', '/', '\\', '\0'],
  ...[
    'A',
    'z',
    'İ',
    'ı',
    'ß',
    'ẞ',
    'Σ',
    'ς',
    'é',
    'e\u0301',
    '\u0301\u0316',
    '\u0316',
    'Å',
    '\u212b',
    '\u212a',
    'ﬁ',
    'ŉ',
  ],
  ...[
    '0',
    '1',
    '49',
    '+',
    '-',
    '(',
    ')',
    '.',
    '00',
    '٣',
    '４',
    '\u{1d7d9}',
    '\u{1d7ff}',
    '+49',
    '0049',
    'ext. 5',
    ';ext=5',
    'x7',
  ],
  ...[
    'null',
    'none',
    'Guest',
    'blocked',
    'everybody',
    'xaay',
    '{{id}}',
    '\ud800',
    '\udc00',
    '\u{1f600}',
    '가',
    '\u1100\u1161',
  ],
];
const pieces = fc.array(fc.constantFrom(...PARTS), { maxLength: 14 }).map((parts) => parts.join(''));
const phone = fc
  .tuple(
    fc.constantFrom(
      '+',
      '00',
      '',
      '0',
      '011',
      '8',
      '+49',
      '+54 9',
      '+54',
      '+52 1',
      '+39 0',
      '+7',
      '+1',
      '06',
      '+55 0',
      '+86 0',
      '+55 090',
    ),
    fc.stringMatching(/^[0-9]{3,13}$/),
    fc.constantFrom('', ' ', '-', ' (0) '),
  )
  .map(([prefix, digits, gap]) => `${prefix}${digits.slice(0, 3)}${gap}${digits.slice(3)}`);
const text = fc.oneof(
  { weight: 4, arbitrary: pieces },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 30 }) },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 30 }) },
  { weight: 3, arbitrary: phone },
  { weight: 1, arbitrary: pieces.map((part) => sha256Hex(part)) },
  { weight: 1, arbitrary: pieces.map((part) => ` "${sha256Hex(part).toUpperCase()}" `) },
);
const chain = fc.constantFrom(...CHAINS);

describe('for every chain of normalizers', () => {
  it('there are chains of all normalizers, hashes last', () => {
    expect(CHAINS.length).toBeGreaterThan(100);
    for (const name of NORMALIZERS) expect(CHAINS.some((one) => one.name.includes(name))).toBe(true);
  });

  it('normalizing what is normalized changes nothing', () => {
    fc.assert(
      fc.property(chain, text, ({ config }, raw) => {
        const once = normalizeKey(config, 'k', raw);
        if (once.kind === 'ok') expect(normalizeKey(config, 'k', once.value)).toEqual(once);
      }),
      { numRuns: 20_000 },
    );
  });

  it('the way in, the look-up and the routing agree', () => {
    fc.assert(
      fc.property(chain, text, ({ config }, raw) => {
        const found = normalizeKey(config, 'k', raw);
        const event = eventOf({ id: 'm', keys: { k: raw } });
        const { usable, rejected } = keysOf(config, event);
        if (found.kind === 'ok') {
          expect(usable.map(({ value }) => value)).toEqual([found.value]);
          expect(routingKeyFor(config, event)).toBe(routingKeyOf('k', found.value));
          return;
        }
        expect(usable).toEqual([]);
        expect({ kind: 'rejected', ...rejected[0] }).toEqual({ ...found, name: 'k', value: raw });
        expect(routingKeyFor(config, event)).toBe(':m');
      }),
      { numRuns: 3000 },
    );
  });

  it('an accepted value is well-formed, in one spelling, and not too long', () => {
    fc.assert(
      fc.property(chain, text, ({ config }, raw) => {
        const key = normalizeKey(config, 'k', raw);
        if (key.kind !== 'ok') return;
        expect(key.value.isWellFormed() && key.value !== '' && key.value === key.value.normalize('NFC')).toBe(
          true,
        );
        expect(key.value.length).toBeLessThanOrEqual(EVENT_LIMITS.keyValueChars);
      }),
      { numRuns: 3000 },
    );
  });

  it('two spellings of one Unicode text are one value', () => {
    fc.assert(
      fc.property(chain, text, ({ config }, raw) => {
        fc.pre(raw.isWellFormed());
        const [a, b] = [
          normalizeKey(config, 'k', raw.normalize('NFD')),
          normalizeKey(config, 'k', raw.normalize('NFC')),
        ];
        expect(a).toEqual(b);
      }),
      { numRuns: 3000 },
    );
  });

  it('a value and its hash meet', () => {
    const config = configOf('', 'keys: [{ name: k, normalize: [trim, lowercase, sha256] }]');
    const plain = configOf('', 'keys: [{ name: k, normalize: [trim, lowercase] }]');
    fc.assert(
      fc.property(text, (raw) => {
        const value = normalizeKey(plain, 'k', raw);
        fc.pre(value.kind === 'ok' && !/^[0-9a-f]{64}$/i.test(value.value.replace(/["'`\s]/g, '')));
        if (value.kind !== 'ok') return;
        const hash = sha256Hex(value.value);
        expect(normalizeKey(config, 'k', raw)).toEqual({ kind: 'ok', value: hash });
        expect(normalizeKey(config, 'k', hash.toUpperCase())).toEqual({ kind: 'ok', value: hash });
      }),
    );
  });
});

describe('a file with any stitching section', () => {
  const word = fc.constantFrom('a', 'b', 'c', 'A b', '', '/x/', '/(/', '/x/i', '0', 'null', '{{', '\ud800');
  const any = fc.oneof(word, fc.integer({ min: -1, max: 200 }), fc.constantFrom(null, true, [], {}, 1.5));
  const oneOf = (...values: unknown[]) => fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...values) }, any);
  const listOf = (...values: string[]) =>
    fc.oneof({ weight: 8, arbitrary: fc.array(fc.constantFrom(...values), { maxLength: 3 }) }, any);
  const words = listOf('x', 'y', '/z.*/', '/[0-9]+/', 'none');
  const key = fc.record(
    {
      name: fc.constantFrom('a', 'b', 'c'),
      kind: oneOf('person', 'contact', 'device'),
      limit: oneOf(1, 5, 100, '3/30d'),
      normalize: listOf(...NORMALIZERS),
      region: oneOf('DE', 'US'),
      valid: oneOf('.+', '[a-z0-9+]*'),
      min_length: oneOf(2, 8),
      min_distinct_chars: oneOf(2, 3),
      invalid: words,
      allow: words,
      observe_only: oneOf(true, false),
      links: fc.oneof(
        fc.dictionary(fc.constantFrom('a', 'b', 'c', '__proto__'), fc.integer({ min: 0, max: 3 })),
        any,
      ),
      owner: oneOf('first', 'last_authenticated', 'none_when_shared'),
    },
    { requiredKeys: ['name'] },
  );
  const stitching = fc.record(
    {
      keys: fc.uniqueArray(key, { selector: ({ name }) => name, minLength: 1, maxLength: 3 }),
      invalid: words,
      on_limit: oneOf('demote_incoming', 'replace_oldest'),
      max_keys_per_profile: oneOf(10),
      on_max_keys: oneOf('refuse', 'evict_oldest'),
      logout: listOf('Out'),
      flag_after_profiles: oneOf(3),
    },
    { requiredKeys: ['keys'] },
  );

  type Fields = Record<string, unknown>;
  type Section = Fields & { keys: readonly Fields[] };

  /** Without the fields that the problems name. */
  function mended(section: Section, problems: readonly ConfigProblem[]): Section {
    const copy = structuredClone(section);
    for (const { path } of problems) {
      const [, index, field] = /^stitching\.keys\[(\d+)\]\.(\w+)/.exec(path) ?? [];
      if (field !== undefined) delete copy.keys[Number(index)]![field];
      const [, ofSection] = /^stitching\.(\w+)(\[\d+\])?$/.exec(path) ?? [];
      if (ofSection !== undefined && ofSection !== 'keys') delete copy[ofSection];
    }
    return copy;
  }

  it('is read without a throw, whatever stands for the keys', () => {
    const section = fc.oneof(
      any,
      fc.record({ keys: fc.oneof(any, fc.array(fc.oneof(any, key))), logout: words }),
    );
    fc.assert(
      fc.property(section, (anything) => {
        const parsed = parseSegmentConfig(JSON.stringify({ segment: 's', stitching: anything }));
        if (parsed.kind === 'invalid') expect(parsed.problems.length).toBeGreaterThan(0);
      }),
      { numRuns: 600 },
    );
  });

  it('is taken or refused with places; without the places it is taken, and takes every event', () => {
    let taken = 0;
    fc.assert(
      fc.property(stitching, text, (written, raw) => {
        let section = written as Section;
        for (let round = 0; round < 4; round++) {
          const yaml = JSON.stringify({ segment: 's', stitching: section }, undefined, 1);
          const parsed = parseSegmentConfig(yaml);
          if (parsed.kind === 'ok') {
            const event = { keys: { a: raw, b: raw, c: raw, d: raw } };
            const { usable, observed, rejected } = keysOf(parsed.config, event);
            expect(usable.length + observed.length + rejected.length).toBe(4);
            taken += 1;
            return;
          }
          expect(parsed.problems.length).toBeGreaterThan(0);
          for (const { line, message } of parsed.problems) {
            expect(line).toBeLessThanOrEqual(yaml.split('\n').length);
            expect(message).not.toContain('nameless');
          }
          section = mended(section, parsed.problems);
        }
        expect(section.keys).toEqual(section.keys.map((one) => ({ ...one, observe_only: true })));
      }),
      { numRuns: 600 },
    );
    expect(taken).toBeGreaterThan(200);
  });
});

describe('no value is slow, whatever the chain', () => {
  const MB = 1_000_000;
  const LONG: readonly (readonly [string, string])[] = [
    ['quotes', '"'.repeat(MB)],
    ['quotes and blanks', '" '.repeat(MB / 2)],
    ['blanks', `${' '.repeat(MB)}x`],
    ['marks out of order', `a${'\u0301\u0316'.repeat(MB / 2)}`],
    ['digits', '4'.repeat(MB)],
    ['halves of pairs', '\ud800'.repeat(MB)],
    ['letters', 'ab'.repeat(MB / 2)],
    ['zeros and a letter', `${'0'.repeat(MB)}a`],
  ];
  const PATTERNS = ['^(a+)+$', '(.*a){20}', '(a|b)*a(a|b){12}', '((ab)*|(a|b)*)*c', '(a?){60}a{60}'];
  const quick = CHAINS.filter((_, i) => i % 7 === 0);

  it.each(LONG)('%s, 1 MB of them and the most that is taken', (_, long) => {
    const sizes = [long, long.slice(0, EVENT_LIMITS.keyValueChars), long.slice(-EVENT_LIMITS.keyValueChars)];
    const before = process.cpuUsage().user;
    for (const { config } of quick) for (const raw of sizes) normalizeKey(config, 'k', raw);
    expect(
      (process.cpuUsage().user - before) / 1000 / quick.length / sizes.length,
      'ms a value',
    ).toBeLessThan(5);
  });

  it.each(PATTERNS)('the pattern %s', (pattern) => {
    const lists = [`valid: '${pattern}'`, `invalid: ['/${pattern}/']`, `allow: ['/${pattern}/']`];
    const configs = lists.map((list) => configOf('', `keys: [{ name: k, ${list} }]`));
    const values = ['a', 'ab', 'aab', 'ba'].map((part) => `${part.repeat(1000).slice(0, 1020)}!`);
    for (const config of configs) normalizeKey(config, 'k', values[0]!);
    const before = process.cpuUsage().user;
    for (const config of configs) for (const raw of values) normalizeKey(config, 'k', raw);
    expect((process.cpuUsage().user - before) / 1000 / 12, 'ms a value').toBeLessThan(50);
  });
});
