// Personalization services of a config: read with their defaults; every mistake is told with its place and what was meant.
import { describe, expect, it } from 'vitest';
import { diffConfigs } from '../../../shared/contract/config/diff.ts';
import { parseSegmentConfig } from '../../../shared/contract/config/parse.ts';

const HEAD = `segment: shop
stitching: { keys: [{ name: email }] }
events: [{ name: viewed, when: 'event.name == "Viewed"' }]
attributes:
  - { name: sku, type: single, on: viewed, value: event.properties.sku }
  - { name: income, type: single, on: viewed, value: event.properties.income, sensitive: true }
  - { name: band, type: computed, value: 'profile.income > 5.0 ? "high" : "low"' }
  - { name: bands, type: computed, value: 'profile.band + "!"' }
  - { name: loose, type: computed, value: 'profile.crm["spe" + "nd"]' }
  - { name: set_by, type: single, on: viewed, value: '1' }
  - { name: spend, type: counter, total: true, on: viewed, backfill: { attribute: crm.spend, as_of: crm.at } }
batch:
  tables: [{ name: crm, key: email, attributes: { tier: string, at: timestamp, spend: { type: number, sensitive: true } } }]
catalogs: [{ name: products, key: sku, attributes: { title: string } }]
audiences:
  - { name: gold, when: 'profile.crm.tier == "Gold"' }
  - { name: rich, when: 'profile.band == "high"' }
journeys: [{ name: copy, enter: { on: viewed }, steps: [{ decide: [{ when: 'true', steps: [{ set: { set_by: profile.income } }] }] }] }]
personalization:
`;

const parse = (services: string) => parseSegmentConfig(HEAD + services);

function problemsOf(services: string) {
  const parsed = parse(services);
  return parsed.kind === 'ok' ? [] : parsed.problems;
}

function told(services: string): readonly string[] {
  return problemsOf(services).map(
    ({ code, path, message, suggestion }) =>
      `${code} ${path}: ${message}${suggestion ? ` (${suggestion})` : ''}`,
  );
}

function configOf(services: string) {
  const parsed = parse(services);
  if (parsed.kind !== 'ok') throw new Error(JSON.stringify(parsed.problems));
  return parsed.config;
}

const section = (fields: string) =>
  `  - { service: web, public: true, sections: [{ name: hero, ${fields} }] }\n`;

describe('a service', () => {
  it('is read with its defaults', () => {
    const { personalization } = configOf(
      '  - { service: web, sections: [{ name: hero, return: { a: 1 } }] }\n',
    );
    expect(personalization).toEqual([
      {
        name: 'web',
        public: false,
        origins: [],
        credentials: false,
        tokens: [{ name: 'default', secrets: ['STITCHWORK_TOKEN_WEB'], ips: [] }],
        budgetMs: 250,
        answer: 'all',
        answerBytes: 32_768,
        sections: [
          {
            name: 'hero',
            on: [],
            when: null,
            priority: 0,
            lookups: [],
            returns: { a: 1 },
            audiences: null,
            split: [],
            fallback: null,
          },
        ],
      },
    ]);
  });

  it('has what is written', () => {
    const { personalization } = configOf(`  - service: web
    public: true
    origins: ['https://Shop.example', 'http://*.shop.example:8080']
    credentials: true
    tokens: [{ name: site, secret: ['\${NEW}', '\${OLD}'], ips: [203.0.113.0/24, '2001:db8::/32', 10.0.0.1] }]
    budget: 100ms
    answer: first
    answer_bytes: 1000
    sections:
      - name: hero
        on: [viewed]
        when: 'audiences.gold && profile.income > 3.0'
        priority: 5
        lookup: { one: { catalog: products, by: profile.sku }, more: { catalog: products, by: '["a"]', max: 3 } }
        return: { title: '{{ lookup.one.title }}', all: '{{ lookup.more.map(r, r.sku) }}' }
        audiences: [gold]
        split: [{ name: a, percent: 50, return: { title: A } }, { name: none, percent: 50, control: true }]
        fallback: { title: none }
`);
    expect(personalization[0]).toMatchObject({
      origins: ['https://shop.example', 'http://*.shop.example:8080'],
      tokens: [{ secrets: ['NEW', 'OLD'], ips: ['203.0.113.0/24', '2001:db8::/32', '10.0.0.1'] }],
      budgetMs: 100,
      answer: 'first',
      answerBytes: 1000,
      sections: [
        {
          on: ['viewed'],
          priority: 5,
          lookups: [
            { name: 'one', catalog: 'products', by: 'profile.sku', max: 20 },
            { name: 'more', max: 3 },
          ],
          audiences: ['gold'],
          split: [
            { name: 'a', percent: 50, control: false, returns: { title: 'A' } },
            { name: 'none', percent: 50, control: true, returns: {} },
          ],
          fallback: { title: 'none' },
        },
      ],
    });
  });

  it('withholds what is sensitive and all that is made of it', () => {
    const { withheld } = configOf(section('return: { a: 1 }'));
    expect([...withheld.attributes].sort()).toEqual(['band', 'bands', 'income', 'loose', 'set_by', 'spend']);
    expect(withheld.columns).toEqual(['crm.spend']);
    expect(withheld.audiences).toEqual(['rich']);
  });

  it('stands in a diff with what changed of it', () => {
    const yaml = (fields: string) => HEAD + section(fields);
    const [before, after] = [yaml('return: { a: 1 }'), yaml('return: { a: 2 }')];
    const side = (text: string) => {
      const parsed = parseSegmentConfig(text);
      if (parsed.kind !== 'ok') throw new Error(JSON.stringify(parsed.problems));
      return { yaml: text, config: parsed.config };
    };
    const { changes } = diffConfigs(side(before), side(after));
    expect(changes).toMatchObject([
      { kind: 'changed', section: 'personalization', name: 'web', fields: [{ field: 'sections' }] },
    ]);
    expect(changes[0]?.effect).toContain('answers by the new sections at once');
  });
});

