// Rules of a key: phone numbers, hashes, sizes, lists of junk of the config, keys that are only observed. Each rejection
// has its code and says why in words.
import examples from 'libphonenumber-js/examples.mobile.json' with { type: 'json' };
import { getCountries, getExampleNumber } from 'libphonenumber-js/min';
import { describe, expect, it } from 'vitest';
import { keysOf, normalizeKey, routingKeyFor } from '../../../actors/identity/keys.ts';
import type { SegmentConfig } from '../../../shared/contract/config/segment-config.ts';
import { REJECT_REASONS } from '../../../shared/contract/outbox.ts';
import { sha256Hex } from '../../../shared/kernel/hash.ts';
import { configOf, eventOf } from '../profile/harness.ts';

function configWith(key: string, more = ''): SegmentConfig {
  return configOf('', `{ keys: [{ name: k, ${key} }, { name: device, kind: device }]${more} }`);
}

/** The value, or the code of the rejection. */
function outcome(config: SegmentConfig, raw: string): string {
  const key = normalizeKey(config, 'k', raw);
  if (key.kind === 'rejected') expect(key.detail).toMatch(/\w+ \w+/);
  return key.kind === 'rejected' ? key.reason : key.kind === 'unknown_key' ? key.kind : key.value;
}

describe('e164', () => {
  it.each([
    ['DE', '030 1234567', '+49301234567'],
    ['DE', ' (030) 123-45.67 ', '+49301234567'],
    ['DE', '0049 30 1234567', '+49301234567'],
    ['DE', '+49 (0)30 / 1234567', '+49301234567'],
    ['DE', '+1 213 373 4253', '+12133734253'],
    ['US', '(213) 373-4253', '+12133734253'],
    ['US', '1 213 373 4253', '+12133734253'],
    ['US', '011 49 30 1234567', '+49301234567'],
    ['IT', '06 1234 5678', '+390612345678'],
    ['', '+49 30 1234567', '+49301234567'],
    ['', '＋４９ ３０ １２３４５６７', '+49301234567'],
    ['', '+٤٩٣٠١٢٣٤٥٦٧', '+49301234567'],
    ['', '+800 1234 5678', '+80012345678'],
  ])('in region %o, %o is %s', (region, raw, value) => {
    const of = region === '' ? '' : `, region: ${region}`;
    expect(outcome(configWith(`normalize: [e164]${of}`), raw)).toBe(value);
  });

  it.each([
    ['', '030 1234567'],
    ['', '0049 30 1234567'],
    ['', '49301234567'],
    ['DE', '110'],
    ['DE', 'call me'],
    ['DE', 'call 030 1234567 now'],
    ['DE', '030 1234567890123456'],
    // Without the area: the same digits are somebody else's in the next town.
    ['US', '373-4253'],
    ['US', '1-800-FLOWERS'],
    // A switchboard is not a person.
    ['US', '+1 213 373 4253 ext. 5'],
    ['US', '+12133734253;ext=5'],
    ['', '+999 123 456'],
    ['', '+'],
    // Read as a number of its own it loses another 0 each time.
    ['BR', '+55 0000000001'],
  ])('in region %o, %o is no phone number', (region, raw) => {
    const of = region === '' ? '' : `, region: ${region}`;
    expect(outcome(configWith(`normalize: [e164]${of}`), raw)).toBe('not_a_phone_number');
  });

  it('takes a number of every region, as people there write it', () => {
    for (const region of getCountries()) {
      const number = getExampleNumber(region, examples)!;
      const config = configWith(`normalize: [e164], region: ${region}`);
      for (const written of [number.formatNational(), number.formatInternational(), number.number])
        expect(outcome(config, written), `${region} ${written}`).toBe(number.number);
    }
  });

  it('says what is missing', () => {
    expect(normalizeKey(configWith('normalize: [e164]'), 'k', '030 1234567')).toMatchObject({
      detail: 'no phone number that starts with + and a country',
    });
    expect(normalizeKey(configWith('normalize: [e164], region: DE'), 'k', '123')).toMatchObject({
      detail: 'no possible number of country +49',
    });
  });
});

