// The stitching section: every field is read, and what does nothing or contradicts itself is refused with its place.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseSegmentConfig } from '../../../shared/contract/config/parse.ts';
import type { ConfigProblem } from '../../../shared/contract/config/problem.ts';
import { SegmentFile } from '../../../shared/contract/config/schema.ts';
import { REJECT_REASONS } from '../../../shared/contract/outbox.ts';
import { configOf, DAY } from '../profile/harness.ts';

function problemsOf(stitching: string, rest = ''): readonly ConfigProblem[] {
  const parsed = parseSegmentConfig(`segment: s\nstitching:\n  ${stitching}\n${rest}`);
  return parsed.kind === 'ok' ? [] : parsed.problems;
}

/** Of one key `k` with the fields, beside a person and a device. */
function problemsOfKey(fields: string): readonly ConfigProblem[] {
  return problemsOf(
    `keys: [{ name: user, limit: 1 }, { name: k, ${fields} }, { name: device, kind: device }]`,
  );
}

describe('every field', () => {
  it('is read', () => {
    const { stitching } = configOf(
      '',
      `keys:
    - { name: user, limit: 1 }
    - name: phone
      kind: contact
      limit: 3/30d
      normalize: [trim, e164, sha256]
      region: DE
      valid: '\\+49.*'
      min_length: 8
      min_distinct_chars: 3
      invalid: ['+49 30 123', /test.*/]
      allow: [none]
      links: { user: 2 }
      owner: first
    - { name: ad_id, observe_only: true }
    - { name: device, kind: device, owner: last_authenticated }
  invalid: [tester]
  on_limit: replace_oldest
  max_keys_per_profile: 50
  on_max_keys: evict_oldest
  logout: [Logged Out]
  flag_after_profiles: 4`,
    );
    expect(stitching).toMatchObject({
      invalid: ['tester'],
      onLimit: 'replace_oldest',
      maxKeysPerProfile: 50,
      onMaxKeys: 'evict_oldest',
      logout: ['Logged Out'],
      flagAfterProfiles: 4,
    });
    expect(stitching.keys[1]).toEqual({
      name: 'phone',
      kind: 'contact',
      limit: 3,
      limitWindowMs: 30 * DAY,
      normalize: ['trim', 'e164', 'sha256'],
      region: 'DE',
      valid: '\\+49.*',
      minLength: 8,
      minDistinctChars: 3,
      invalid: ['+49 30 123', '/test.*/'],
      allow: ['none'],
      observeOnly: false,
      links: { user: 2 },
      owner: 'first',
    });
    expect(stitching.keys[2]).toMatchObject({ observeOnly: true, kind: 'device', limit: null });
  });

  it.each([
    ['limit: 1/30d', 'person'],
    ['limit: 5/30d', 'contact'],
    ['limit: 100/30d', 'device'],
  ])('%s makes a %s', (limit, kind) => {
    expect(configOf('', `keys: [{ name: k, ${limit} }]`).stitching.keys[0]).toMatchObject({
      kind,
      limitWindowMs: 30 * DAY,
    });
  });
});

