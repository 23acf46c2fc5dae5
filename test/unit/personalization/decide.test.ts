// What a visitor is answered: matching, priority, look-ups, variants, fallbacks, bounds.
import { describe, expect, it } from 'vitest';
import { compileServices } from '../../../actors/personalization/compile.ts';
import { type RowKey, selectSections, type VisitorEvent } from '../../../actors/personalization/decide.ts';
import type { Profile } from '../../../actors/profile/profile.ts';
import { withVariants } from '../../../actors/profile/variants.ts';
import { parseSegmentConfig } from '../../../shared/contract/config/parse.ts';
import { makeProfile } from '../gateway/support/records.ts';

const HEAD = `segment: shop
stitching: { keys: [{ name: email }, { name: device, kind: device }] }
events:
  - { name: viewed, when: 'event.name == "Viewed"' }
  - { name: cheap, when: 'event.name == "Viewed" && event.properties.price < 10.0' }
attributes:
  - { name: last_category, type: single, on: viewed, value: event.properties.category }
  - { name: income, type: single, on: viewed, value: event.properties.income, sensitive: true }
  - { name: skus, type: single, on: viewed, value: event.properties.skus }
batch: { tables: [{ name: crm, key: email, attributes: { tier: string, score: { type: number, sensitive: true } } }] }
catalogs: [{ name: products, key: sku, attributes: { title: string, stock: number } }]
audiences:
  - { name: gold, when: 'profile.crm.tier == "Gold"' }
  - { name: rich, when: 'profile.income > 5.0' }
personalization:
`;

function configOf(service: string) {
  const parsed = parseSegmentConfig(HEAD + service);
  if (parsed.kind !== 'ok') throw new Error(JSON.stringify(parsed.problems));
  return parsed.config;
}

const single = (value: unknown) => ({ kind: 'single', value, atMs: 2_000, messageId: 'm1' }) as const;
const ANN: Profile = {
  ...makeProfile('p1', { email: ['ann@example.com'], device: ['d1'] }),
  attributes: { last_category: single('yoga'), income: single(777_001), skus: single(['a', 'b', 'c', 'a']) },
  audiences: { gold: 1_000, rich: 1_000 },
  batch: { crm: { run: 1, atMs: 1_000, of: ['ann@example.com'], values: { tier: 'Gold', score: 777_002 } } },
};
const viewed = (properties: Record<string, unknown> = {}): VisitorEvent => ({
  root: {
    messageId: 'm',
    name: 'Viewed',
    properties,
    table: '',
    keys: { device: 'd1' },
    timestamp: new Date(0),
  },
  bytes: 100,
});
const ROWS: Readonly<Record<string, Record<string, unknown>>> = {
  a: { title: 'Mat', stock: 3, secret: 1 },
  c: { title: 'Block', stock: 0 },
};

function answer(
  sections: string,
  given: { profile?: Profile | undefined; event?: VisitorEvent; service?: string } = {},
) {
  const config = configOf(`  - { service: web, ${given.service ?? ''} sections: [${sections}] }\n`);
  const rule = compileServices(config).get('web')!;
  const profile = 'profile' in given ? given.profile : ANN;
  const visitor = { profile, event: given.event, keys: { device: 'd1' }, nowMs: 5_000 };
  const selection = selectSections(rule, visitor);
  return { rows: selection.rows, ...selection.compose(({ key }: RowKey) => ROWS[key]) };
}

