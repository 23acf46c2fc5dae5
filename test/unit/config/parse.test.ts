// Segment config files: what is taken, what is refused, and that every problem is told at once with its place.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseSegmentConfig } from '../../../shared/contract/config/parse.ts';
import type { ConfigProblem } from '../../../shared/contract/config/problem.ts';
import { configOf, parseConfig } from '../profile/harness.ts';

const CONTRACT = readFileSync(
  join(import.meta.dirname, '../../fixtures/config/contract-example.yaml'),
  'utf8',
);
const MINIMAL = 'segment: shop\nstitching:\n  keys: [{ name: customer_id, limit: 1 }]\n';

function problemsOf(yaml: string): readonly ConfigProblem[] {
  const parsed = parseSegmentConfig(yaml);
  return parsed.kind === 'ok' ? [] : parsed.problems;
}

/** Problems of a file that ends with `rest` after a sound stitching section. */
function problemsWith(rest: string): readonly ConfigProblem[] {
  return problemsOf(`${MINIMAL}${rest}`);
}

function digestOf(yaml: string): string {
  const parsed = parseSegmentConfig(yaml);
  if (parsed.kind !== 'ok') throw new Error(JSON.stringify(parsed.problems));
  return parsed.digest;
}

describe('the example of the contract', () => {
  it('validates', () => {
    expect(parseSegmentConfig(CONTRACT)).toMatchObject({ kind: 'ok' });
  });

  it('is read whole', () => {
    const { stitching, events, attributes, activations, triggers } = parseConfig(CONTRACT);
    expect(stitching.keys.map(({ name, limit, kind }) => [name, limit, kind])).toEqual([
      ['customer_id', 1, 'person'],
      ['email', 5, 'contact'],
      ['phone', 5, 'contact'],
      ['anonymous_id', 100, 'device'],
    ]);
    expect(stitching.keys[1]).toMatchObject({
      normalize: ['trim', 'lowercase'],
      valid: String.raw`^[^@\s]+@[^@\s]+$`,
    });
    expect(events).toHaveLength(5);
    expect(attributes.slice(0, 3)).toMatchObject([
      { name: 'last_category', type: 'single', value: 'event.properties.category', ttlMs: 30 * 86_400_000 },
      {
        name: 'views',
        windows: [
          { name: '1h', ms: 3_600_000 },
          { name: '7d', ms: 604_800_000 },
        ],
      },
      { name: 'lifetime_spend', total: true, by: 'event.properties.revenue' },
    ]);
    expect(activations.map(({ name }) => name)).toEqual([
      'cart_mail',
      'cart_push',
      'cart_sms',
      'vip_welcome',
    ]);
    expect(triggers).toEqual([
      {
        name: 'vip',
        on: { event: 'ordered' },
        when: 'profile.lifetime_spend >= 1000',
        once: true,
        everyMs: null,
        priority: 0,
        activate: 'vip_welcome',
      },
    ]);
  });
});

describe('defaults', () => {
  it('are filled in', () => {
    expect(configOf('', 'keys: [{ name: a }]')).toMatchObject({
      stitching: {
        keys: [{ name: 'a', limit: null, normalize: [], valid: null }],
        invalid: [],
        maxKeysPerProfile: 200,
        retention: { anonymousMs: 90 * 86_400_000, knownMs: null, redirectsMs: 400 * 86_400_000 },
      },
      events: [],
      attributes: [],
      activations: [],
      triggers: [],
      catalogs: [],
    });
  });

  it.each([
    ['limit: 1', 'person'],
    ['limit: 2', 'contact'],
    ['limit: 99', 'contact'],
    ['limit: 100', 'device'],
    ['limit: 1, kind: device', 'device'],
    ['limit: 100, kind: person', 'person'],
  ])('a key with %s is a %s', (fields, kind) => {
    const config = configOf('', `keys: [{ name: a, ${fields} }, { name: z, kind: device }]`);
    expect(config.stitching.keys[0]!.kind).toBe(kind);
  });

  it('keep normalizers in the order of the file', () => {
    const config = configOf('', 'keys: [{ name: a, normalize: [lowercase, unquote, trim] }]');
    expect(config.stitching.keys[0]!.normalize).toEqual(['lowercase', 'unquote', 'trim']);
  });

  it('a trigger without when and once fires always', () => {
    const config = configOf(
      `events: [{ name: e, when: 'true' }]\nactivations: [{ name: a }]\ntriggers: [{ name: t, on: e, activate: a }]`,
    );
    expect(config.triggers).toEqual([
      { name: 't', on: { event: 'e' }, when: null, once: false, everyMs: null, priority: 0, activate: 'a' },
    ]);
    expect(config.activations).toMatchObject([
      { name: 'a', to: [], payload: {}, channel: null, caps: [], quiet: null, consent: null },
    ]);
  });
});