describe('sha256', () => {
  const config = configWith('normalize: [trim, lowercase, sha256], valid: ".+@.+", min_length: 6');
  const HASH = sha256Hex('ann@example.com');

  it.each(['ann@example.com', '  Ann@Example.COM ', HASH, HASH.toUpperCase(), ` "${HASH}" `])(
    'of %o is the hash of the address',
    (raw) => {
      expect(outcome(config, raw)).toBe(HASH);
    },
  );

  it('is of the UTF-8 of the value, in lower case', () => {
    expect(outcome(configWith('normalize: [sha256]'), 'Zoë')).toBe(
      'c6a12698582fc1104ea24107a2d7268145ff06ef859707729d01fd060897f067',
    );
    expect(outcome(configWith('normalize: [sha256]'), 'abc')).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });

  it('comes after the checks, which ask what was hashed', () => {
    expect(outcome(config, 'a@b')).toBe('too_short');
    expect(outcome(config, 'no address')).toBe('not_valid');
    expect(outcome(config, 'null')).toBe('junk');
    expect(outcome(config, HASH.slice(1))).toBe('not_valid');
  });

  it('of a phone number is of its E.164 form', () => {
    const phone = configWith('normalize: [e164, sha256], region: DE');
    expect(outcome(phone, '030 1234567')).toBe(sha256Hex('+49301234567'));
    expect(outcome(phone, sha256Hex('+49301234567'))).toBe(sha256Hex('+49301234567'));
  });

  it('of junk is junk, whoever hashed it', () => {
    expect(outcome(config, sha256Hex(''))).toBe('junk');
    expect(outcome(config, sha256Hex('null').toUpperCase())).toBe('junk');
    expect(outcome(config, '0'.repeat(64))).toBe('junk');
    const listed = configWith('normalize: [lowercase, sha256], invalid: [test@example.com], allow: [none]');
    expect(outcome(listed, sha256Hex('test@example.com'))).toBe('listed_invalid');
    expect(outcome(listed, sha256Hex('none'))).toBe(sha256Hex('none'));
    expect(outcome(listed, 'None')).toBe(sha256Hex('none'));
  });

  it('of what a list names is asked of the list, and of what it excepts', () => {
    const listed = configWith(
      'normalize: [sha256], invalid: [mine], allow: [/n.ne/, /hou.e/]',
      ', invalid: [house, store]',
    );
    for (const value of ['none', 'house', 'other']) {
      expect(outcome(listed, value)).toBe(sha256Hex(value));
      expect(outcome(listed, sha256Hex(value))).toBe(sha256Hex(value));
    }
    for (const value of ['mine', 'store']) {
      expect(outcome(listed, value)).toBe('listed_invalid');
      expect(outcome(listed, sha256Hex(value))).toBe('listed_invalid');
    }
  });

  it('of digits that have the form of a hash are the digits, in any writing', () => {
    const config = configWith('normalize: [digits, sha256]');
    const digits = '1234567890'.repeat(7).slice(0, 64);
    expect(outcome(config, digits)).toBe(digits);
    expect(outcome(config, digits.replace(/(.{4})/g, '$1-'))).toBe(digits);
  });

  it('can be listed itself', () => {
    const listed = configWith(`normalize: [sha256], invalid: [${HASH}]`);
    expect(outcome(listed, HASH)).toBe('listed_invalid');
    expect(outcome(listed, 'ann@example.com')).toBe('listed_invalid');
  });
});

describe('digits', () => {
  const config = configWith('normalize: [digits]');

  it.each([
    ['+49 (0)30 / 12-34', '490301234'],
    ['٠١٢-٣٤٥', '012345'],
    ['１２３', '123'],
    ['\u{1d7d9}\u{1d7ce}\u{1d7ff}', '109'],
    ['१२३', '123'],
    ['12²½', '12'],
  ])('of %o are %s', (raw, value) => {
    expect(outcome(config, raw)).toBe(value);
  });

  it('of every script count, so that two numbers never become one', () => {
    let count = 0;
    for (let code = 0x80; code < 0x1ffff; code++) {
      const char = code >= 0xd800 && code < 0xe000 ? '' : String.fromCodePoint(code);
      if (!/^\p{Nd}$/u.test(char)) continue;
      // NFKC knows the value of some; of all, the last of its script's ten is a 9.
      const known = /^[0-9]$/.exec(char.normalize('NFKC'))?.[0];
      const value = outcome(config, `7${char}`);
      expect(value, code.toString(16)).toMatch(known === undefined ? /^7[0-9]$/ : new RegExp(`^7${known}$`));
      count += 1;
    }
    expect(count).toBeGreaterThan(600);
  });
});

describe('unquote', () => {
  const config = configWith('normalize: [unquote]');

  it.each([
    [`"a b"`, 'a b'],
    [`  "a" `, 'a'],
    [`"'\`a\`'"`, 'a'],
    [`" 'a' "`, 'a'],
    [`"a'`, `"a'`],
    [` a `, ' a '],
    [`a"b"`, `a"b"`],
    [`"`, `"`],
  ])('of %o is %o', (raw, value) => {
    expect(outcome(config, raw)).toBe(value);
  });
});

describe('sizes', () => {
  it('are of the normalized value, in characters', () => {
    const config = configWith('normalize: [trim], min_length: 4, min_distinct_chars: 3');
    expect(outcome(config, '  abc  ')).toBe('too_short');
    expect(outcome(config, 'abcd')).toBe('abcd');
    expect(outcome(config, '\u{1f600}\u{1f601}\u{1f602}')).toBe('too_short');
    expect(outcome(config, '\u{1f600}\u{1f601}\u{1f602}\u{1f603}')).toMatch(/^\p{Emoji}{4}$/u);
    expect(outcome(config, '1111111')).toBe('too_uniform');
    expect(outcome(config, 'abababab')).toBe('too_uniform');
    expect(outcome(config, '12123')).toBe('12123');
  });

  it('end at the longest value that events may hold', () => {
    const config = configWith('normalize: [lowercase]');
    expect(outcome(config, 'a'.repeat(1024))).toHaveLength(1024);
    expect(outcome(config, 'a'.repeat(1025))).toBe('too_long');
    expect(outcome(config, 'İ'.repeat(1024)), 'twice as long in lower case').toBe('too_long');
  });
});