describe('a mistake', () => {
  it('is told with line and column', () => {
    const services = section("when: 'profile.skuu == 1', return: { a: 1 }");
    const [problem] = problemsOf(services);
    const line = (HEAD + services).split('\n')[problem!.line - 1]!;
    expect(line.slice(problem!.column - 1)).toMatch(/^'profile\.skuu/);
    expect(problem).toMatchObject({
      path: 'personalization[0].sections[0].when',
      message: "there is no attribute 'skuu'",
      suggestion: 'sku',
    });
  });

  it.each([
    ['a misspelt field', section('retrun: { a: 1 }'), /UNKNOWN_FIELD .*\[0\]\.retrun: .*\(return\)/],
    [
      'a section that says nothing',
      section("when: 'true'"),
      /SHAPE .*sections\[0\]: a section answers something/,
    ],
    [
      'a service declared twice',
      section('return: {}') + section('return: {}'),
      /DUPLICATE personalization\[1\]\.service/,
    ],
    [
      'a section declared twice',
      '  - { service: web, sections: [{ name: a, return: {} }, { name: a, return: {} }] }\n',
      /DUPLICATE .*sections\[1\]\.name/,
    ],
    [
      'an unknown key event',
      section('on: vewed, return: { a: 1 }'),
      /REFERENCE .*\.on: there is no key event 'vewed' \(viewed\)/,
    ],
    ['one of several key events', section('on: [viewed, vewed], return: { a: 1 }'), /REFERENCE .*\.on\[1\]/],
    [
      'an audience in a condition',
      section("when: 'audiences.golt', return: { a: 1 }"),
      /REFERENCE .*when: .*'golt' \(gold\)/,
    ],
    ['an audience that is told', section('audiences: [golt]'), /REFERENCE .*audiences\[0\]: .*\(gold\)/],
    [
      'a condition that is none',
      section("when: '1 + 1', return: { a: 1 }"),
      /EXPRESSION .*when: a condition is true or false/,
    ],
    [
      'a condition that speaks of rows',
      section("when: 'lookup.p.title == 1', return: {}"),
      /EXPRESSION .*lookup is not known here/,
    ],
    [
      'a catalog',
      section('lookup: { p: { catalog: product, by: profile.sku } }, return: {}'),
      /REFERENCE .*catalog: .*\(products\)/,
    ],
    [
      'a lookup',
      section(
        "lookup: { p: { catalog: products, by: profile.sku } }, return: { t: '{{ lookup.pp.title }}' }",
      ),
      /REFERENCE .*return\.t: there is no lookup 'pp' \(p\)/,
    ],
    [
      'a column',
      section("lookup: { p: { catalog: products, by: profile.sku } }, return: { t: '{{ lookup.p.titl }}' }"),
      /REFERENCE .*return\.t: the catalog products has no column 'titl' \(title\)/,
    ],
    ['a template', section("return: { t: '{{ profile. }}' }"), /EXPRESSION .*return\.t/],
    [
      'percentages',
      section('split: [{ name: a, percent: 50, return: {} }]'),
      /SHAPE .*split: .* add up to 100 percent, these to 50/,
    ],
    [
      'fields of a control group',
      section('split: [{ name: a, percent: 100, control: true, return: { a: 1 } }]'),
      /SHAPE .*split\[0\]\.return: a control group/,
    ],
    [
      'origins of a server',
      "  - { service: app, origins: ['https://a.example'], sections: [{ name: a, return: {} }] }\n",
      /SHAPE .*origins: only a public service/,
    ],
    [
      'an origin with a path',
      "  - { service: app, public: true, origins: ['https://a.example/shop'], sections: [{ name: a, return: {} }] }\n",
      /PATTERN .*origins\[0\]: .*\(https:\/\/a\.example\)/,
    ],
    [
      'cookies of any page',
      '  - { service: app, public: true, credentials: true, sections: [{ name: a, return: {} }] }\n',
      /SHAPE .*credentials/,
    ],
    [
      'a token that is written',
      "  - { service: app, tokens: [{ name: t, secret: 'abcdefgh' }], sections: [{ name: a, return: {} }] }\n",
      /SHAPE .*secret: .*where the gateway runs/,
    ],
    [
      'three secrets',
      "  - { service: app, tokens: [{ name: t, secret: ['${A}', '${B}', '${C}'] }], sections: [{ name: a, return: {} }] }\n",
      /SHAPE .*secret/,
    ],
    [
      'a network',
      "  - { service: app, tokens: [{ name: t, secret: '${A}', ips: [10.0.0.0/33] }], sections: [{ name: a, return: {} }] }\n",
      /PATTERN .*ips\[0\]: '10\.0\.0\.0\/33' is no network/,
    ],
    [
      'a budget',
      '  - { service: app, budget: 1m, sections: [{ name: a, return: {} }] }\n',
      /LIMIT .*budget: a budget is 10ms to 5s/,
    ],
    [
      'a text without end',
      section(`return: { a: { b: ['${'x'.repeat(4_001)}'] } }`),
      /LIMIT .*return\.a\.b\[0\]: 4,001 characters/,
    ],
  ])('of the kind %s', (_what, services, expected) => {
    expect(told(services).join('\n')).toMatch(expected);
  });

  it.each([
    ["return: { a: '{{ profile.income }}' }", 'profile.income'],
    ["return: { a: 'x {{ profile.bands }}' }", 'profile.bands'],
    ["return: { a: { deep: ['{{ profile.crm.spend }}'] } }", 'profile.crm.spend'],
    ["return: { a: '{{ audiences.rich }}' }", 'audiences.rich'],
    ["return: { a: 1 }, fallback: { a: '{{ profile.set_by }}' }", 'profile.set_by'],
    ["split: [{ name: a, percent: 100, return: { a: '{{ profile.spend }}' } }]", 'profile.spend'],
    ['lookup: { p: { catalog: products, by: profile.band } }, return: { a: 1 }', 'profile.band'],
    ['audiences: [gold, rich]', 'audiences.rich'],
  ])('is what is sensitive in a public service: %s', (fields, named) => {
    expect(told(section(fields)).join('\n')).toContain(`SENSITIVE personalization[0].sections[0]`);
    expect(told(section(fields)).join('\n')).toContain(`${named} is sensitive`);
    // A server may have it.
    expect(told(section(fields).replace('public: true, ', ''))).toEqual([]);
  });

  it('beside one of form is told as well, and no more than that', () => {
    const services = `${section("when: 'profile.skuu == 1', return: { a: '{{ profile.crm.tier }}' }")}  - { service: app, sections: [] }\n`;
    expect(told(services)).toEqual([
      expect.stringMatching(/REFERENCE personalization\[0\].*'skuu'/),
      expect.stringMatching(/SHAPE personalization\[1\]\.sections/),
    ]);
  });
});