describe('a wrong file', () => {
  const EVENT = "events: [{ name: bought, when: 'true' }]\n";
  const ACTIVATION = 'activations: [{ name: thank }]\n';

  it.each<[string, string, Partial<ConfigProblem>]>([
    [
      'an unknown section',
      'event: []\n',
      { code: 'UNKNOWN_FIELD', line: 4, column: 1, suggestion: 'events' },
    ],
    [
      'an unknown field',
      "events: [{ name: e, wen: 'true', when: 'true' }]\n",
      { code: 'UNKNOWN_FIELD', line: 4, column: 21, suggestion: 'when' },
    ],
    [
      'a missing field',
      'events: [{ name: e }]\n',
      { code: 'SHAPE', line: 4, message: "the field 'when' is missing" },
    ],
    ['a field of the wrong type', 'events: 5\n', { code: 'SHAPE', line: 4, column: 9 }],
    [
      'a wrong name',
      "events: [{ name: Bought, when: 'true' }]\n",
      { code: 'SHAPE', line: 4, column: 18, path: 'events[0].name' },
    ],
    [
      'a name twice',
      "events:\n  - { name: e, when: 'true' }\n  - { name: e, when: 'true' }\n",
      { code: 'DUPLICATE', line: 6, column: 13, path: 'events[1].name' },
    ],
    [
      'an attribute and an aggregate of one name',
      `${EVENT}attributes:\n  - { name: n, type: counter, total: true, on: bought }\n  - { name: l, type: list, on: bought, id: event.name, aggregate: { n: { count: all } } }\n`,
      { code: 'DUPLICATE', line: 7, path: 'attributes[1].aggregate.n' },
    ],
    [
      'a table and an attribute of one name',
      `${EVENT}attributes: [{ name: crm, type: counter, total: true, on: bought }]\nbatch: { tables: [{ name: crm, key: customer_id, attributes: { a: string } }] }\n`,
      { code: 'DUPLICATE', line: 6, path: 'batch.tables[0].name' },
    ],
    [
      'an unknown attribute type',
      'attributes: [{ name: a, type: singel }]\n',
      { code: 'SHAPE', line: 4, column: 31, suggestion: 'single' },
    ],
    [
      'an unknown key event',
      `${EVENT}attributes: [{ name: a, type: counter, total: true, on: bougth }]\n`,
      { code: 'REFERENCE', line: 5, path: 'attributes[0].on', suggestion: 'bought' },
    ],
    [
      'an unknown activation',
      `${EVENT}${ACTIVATION}triggers: [{ name: t, on: bought, activate: thanks }]\n`,
      { code: 'REFERENCE', line: 6, path: 'triggers[0].activate', suggestion: 'thank' },
    ],
    [
      'an unknown destination',
      'activations: [{ name: a, to: crm }]\ndestinations: [{ name: crm1, type: log }]\n',
      { code: 'REFERENCE', line: 4, path: 'activations[0].to', suggestion: 'crm1' },
    ],
    [
      'an unknown key of a table',
      'batch: { tables: [{ name: crm, key: customer, attributes: { a: string } }] }\n',
      { code: 'REFERENCE', line: 4, path: 'batch.tables[0].key' },
    ],
    [
      'CEL that does not parse',
      "events: [{ name: e, when: 'event.name ==' }]\n",
      { code: 'EXPRESSION', line: 4 },
    ],
    [
      'CEL over a root that there is not',
      `events: [{ name: e, when: 'evnt.name == "x"' }]\n`,
      { code: 'EXPRESSION', line: 4 },
    ],
    [
      'CEL of the wrong types',
      `events: [{ name: e, when: '1 + "a" == 2' }]\n`,
      { code: 'EXPRESSION', line: 4 },
    ],
    [
      'CEL in a template that does not parse',
      "activations: [{ name: a, payload: { x: ['{{ keys. }}'] } }]\n",
      { code: 'EXPRESSION', line: 4 },
    ],
    [
      'a window that is no duration',
      `${EVENT}attributes: [{ name: a, type: counter, on: bought, windows: [1h, 7days] }]\n`,
      { code: 'DURATION', line: 5, path: 'attributes[0].windows[1]' },
    ],
    [
      'a ttl that is no duration',
      `${EVENT}attributes: [{ name: a, type: single, on: bought, value: event.name, ttl: 30days }]\n`,
      { code: 'DURATION', line: 5, path: 'attributes[0].ttl' },
    ],
    [
      'a counter that counts into nothing',
      `${EVENT}attributes: [{ name: a, type: counter, on: bought }]\n`,
      { code: 'SHAPE', line: 5, path: 'attributes[0]' },
    ],
    [
      'a cap of another form',
      'activations: [{ name: a, frequency_cap: daily }]\n',
      { code: 'SHAPE', line: 4, path: 'activations[0].frequency_cap' },
    ],
  ])('with %s is refused', (_, rest, expected) => {
    const [problem, ...more] = problemsWith(rest);
    expect(problem).toMatchObject(expected);
    expect(more).toEqual([]);
  });

  it.each<[string, string, Partial<ConfigProblem>]>([
    ['no keys', '{ keys: [] }', { code: 'SHAPE', path: 'stitching.keys' }],
    ['a limit of 0', '{ keys: [{ name: a, limit: 0 }] }', { code: 'SHAPE', path: 'stitching.keys[0].limit' }],
    [
      'a key that is reserved',
      '{ keys: [{ name: id }] }',
      { code: 'NAME', path: 'stitching.keys[0].name', line: 2 },
    ],
    [
      'a key twice',
      '{ keys: [{ name: a }, { name: a }] }',
      { code: 'DUPLICATE', path: 'stitching.keys[1].name' },
    ],
    [
      'a normalizer that there is not',
      '{ keys: [{ name: a, normalize: [lowecase] }] }',
      { code: 'SHAPE', suggestion: 'lowercase' },
    ],
    [
      'a pattern with a back-reference',
      String.raw`{ keys: [{ name: a, valid: '(a)\1' }] }`,
      { code: 'PATTERN', path: 'stitching.keys[0].valid' },
    ],
    [
      'a pattern with look-ahead',
      `{ keys: [{ name: a, valid: '(?=a)' }] }`,
      { code: 'PATTERN', path: 'stitching.keys[0].valid' },
    ],
    [
      'a retention that is no duration',
      '{ keys: [{ name: a }], retention: { anonymous: never } }',
      { code: 'DURATION', path: 'stitching.retention.anonymous' },
    ],
  ])('with %s is refused', (_, stitching, expected) => {
    const problems = problemsOf(`segment: shop\nstitching: ${stitching}\n`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject(expected);
  });

  it.each(['Shop', 'a_b', '', 'x'.repeat(33)])('with the segment name %o is refused', (name) => {
    const problems = problemsOf(MINIMAL.replace('shop', JSON.stringify(name)));
    expect(problems).toMatchObject([{ path: 'segment', line: 1, column: 10 }]);
  });

  it.each([
    ['a tab', 'segment:\tshop\n\tx: 1'],
    ['an open bracket', 'segment: [shop'],
    ['a field twice', `${MINIMAL}segment: shop2\n`],
  ])('that is no YAML because of %s is refused with a place', (_, yaml) => {
    const [problem] = problemsOf(yaml);
    expect(problem).toMatchObject({ code: 'SYNTAX' });
    expect(problem!.line).toBeGreaterThan(0);
  });

  it.each(['', '5', '[]', 'null', '# nothing'])('with the content %o is refused, not thrown at', (yaml) => {
    expect(problemsOf(yaml).length).toBeGreaterThan(0);
  });

  it('tells all problems of one kind at once, in the order of the file', () => {
    const problems = problemsWith(
      [
        "events: [{ name: bought, when: 'event.name ==' }]",
        'attributes:',
        '  - { name: a, type: counter, total: true, on: bougt }',
        '  - { name: a, type: single, on: bought, value: nope.x }',
        'activations: [{ name: act }]',
        'triggers: [{ name: t, on: ordered, activate: acts }]',
        '',
      ].join('\n'),
    );
    expect(problems.map(({ line, code }) => `${line} ${code}`)).toEqual([
      '4 EXPRESSION',
      '6 REFERENCE',
      '7 DUPLICATE',
      '7 EXPRESSION',
      '9 REFERENCE',
      '9 REFERENCE',
    ]);
  });

  it('tells problems of form and of meaning at once', () => {
    const problems = problemsWith(
      [
        "events: [{ name: bought, wen: 'x', when: 'true' }]",
        'attributes: [{ name: a, type: counter, total: true, on: bougt }]',
        "triggers: [{ name: t, on: bought, when: 'event.name ==', activate: nobody }]",
        '',
      ].join('\n'),
    );
    expect(new Set(problems.map(({ path }) => path))).toEqual(
      new Set(['events[0].wen', 'attributes[0].on', 'triggers[0].when', 'triggers[0].activate']),
    );
  });
});

describe('limits', () => {
  const many = (section: string, item: (i: number) => string, count: number) =>
    `${section}:\n${Array.from({ length: count }, (_, i) => `  - ${item(i)}\n`).join('')}`;
  const EVENT = "events: [{ name: bought, when: 'true' }]\n";
  const audience = (i: number) => `{ name: a${i}, when: 'true' }`;

  it.each<[string, string, string]>([
    ['audiences', many('audiences', audience, 3), 'audiences'],
    [
      'windows',
      `${EVENT}attributes: [{ name: a, type: counter, on: bought, windows: [1h, 2h, 3h] }]\n`,
      'attributes[0].windows',
    ],
    [
      'list_items',
      `${EVENT}attributes: [{ name: a, type: list, on: bought, id: event.name, max: 3 }]\n`,
      'attributes[0].max',
    ],
    ['expression_chars', "events: [{ name: bought, when: '1 == 1' }]\n", 'events[0].when'],
  ])('%s is what the config itself sets', (name, rest, path) => {
    expect(problemsWith(`limits: { ${name}: 100 }\n${rest}`)).toEqual([]);
    expect(problemsWith(`limits: { ${name}: 2 }\n${rest}`)).toMatchObject([
      {
        code: 'LIMIT',
        path,
        message: expect.stringContaining(`at most 2 are allowed: 'limits: { ${name}: … }'`),
      },
    ]);
  });

  it('hold by default, and can be raised', () => {
    const rest = many('audiences', audience, 1_001);
    expect(problemsWith(rest)).toMatchObject([{ code: 'LIMIT', path: 'audiences' }]);
    expect(problemsWith(`limits: { audiences: 1001 }\n${rest}`)).toEqual([]);
  });

  it('cannot be raised beyond what the engine takes, nor be misspelt', () => {
    expect(problemsWith('limits: { audiences: 10001 }\n')).toMatchObject([{ path: 'limits.audiences' }]);
    expect(problemsWith('limits: { audience: 10 }\n')).toMatchObject([
      { code: 'UNKNOWN_FIELD', suggestion: 'audiences' },
    ]);
  });
});

describe('a backfill', () => {
  const TABLES = `events: [{ name: bought, when: 'true' }]
batch:
  tables:
    - { name: crm, key: customer_id, attributes: { spend: number, tier: string, at: timestamp, position: number } }
    - { name: erp, key: customer_id, attributes: { at: timestamp } }
`;
  const withBackfill = (backfill: string, rest = 'type: counter, total: true') =>
    problemsWith(`${TABLES}attributes: [{ name: a, on: bought, ${rest}, backfill: { ${backfill} } }]\n`);

  it.each([
    ['by time', 'attribute: crm.spend, as_of: crm.at'],
    ['by position', 'attribute: crm.spend, through: crm.position'],
  ])('%s is taken', (_, backfill) => {
    expect(withBackfill(backfill)).toEqual([]);
  });

  it.each([
    ['that does not say how far it reaches', 'attribute: crm.spend', '', /'as_of' or 'through'/],
    ['that says it twice', 'attribute: crm.spend, as_of: crm.at, through: crm.position', '', /one of them/],
    [
      'of a column that is misspelt',
      'attribute: crm.spent, as_of: crm.at',
      '',
      /no column of a batch table 'crm.spent'/,
    ],
    ['of two tables', 'attribute: crm.spend, as_of: erp.at', '', /different tables/],
    ['of text for a counter', 'attribute: crm.tier, as_of: crm.at', '', /of type string, a number/],
    ['whose time is a number', 'attribute: crm.spend, as_of: crm.position', '', /a timestamp is needed/],
    [
      'of windows alone',
      'attribute: crm.spend, as_of: crm.at',
      'type: counter, windows: [1h]',
      /no 'total: true'/,
    ],
    [
      'of different values',
      'attribute: crm.spend, as_of: crm.at',
      'type: counter, total: true, distinct: event.name',
      /distinct/,
    ],
  ])('%s is refused', (_, backfill, rest, message) => {
    const problems = withBackfill(backfill, rest || undefined);
    expect(problems.map((problem) => problem.message)).toEqual([expect.stringMatching(message)]);
    expect(problems[0]).toMatchObject({ line: 9, path: expect.stringContaining('attributes[0].backfill') });
  });

  it('suggests the column that was meant', () => {
    expect(withBackfill('attribute: crm.spent, as_of: crm.at')).toMatchObject([{ suggestion: 'crm.spend' }]);
  });
});

describe('what could silently do nothing is refused', () => {
  const BASE = "events: [{ name: bought, when: 'true' }]\nactivations: [{ name: thank }]\n";

  it.each([
    ['a window of 0', 'attributes: [{ name: a, type: counter, on: bought, windows: [0h] }]'],
    ['a ttl of 0', 'attributes: [{ name: a, type: single, on: bought, value: event.name, ttl: 0s }]'],
    [
      'a ttl beyond all numbers',
      'attributes: [{ name: a, type: single, on: bought, value: event.name, ttl: 99999999999999d }]',
    ],
    [
      'a misspelt attribute in a condition',
      "triggers: [{ name: t, on: bought, when: 'profile.nosuch > 1', activate: thank }]",
    ],
    [
      'a misspelt key in a condition',
      'triggers: [{ name: t, on: bought, when: \'keys.nosuch == "a"\', activate: thank }]',
    ],
    [
      'a condition that is no condition',
      "triggers: [{ name: t, on: bought, when: '1 + 1', activate: thank }]",
    ],
  ])('%s', (_, rest) => {
    expect(problemsWith(`${BASE}${rest}\n`)).not.toEqual([]);
  });

  it.each([
    ['a misspelt key', '{{ keys.nosuch }}'],
    ['an open placeholder', 'Dear {{ keys.customer_id'],
    ['a Liquid tag', '{% if keys.customer_id %}x{% endif %}'],
    ['a Liquid filter', '{{ keys.customer_id | upcase }}'],
  ])('a template with %s', (_, template) => {
    expect(problemsWith(`activations: [{ name: a, payload: { x: '${template}' } }]\n`)).not.toEqual([]);
  });

  it.each(['anonymous: 0d', 'known: 0d', 'redirects: 99999999999999d'])('a retention of %s', (retention) => {
    const yaml = `segment: shop\nstitching: { keys: [{ name: a }], retention: { ${retention} } }\n`;
    expect(problemsOf(yaml)).not.toEqual([]);
  });

  it.each([
    ['the condition of a key event over the profile', `events: [{ name: e, when: 'profile.n > 3' }]\n`],
    [
      'the value of an attribute over all keys',
      `events: [{ name: e, when: 'true' }]\nattributes: [{ name: s, type: single, on: e, value: 'size(keys_all.customer_id)' }]\n`,
    ],
  ])('%s, as long as it sees the event alone', (_, rest) => {
    expect(problemsWith(rest)).not.toEqual([]);
  });
});

it('a destination that is only named is no feature', () => {
  expect(problemsWith('activations: [{ name: a, to: crm }]\n')).toEqual([]);
});

describe('the digest', () => {
  it('is a SHA-256 in hex', () => {
    expect(digestOf(MINIMAL)).toMatch(/^[0-9a-f]{64}$/);
  });

  it('does not count comments and layout', () => {
    const other = '# a shop\nsegment: "shop"\nstitching:\n  keys:\n    - name: customer_id\n      limit: 1\n';
    expect(digestOf(other)).toBe(digestOf(MINIMAL));
  });

  it('does not count defaults that are spelt out, nor the order of fields', () => {
    const spelt = MINIMAL.replace(
      '{ name: customer_id, limit: 1 }',
      '{ limit: 1, name: customer_id, kind: person }',
    );
    expect(digestOf(spelt)).toBe(digestOf(MINIMAL));
    expect(digestOf(`${MINIMAL}  max_keys_per_profile: 200\n`)).toBe(digestOf(MINIMAL));
  });

  it('counts what changes a decision', () => {
    const changes = [
      MINIMAL.replace('limit: 1', 'limit: 2'),
      `${MINIMAL}  invalid: [x]\n`,
      `${MINIMAL}events: [{ name: e, when: 'true' }]\n`,
    ];
    expect(new Set([MINIMAL, ...changes].map(digestOf)).size).toBe(4);
  });

  it('counts the order of keys, which is their strength', () => {
    const keys = (list: string) => `segment: s\nstitching: { keys: [${list}] }\n`;
    expect(digestOf(keys('{ name: a }, { name: b }'))).not.toBe(digestOf(keys('{ name: b }, { name: a }')));
  });
});