describe('a section', () => {
  it('answers with fields by other names, each of its type', () => {
    const { offers } = answer(
      "{ name: hero, return: { cat: '{{ profile.last_category }}', n: '{{ profile.income + 1.0 }}', text: 'for {{ keys.email }}', list: '{{ profile.skus }}', gone: '{{ profile.crm.nothing }}', fixed: 7 } }",
    );
    expect(offers).toEqual({
      hero: {
        attributes: {
          cat: 'yoga',
          n: 777_002,
          text: 'for ann@example.com',
          list: ['a', 'b', 'c', 'a'],
          gone: null,
          fixed: 7,
        },
      },
    });
  });

  it.each([
    ['profile', "profile.last_category == 'yoga'", true],
    ['batch', "profile.crm.tier == 'Silver'", false],
    ['audiences', 'audiences.gold && !audiences.rich', false],
    ['an audience', 'audiences.gold', true],
    ['the event', 'event.properties.price > 3.0', true],
    ['keys', 'keys.email.endsWith("@example.com")', true],
    ['what is not there', 'profile.crm.nothing == 1', false],
    ['what cannot be evaluated', 'profile.last_category > 3', false],
  ])('matches by %s', (_what, when, matches) => {
    const { offers } = answer(`{ name: hero, when: '${when.replaceAll("'", '"')}', return: { a: 1 } }`, {
      event: viewed({ price: 5 }),
    });
    expect(offers).toEqual(matches ? { hero: { attributes: { a: 1 } } } : {});
  });

  it('answers to its key events alone', () => {
    const sections =
      '{ name: any, return: {} }, { name: v, on: viewed, return: {} }, { name: c, on: [cheap], return: {} }';
    const names = (event?: VisitorEvent) => Object.keys(answer(sections, event ? { event } : {}).offers);
    expect(names()).toEqual(['any']);
    expect(names(viewed({ price: 20 }))).toEqual(['any', 'v']);
    expect(names(viewed({ price: 5 }))).toEqual(['any', 'v', 'c']);
  });

  it('that does not match gives its fallback, and so does every one to a visitor whom nobody knows', () => {
    const sections =
      "{ name: a, when: 'false', return: { x: 1 }, fallback: { x: 0, d: '{{ keys.device }}' } }, { name: b, return: { y: 1 } }, { name: c, return: { z: 1 }, fallback: { z: 0 } }";
    expect(answer(sections).offers).toEqual({
      a: { attributes: { x: 0, d: 'd1' }, fallback: true },
      b: { attributes: { y: 1 } },
      c: { attributes: { z: 1 } },
    });
    expect(answer(sections, { profile: undefined }).offers).toEqual({
      a: { attributes: { x: 0, d: 'd1' }, fallback: true },
      c: { attributes: { z: 0 }, fallback: true },
    });
  });

  it('tells audiences, all or some, and public services not those made of what is sensitive', () => {
    const sections = '{ name: a, audiences: true }, { name: b, audiences: [gold] }';
    expect(answer(sections).offers).toEqual({
      a: { attributes: {}, audiences: ['gold', 'rich'] },
      b: { attributes: {}, audiences: ['gold'] },
    });
    const shown = answer(sections, { service: 'public: true,' }).offers;
    expect(shown.a).toEqual({ attributes: {}, audiences: ['gold'] });
  });
});

describe('a service', () => {
  it('answers by all that match, or by the first by priority', () => {
    const sections =
      "{ name: low, return: {} }, { name: high, priority: 9, return: {} }, { name: top, priority: 99, when: 'false', return: {}, fallback: {} }";
    expect(Object.keys(answer(sections).offers)).toEqual(['top', 'high', 'low']);
    expect(answer(sections, { service: 'answer: first,' }).offers).toEqual({ high: { attributes: {} } });
  });

  it('that answers by the first gives one fallback when none matches', () => {
    const sections =
      "{ name: a, when: 'false', return: {} }, { name: b, when: 'false', return: {}, fallback: { b: 1 } }, { name: c, when: 'false', return: {}, fallback: {} }";
    expect(answer(sections, { service: 'answer: first,' }).offers).toEqual({
      b: { attributes: { b: 1 }, fallback: true },
    });
  });

  it('leaves out what does not fit, and takes what still does', () => {
    const long = 'x'.repeat(200);
    const sections = `{ name: a, return: { t: '${long}' } }, { name: b, return: { t: '${long}' } }, { name: c, return: { t: y } }`;
    const { offers, omitted } = answer(sections, { service: 'answer_bytes: 300,' });
    expect(Object.keys(offers)).toEqual(['a', 'c']);
    expect(omitted).toEqual(['b']);
    expect(Buffer.byteLength(JSON.stringify(offers))).toBeLessThanOrEqual(300);
  });

  it('that is public tells nothing sensitive by any way round', () => {
    const sections =
      "{ name: a, return: { whole: '{{ profile }}', row: '{{ profile.crm }}', by: '{{ profile[\"income\"] }}', some: '{{ audiences }}' } }";
    const { offers } = answer(sections, { service: 'public: true,' });
    expect(offers.a?.attributes).toEqual({
      whole: expect.objectContaining({ last_category: 'yoga', crm: { tier: 'Gold' } }),
      row: { tier: 'Gold' },
      by: null,
      some: { gold: true },
    });
    expect(JSON.stringify(offers)).not.toMatch(/777/);
    expect(JSON.stringify(answer(sections).offers)).toMatch(/777001[\s\S]*777002/);
  });
});