describe('the readme', () => {
  const readme = readFileSync(join(import.meta.dirname, '../../../README.md'), 'utf8');
  const section = readme.split('## Stitching keys\n')[1]!.split('\n## ')[0]!;
  const example = /```yaml\n(.*?)```/s.exec(section)![1]!;
  const named = (table: string) =>
    [
      ...section
        .split(table)[1]!
        .split('\n\n')[0]!
        .matchAll(/^\| (`.+?) \|/gm),
    ]
      .flatMap(([, cell]) => [...cell!.matchAll(/`(\w+)`/g)])
      .map(([, name]) => name!);

  it('has an example that is valid', () => {
    expect(parseSegmentConfig(example)).toMatchObject({ kind: 'ok' });
  });

  it('tells every field, and shows it in the example', () => {
    const { stitching } = SegmentFile.properties;
    const ofKey = Object.keys(stitching.properties.keys.items.properties).filter((name) => name !== 'name');
    expect(named('| field of a key |').sort()).toEqual(ofKey.sort());
    const ofSection = Object.keys(stitching.properties).filter((name) => name !== 'keys');
    expect(named('| field of `stitching` |').sort()).toEqual(ofSection.sort());
    for (const name of [...ofKey, ...ofSection]) expect(example).toContain(`${name}:`);
  });

  it('tells every reason', () => {
    for (const reason of REJECT_REASONS) expect(section).toContain(reason);
  });
});

describe('one problem of a key', () => {
  it.each<[string, string, Partial<ConfigProblem>]>([
    [
      'a region without e164',
      'normalize: [trim, digits], region: DE',
      { code: 'SHAPE', path: 'stitching.keys[1].region', suggestion: 'normalize: [trim, e164]' },
    ],
    [
      'a region that there is not',
      'normalize: [e164], region: UK',
      { code: 'REFERENCE', path: 'stitching.keys[1].region', suggestion: 'GB' },
    ],
    [
      'a region in small letters',
      'normalize: [e164], region: de',
      { code: 'SHAPE', path: 'stitching.keys[1].region', suggestion: 'DE' },
    ],
    [
      'a region by name',
      'normalize: [e164], region: Germany',
      { message: "'Germany' is not a region: two capital letters such as DE or GB" },
    ],
    [
      'a hash that is not last',
      'normalize: [trim, sha256, lowercase]',
      { path: 'stitching.keys[1].normalize[1]', suggestion: '[trim, lowercase, sha256]' },
    ],
    [
      'digits and e164',
      'normalize: [digits, e164]',
      { path: 'stitching.keys[1].normalize[0]', suggestion: '[e164]' },
    ],
    [
      'a list that does not compile',
      "invalid: [a, '/(/']",
      { code: 'PATTERN', path: 'stitching.keys[1].invalid[1]' },
    ],
    [
      'an exception that does not compile',
      "allow: ['/a{9999}/']",
      { code: 'PATTERN', path: 'stitching.keys[1].allow[0]' },
    ],
    ['a pattern with flags', "invalid: ['/^test/i']", { code: 'PATTERN', suggestion: '/^test/' }],
    [
      'a pattern that costs too much',
      "valid: '((a{0,30}){0,30}b?){3}'",
      { code: 'PATTERN', path: 'stitching.keys[1].valid' },
    ],
    ['an empty entry', 'invalid: [\' "" \']', { code: 'SHAPE', path: 'stitching.keys[1].invalid[0]' }],
    [
      'an entry twice',
      "invalid: [Test, 'test ']",
      { code: 'DUPLICATE', path: 'stitching.keys[1].invalid[1]' },
    ],
    [
      'an exception twice',
      "allow: ['0', '\"0\"']",
      { code: 'DUPLICATE', path: 'stitching.keys[1].allow[1]' },
    ],
    [
      'an entry and its exception',
      'invalid: [a, b], allow: [B]',
      { code: 'DUPLICATE', path: 'stitching.keys[1].allow[0]' },
    ],
    [
      'an entry that is no text',
      'invalid: [0]',
      { code: 'SHAPE', path: 'stitching.keys[1].invalid[0]', suggestion: "'0'" },
    ],
    [
      'an entry that YAML takes for nothing',
      'invalid: [null]',
      { suggestion: "'null'", message: 'must be text: quote it' },
    ],
    [
      'a link to a key that there is not',
      'links: { users: 1 }',
      { code: 'REFERENCE', path: 'stitching.keys[1].links.users', suggestion: 'user' },
    ],
    ['a link to itself', 'links: { k: 1 }', { code: 'REFERENCE', path: 'stitching.keys[1].links.k' }],
    ['a link to what objects inherit', 'links: { constructor: 1 }', { code: 'REFERENCE' }],
    ['a link to none', 'links: { user: 0 }', { code: 'SHAPE', path: 'stitching.keys[1].links.user' }],
    [
      'an owner of a person by limit',
      'limit: 1, owner: first',
      {
        path: 'stitching.keys[1].owner',
        message: expect.stringContaining('its limit is 1') as unknown as string,
      },
    ],
    ['an owner of a person', 'kind: person, owner: first', { path: 'stitching.keys[1].owner' }],
    [
      'an owner that there is not',
      'kind: device, owner: last',
      { code: 'SHAPE', path: 'stitching.keys[1].owner' },
    ],
    ['an observed key with a limit', 'observe_only: true, limit: 1', { path: 'stitching.keys[1].limit' }],
    [
      'an observed key with links',
      'observe_only: true, links: { user: 1 }',
      { path: 'stitching.keys[1].links' },
    ],
    [
      'an observed key with an owner',
      'observe_only: true, owner: first',
      { path: 'stitching.keys[1].owner' },
    ],
    [
      'more different digits than there are',
      'normalize: [digits], min_distinct_chars: 11',
      { path: 'stitching.keys[1].min_distinct_chars' },
    ],
    [
      'a number longer than any',
      'normalize: [e164], min_length: 17',
      { path: 'stitching.keys[1].min_length' },
    ],
  ])('%s', (_, fields, expected) => {
    const problems = problemsOfKey(fields);
    expect(problems).toMatchObject([{ line: 3, ...expected }]);
    expect(problems[0]!.column).toBeGreaterThan(20);
  });

  it('has its exact place', () => {
    const yaml =
      'segment: s\nstitching:\n  keys:\n    - name: k\n      links:\n        user: 1\n        kk: 2\n    - name: user\n';
    const parsed = parseSegmentConfig(yaml);
    expect(parsed).toMatchObject({ problems: [{ line: 7, column: 9, path: 'stitching.keys[0].links.kk' }] });
    const list = 'segment: s\nstitching:\n  keys: [{ name: k }]\n  invalid:\n    - fine\n    - /(?=x)/\n';
    expect(parseSegmentConfig(list)).toMatchObject({ problems: [{ line: 6, column: 7, code: 'PATTERN' }] });
  });
});

describe('what is right is not refused', () => {
  it.each([
    'normalize: [trim, unquote, trim, lowercase, sha256]',
    'normalize: [e164, sha256], region: GB',
    "valid: '.{6,255}'",
    "invalid: [/home, '//', /usr/bin/x]",
    'limit: 1, kind: device, owner: none_when_shared',
    'observe_only: true, normalize: [lowercase], min_length: 3, invalid: [x]',
    "invalid: ['/test.*/'], allow: [tester]",
    'links: { user: 1, device: 3 }',
  ])('%s', (fields) => {
    expect(problemsOfKey(fields)).toEqual([]);
  });
});

describe('a limit of another form', () => {
  it.each<[string, string | undefined]>([
    ['0', undefined],
    ['-1', undefined],
    ['2.5', undefined],
    ["'5'", '5'],
    ['5/30days', '5/30d'],
    ['5 / 30 d', '5/30d'],
    ['5 per 2 weeks', '5/2w'],
    ['5/0d', undefined],
    ['0/30d', undefined],
    ['5/30', undefined],
    ['5/30d/2', undefined],
    ['5/99999d', undefined],
    ['unlimited', undefined],
    ['true', undefined],
    ['[1]', undefined],
    ['{}', undefined],
  ])('%s is one problem', (limit, suggestion) => {
    const problems = problemsOfKey(`limit: ${limit}`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ code: 'SHAPE', path: 'stitching.keys[1].limit', line: 3 });
    expect(problems[0]!.message).toContain('5/30d (values seen in the last 30 days)');
    expect(problems[0]!.suggestion).toBe(suggestion);
  });
});

describe('the section as a whole', () => {
  it.each<[string, string, Partial<ConfigProblem>]>([
    ['only observed keys', 'keys: [{ name: k, observe_only: true }]', { path: 'stitching.keys' }],
    [
      'a log-out without a name',
      "{ keys: [{ name: k }], logout: ['  '] }",
      { path: 'stitching.logout[0]', code: 'NAME' },
    ],
    [
      'a log-out with an empty name',
      "{ keys: [{ name: k }], logout: [''] }",
      { path: 'stitching.logout[0]' },
    ],
    [
      'a log-out twice',
      '{ keys: [{ name: k }], logout: [Out, Out] }',
      { path: 'stitching.logout[1]', code: 'DUPLICATE' },
    ],
    [
      'a log-out that frees nothing',
      '{ keys: [{ name: k, limit: 1 }], logout: [Out] }',
      { path: 'stitching.logout' },
    ],
    [
      'a last authenticated without persons',
      'keys: [{ name: k, owner: last_authenticated }]',
      { path: 'stitching.keys[0].owner' },
    ],
    [
      'a pattern of all keys',
      "{ keys: [{ name: k }], invalid: ['/[/'] }",
      { path: 'stitching.invalid[0]', code: 'PATTERN' },
    ],
    [
      'a value of all keys twice',
      '{ keys: [{ name: k }], invalid: [x, X] }',
      { path: 'stitching.invalid[1]' },
    ],
    ['another on_limit', '{ keys: [{ name: k }], on_limit: replace }', { path: 'stitching.on_limit' }],
    ['another on_max_keys', '{ keys: [{ name: k }], on_max_keys: evict }', { path: 'stitching.on_max_keys' }],
  ])('with %s', (_, stitching, expected) => {
    expect(problemsOf(stitching)).toMatchObject([{ line: 3, ...expected }]);
  });

  it('an expression does not see what is only observed', () => {
    const keys = 'keys: [{ name: user, limit: 1 }, { name: ad, observe_only: true }]';
    const rest = `events: [{ name: e, when: 'keys.ad == "x"' }]\n`;
    expect(problemsOf(keys, rest)).toMatchObject([{ code: 'REFERENCE', path: 'events[0].when' }]);
  });

  it('an attribute merges by a rule of its type', () => {
    const attributes = (list: string) => `events: [{ name: e, when: 'true' }]\nattributes: [${list}]\n`;
    const keys = 'keys: [{ name: user, limit: 1 }]';
    const single = 'name: a, type: single, on: e, value: event.name';
    const counter = 'name: b, type: counter, total: true, on: e';
    expect(
      problemsOf(keys, attributes(`{ ${single}, merge: restrictive }, { ${counter}, merge: max }`)),
    ).toEqual([]);
    expect(
      problemsOf(keys, attributes(`{ ${single}, merge: newset }, { ${counter}, merge: newest }`)),
    ).toMatchObject([
      { path: 'attributes[0].merge', suggestion: 'newest', message: expect.stringContaining('restrictive') },
      { path: 'attributes[1].merge', message: 'must be one of sum, max, survivor, union' },
    ]);
  });

  it('tells everything in one answer, of form and of meaning, in the order of the file', () => {
    const problems = problemsOf(`keys:
    - { name: user, limit: 0 }
    - { name: phone, region: DE, valid: '(' }
    - { name: email, normalize: [sha256, trim], links: { phon: 1 } }
    - { name: device, kind: devise }
  invalid: [x, X, /(/]
  logout: ['']`);
    expect(problems.map(({ line, path }) => `${line} ${path}`)).toEqual([
      '4 stitching.keys[0].limit',
      '5 stitching.keys[1].region',
      '5 stitching.keys[1].valid',
      '6 stitching.keys[2].normalize[0]',
      '6 stitching.keys[2].links.phon',
      '7 stitching.keys[3].kind',
      '8 stitching.invalid[1]',
      '8 stitching.invalid[2]',
      '9 stitching.logout[0]',
    ]);
    expect(problems.map(({ suggestion }) => suggestion ?? '')).toContain('phone');
  });

  it('tells what else is wrong with a key of bad form, each at its place', () => {
    const problems = problemsOf(`keys:
    - { kind: person }
    - { name: mail, limit: 0, normalize: [sha256, trim], links: { usr: 1 }, invalid: [x, X], colour: red }
    - { name: user, limit: 1, owner: first, allow: [null] }
    - 7
    - { name: device, kind: device, valid: '(' }
  invalid: [null, x]
  logout: [Out, Out]`);
    expect(problems.map(({ line, path }) => `${line} ${path}`)).toEqual([
      '4 stitching.keys[0]',
      '5 stitching.keys[1].limit',
      '5 stitching.keys[1].normalize[0]',
      '5 stitching.keys[1].links.usr',
      '5 stitching.keys[1].invalid[1]',
      '5 stitching.keys[1].colour',
      '6 stitching.keys[2].owner',
      '6 stitching.keys[2].allow[0]',
      '7 stitching.keys[3]',
      '8 stitching.keys[4].valid',
      '9 stitching.invalid[0]',
      '10 stitching.logout[1]',
    ]);
    expect(problems.every(({ message }) => !message.includes('nameless'))).toBe(true);
  });

  it.each([
    'normalize: [e146], region: DE',
    'kind: device, limit: none, owner: first',
    'kind: devise, limit: 1, owner: first',
    "observe_only: 'yes', limit: 3, links: { user: 1 }",
  ])('judges no field by another that cannot be read: %s', (fields) => {
    expect(problemsOfKey(fields)).toHaveLength(1);
  });

  it('says nothing of what a key of bad form might have been', () => {
    const problems = problemsOf(
      `{ keys: [{ name: user, limit: '1' }, { name: device, kind: devce, owner: last_authenticated }], logout: [Out] }`,
    );
    expect(problems.map(({ path }) => path)).toEqual(['stitching.keys[0].limit', 'stitching.keys[1].kind']);
  });
});