describe('lists of the config', () => {
  const config = configWith(
    `invalid: [Tester, '/test_.*/', '/[a-z]+@TEST\\.com/'], allow: ['0', none, '/guest-?\\d/', 'house']`,
    `, invalid: [house, store, '/pos-\\d+/']`,
  );

  it.each([
    ['tester', 'listed_invalid'],
    [' "TESTER" ', 'listed_invalid'],
    ['Test_17', 'listed_invalid'],
    ['qa@test.com', 'listed_invalid'],
    ['store', 'listed_invalid'],
    ['POS-12', 'listed_invalid'],
    ['test_a\nb', 'listed_invalid'],
    ['null', 'junk'],
    ['0', '0'],
    ['None', 'None'],
    ['House', 'House'],
    // A pattern is for the whole value.
    ['my test_1', 'my test_1'],
    ['qa@test.com.au', 'qa@test.com.au'],
    ['pos-12b', 'pos-12b'],
  ])('%o: %s', (raw, expected) => {
    expect(outcome(config, raw)).toBe(expected);
  });

  it('of one key say nothing of another', () => {
    expect(normalizeKey(config, 'device', 'tester').kind).toBe('ok');
    expect(normalizeKey(config, 'device', '0').kind).toBe('rejected');
    expect(normalizeKey(config, 'device', 'house').kind).toBe('rejected');
  });

  it('are asked once more when normalizing changed the value', () => {
    const digits = configWith(`normalize: [digits], invalid: ['4711']`);
    expect(outcome(digits, 'no. 47-11')).toBe('listed_invalid');
    expect(outcome(digits, 'no. 00-00')).toBe('junk');
    expect(outcome(digits, 'no number')).toBe('empty');
  });

  it('tell which list it was', () => {
    const details = ['tester', 'store', 'null', '{{ user.id }}', '" "'].map((raw) => {
      const key = normalizeKey(config, 'k', raw);
      return key.kind === 'rejected' ? key.detail : '';
    });
    expect(new Set(details).size).toBe(5);
  });

  it.each(['{{email}}', `\${user.id}`, '%%EMAIL%%', '*|EMAIL|*', '{{ a }} {{ b }}'])(
    'the placeholder %o was never filled in',
    (raw) => {
      expect(outcome(config, raw)).toBe('junk');
    },
  );

  it.each(['{a}', '$5', '100%', '*', '{{a', 'a{{b}}'])('%o is no placeholder', (raw) => {
    expect(outcome(config, raw)).toBe(raw);
  });
});

describe('a key that is only observed', () => {
  const config = configOf(
    '',
    `keys:
    - { name: user, limit: 1 }
    - { name: ad_id, observe_only: true, normalize: [lowercase], min_length: 3 }
    - { name: ga, observe_only: true }
    - { name: device, kind: device }`,
  );

  it('is normalized and checked, and apart from those that join', () => {
    const keys = { ga: 'G', ad_id: 'ABC', device: 'd', user: 'u' };
    const { usable, observed, rejected } = keysOf(config, { keys });
    expect(usable.map(({ value }) => value)).toEqual(['u', 'd']);
    expect(observed.map(({ config, value }) => [config.name, value])).toEqual([
      ['ad_id', 'abc'],
      ['ga', 'G'],
    ]);
    expect(rejected).toEqual([]);
    expect(keysOf(config, { keys: { ad_id: 'x', ga: 'null' } })).toMatchObject({
      observed: [],
      rejected: [{ reason: 'too_short' }, { reason: 'junk' }],
    });
  });

  it('routes nothing and finds nobody', () => {
    expect(routingKeyFor(config, eventOf({ keys: { user: 'u', ga: 'g' } }))).toBe('user:u');
    expect(routingKeyFor(config, eventOf({ id: 'm1', keys: { ga: 'g' } }))).toBe(':m1');
    expect(normalizeKey(config, 'ga', 'g')).toEqual({ kind: 'observed', value: 'g' });
  });
});

it('every reason has a value that is rejected for it', () => {
  const config = configOf(
    '',
    `{ keys: [{ name: k, normalize: [trim], valid: '[a-z]+', min_length: 3, min_distinct_chars: 2, invalid: [abc] }, { name: phone, normalize: [e164] }] }`,
  );
  const values = ['null', 'abc', 'ABC9', 'ab', 'aaa', 'a'.repeat(2000), '\ud800', ' '];
  const keys = values.map((k) => keysOf(config, { keys: { k, phone: '1', other: 'x' } }).rejected);
  const found = new Set(keys.flat().map(({ reason }) => reason));
  expect([...found].sort()).toEqual([...REJECT_REASONS].sort());
});