describe('a look-up', () => {
  const lookup = (by: string, shown: string, max = 20) =>
    answer(
      `{ name: a, lookup: { p: { catalog: products, by: '${by}', max: ${max} } }, return: { x: '{{ ${shown} }}' } }`,
    );

  it('by one value gives a row, with its key and the columns of the config', () => {
    expect(lookup('"a"', 'lookup.p').offers.a?.attributes.x).toEqual({ sku: 'a', title: 'Mat', stock: 3 });
    expect(lookup('"a"', 'lookup.p.title').offers.a?.attributes.x).toBe('Mat');
  });

  it('by a list gives those that are there, each once, in order', () => {
    const { rows, offers } = lookup('profile.skus', 'lookup.p.map(r, r.sku)');
    expect(rows.map(({ key }) => key)).toEqual(['a', 'b', 'c']);
    expect(offers.a?.attributes.x).toEqual(['a', 'c']);
    expect(lookup('profile.skus', 'lookup.p', 1).rows).toEqual([{ catalog: 'products', key: 'a' }]);
  });

  it.each(['"nothing"', 'profile.crm.nothing', '{"a": 1}', '""', 'true'])('by %s finds none', (by) => {
    expect(lookup(by, 'lookup.p').offers.a?.attributes.x).toBeNull();
  });

  it('is not made for who does not get the section', () => {
    const sections =
      "{ name: a, when: 'false', lookup: { p: { catalog: products, by: '\"a\"' } }, return: {} }";
    expect(answer(sections).rows).toEqual([]);
  });
});

describe('a split', () => {
  const SPLIT =
    '{ name: a, return: { t: base, u: 1 }, split: [{ name: x, percent: 50, return: { t: X } }, { name: none, percent: 50, control: true }], fallback: { t: old } }';
  const config = configOf(`  - { service: web, sections: [${SPLIT}] }\n`);
  const given = (variant: string): Profile => ({
    ...ANN,
    journeyPasts: { 'service:web': { entered: 0, goal: false, mark: null, splits: { a: variant } } },
  });

  it('gives the variant over the section, and to the control group what it would get without the section', () => {
    expect(answer(SPLIT, { profile: given('x') }).offers).toEqual({
      a: { attributes: { t: 'X', u: 1 }, variant: 'x' },
    });
    expect(answer(SPLIT, { profile: given('none') }).offers).toEqual({
      a: { attributes: { t: 'old' }, variant: 'none', fallback: true },
    });
  });

  it('remembers what was given, also when percentages change, unless the variant is gone', () => {
    const other = SPLIT.replaceAll('percent: 50', 'percent: 0').replace('percent: 0', 'percent: 100');
    expect(answer(other, { profile: given('none') }).offers.a?.variant).toBe('none');
    expect(answer(other, { profile: given('gone') }).offers.a?.variant).toBe('x');
  });

  it('is given once, and changes nothing after that', () => {
    const first = withVariants(ANN, 'web', config);
    expect(['x', 'none']).toContain(first.journeyPasts?.['service:web']?.splits.a);
    expect(withVariants(first, 'web', config)).toBe(first);
    expect(withVariants(ANN, 'other', config)).toBe(ANN);
    expect(answer(SPLIT, { profile: first }).offers.a?.variant).toBe(
      answer(SPLIT, { profile: ANN }).offers.a?.variant,
    );
  });
});
