// Stitching keys: one form for each value, nobody's ids left out with a reason, and the routing key.
import { describe, expect, it } from 'vitest';
import { keysOf, normalizeKey, routingKeyFor } from '../../../actors/identity/keys.ts';
import { encodeKeyValue } from '../../../shared/contract/names.ts';
import { configOf, eventOf } from '../profile/harness.ts';

const CONFIG = configOf(
  '',
  `keys:
    - { name: customer_id, limit: 1 }
    - { name: email, limit: 5, normalize: [trim, lowercase], valid: '^[^@\\s]+@[^@\\s]+$' }
    - { name: phone, limit: 5, normalize: [digits] }
    - { name: quoted, limit: 5, normalize: [trim, unquote, trim] }
    - { name: device, kind: device, limit: 100 }
  invalid: [Tester, " house account "]`,
);

function usableValue(name: string, raw: string): string {
  const key = normalizeKey(CONFIG, name, raw);
  return key.kind === 'ok' ? key.value : `${key.kind}`;
}

describe('normalizing', () => {
  it.each([
    ['customer_id', 'C-7', 'C-7'],
    ['customer_id', ' C-7', ' C-7'],
    ['email', '  Ann@Example.COM ', 'ann@example.com'],
    ['phone', '+49 (0)30 / 12-34', '490301234'],
    ['quoted', ' "abc" ', 'abc'],
    ['quoted', "'abc'", 'abc'],
    ['quoted', '"abc', '"abc'],
    ['device', 'D1', 'D1'],
  ])('%s %o is %o', (name, raw, value) => {
    expect(usableValue(name, raw)).toBe(value);
  });

  it('gives the same form again', () => {
    for (const raw of ['  Ann@Example.COM ', 'İ@x.y', 'Ω@x.y', 'ﬁ@x.y']) {
      const once = usableValue('email', raw);
      expect(usableValue('email', once)).toBe(once);
    }
  });

  it('makes one value of one text in two Unicode spellings', () => {
    expect(usableValue('device', 'caf\u00e9')).toBe(usableValue('device', 'cafe\u0301'));
  });

  it('gives two values never the same stored key', () => {
    const values = ['a\ud800', 'a\ud801', 'a\ufffd'].map((raw) => normalizeKey(CONFIG, 'device', raw));
    const usable = values.flatMap((key) => (key.kind === 'ok' ? [key.value] : []));
    expect(new Set(usable.map(encodeKeyValue)).size).toBe(new Set(usable).size);
  });

  it('does not know other keys, whatever objects inherit', () => {
    for (const name of ['mail', '', 'constructor', '__proto__']) {
      expect(normalizeKey(CONFIG, name, 'x').kind).toBe('unknown_key');
    }
  });
});

describe('what identifies nobody is rejected', () => {
  const JUNK = [
    ...[
      '',
      ' ',
      'null',
      'NULL',
      ' Null ',
      '"null"',
      "'null'",
      '`null`',
      'undefined',
      'uNdEfInEd',
      'nil',
      'none',
      'None',
    ],
    ...[
      'n/a',
      'N/A',
      'na',
      'unknown',
      'anonymous',
      'guest',
      'GUEST',
      '0',
      '-1',
      '00',
      '0000000000',
      '0.0',
      '---',
      '0-0',
    ],
    ...[
      '00000000-0000-0000-0000-000000000000',
      'nan',
      'NaN',
      'true',
      'False',
      '[object Object]',
      'unidentified',
    ],
    ...[
      'not set',
      '(not set)',
      'id',
      'email',
      'distinct_id',
      'DistinctId',
      'not_authenticated',
      '"NaN"',
      "'Guest'",
    ],
  ];

  it.each(JUNK)('%o', (raw) => {
    expect(normalizeKey(CONFIG, 'device', raw)).toEqual({
      kind: 'rejected',
      reason: raw.trim() === '' ? 'empty' : 'junk',
      detail: expect.stringMatching(/./),
    });
  });

  it.each([
    'user0',
    'emails',
    'anonymous2',
    'nullify',
    '10',
    '-10',
    'a',
    '0x1',
    'guest7',
    'no-one',
    'trueman',
  ])('but %o is an id', (raw) => {
    expect(usableValue('device', raw)).toBe(raw);
  });

  it('with the values of the config, in any dress', () => {
    for (const raw of ['tester', ' TESTER', '"Tester"', 'House Account']) {
      expect(normalizeKey(CONFIG, 'device', raw), raw).toMatchObject({ kind: 'rejected' });
    }
    expect(usableValue('device', 'tester2')).toBe('tester2');
  });

  it('when normalizing leaves nothing, or junk', () => {
    expect(normalizeKey(CONFIG, 'phone', 'call me')).toMatchObject({ kind: 'rejected' });
    expect(normalizeKey(CONFIG, 'phone', '+0 (00) 000')).toMatchObject({ kind: 'rejected' });
  });

  it.each(['ann', 'ann@', '@x', 'ann bob@x', 'x ann@x', 'ann@x\nbob@y'])(
    'when it does not match: %o',
    (raw) => {
      expect(normalizeKey(CONFIG, 'email', raw)).toMatchObject({ kind: 'rejected' });
    },
  );

  it('a long text costs time in proportion, not more', () => {
    const config = configOf('', `keys: [{ name: a, valid: '^(a+)+$' }]`);
    expect(normalizeKey(config, 'a', `${'a'.repeat(1000)}!`)).toMatchObject({ kind: 'rejected' });
  });
});

describe('the keys of an event', () => {
  it('are ordered by strength, not as sent', () => {
    const { usable } = keysOf(CONFIG, { keys: { device: 'd', email: 'A@x', customer_id: 'c' } });
    expect(usable.map(({ config, rank, value }) => [config.name, rank, value])).toEqual([
      ['customer_id', 0, 'c'],
      ['email', 1, 'a@x'],
      ['device', 4, 'd'],
    ]);
  });

  it('leave out what is junk or unknown, each with its reason', () => {
    const { usable, rejected } = keysOf(CONFIG, {
      keys: { device: 'd', email: 'nobody', customer_id: 'null', fax: '1' },
    });
    expect(usable.map(({ value }) => value)).toEqual(['d']);
    expect(rejected.map(({ name, value }) => [name, value])).toEqual([
      ['email', 'nobody'],
      ['customer_id', 'null'],
      ['fax', '1'],
    ]);
    expect(rejected.map(({ reason }) => reason)).toEqual(['not_valid', 'junk', 'unknown_key']);
  });
});

describe('the routing key', () => {
  const route = (keys: Record<string, string>) => routingKeyFor(CONFIG, eventOf({ id: 'm-9', keys }));

  it.each<[Record<string, string>, string]>([
    [{ customer_id: 'c', email: 'A@x', device: 'd' }, 'device:d'],
    [{ customer_id: 'c', email: ' A@x ' }, 'email:a@x'],
    [{ customer_id: 'c', device: 'null' }, 'customer_id:c'],
    [{ customer_id: 'c', email: 'broken' }, 'customer_id:c'],
    [{ device: 'null', email: 'x' }, ':m-9'],
  ])('of %j is %s', (keys, expected) => {
    expect(route(keys)).toBe(expected);
  });

  it('does not depend on the order of keys', () => {
    expect(route({ email: 'a@x', customer_id: 'c' })).toBe(route({ customer_id: 'c', email: 'a@x' }));
  });
});
