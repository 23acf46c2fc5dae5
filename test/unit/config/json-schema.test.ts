// The published JSON Schema: what the engine takes it takes, what is wrong in form it refuses, and every field says what it
// means.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { ATTRIBUTE_TYPES } from '../../../shared/contract/config/attribute-schemas.ts';
import { segmentJsonSchema } from '../../../shared/contract/config/json-schema.ts';
import { parseSegmentConfig } from '../../../shared/contract/config/parse.ts';
import { parseDurationMs } from '../../../shared/kernel/duration.ts';

const ROOT = join(import.meta.dirname, '../../..');
const schema = segmentJsonSchema();
const ajv = new Ajv2020({ allErrors: true, strict: true, strictTypes: false, strictRequired: false });
const validate = ajv.compile(schema);
const read = (path: string): unknown => parse(readFileSync(join(ROOT, path), 'utf8'));

const problems = (document: unknown) =>
  validate(document)
    ? []
    : (validate.errors ?? []).map(({ instancePath, keyword }) => `${instancePath} ${keyword}`);

type Json = Readonly<Record<string, unknown>>;
const BASE = {
  segment: 's',
  stitching: { keys: [{ name: 'email' }] },
  events: [{ name: 'e', when: 'true' }],
};
const withAttribute = (attribute: Json) => ({ ...BASE, attributes: [attribute] });

describe('the JSON Schema of a config', () => {
  it.each(['test/fixtures/config/contract-example.yaml', 'infra/demo/shop.yaml', 'infra/bench/restart.yaml'])(
    'takes %s',
    (path) => expect(problems(read(path))).toEqual([]),
  );

  it('is draft 2020-12, and by itself: no formats and references of others', () => {
    expect(schema.$schema).toBe('https://json-schema.org/draft/2020-12/schema');
    expect(JSON.stringify(schema)).not.toMatch(/"format":|"\$ref":"[^#]|~kind|~optional/);
  });

  it.each([
    ['an unknown field', { ...BASE, atributes: [] }, / additionalProperties/],
    ['no segment', { stitching: BASE.stitching }, / required/],
    ['a segment name', { ...BASE, segment: 'Shop' }, /\/segment pattern/],
    ['no key', { ...BASE, stitching: { keys: [] } }, /\/stitching\/keys minItems/],
    ['a limit', { ...BASE, stitching: { keys: [{ name: 'a', limit: '5 / 30d' }] } }, /limit pattern/],
    ['a normalizer', { ...BASE, stitching: { keys: [{ name: 'a', normalize: ['upper'] }] } }, /0 enum/],
    [
      'a retention',
      { ...BASE, stitching: { ...BASE.stitching, retention: { known: 'ever' } } },
      /known pattern/,
    ],
    ['a type', withAttribute({ name: 'a', type: 'singel', on: 'e', value: 'x' }), /attributes\/0 oneOf/],
    [
      'a field of another type',
      withAttribute({ name: 'a', type: 'single', on: 'e', value: '1', gap: '1h' }),
      /oneOf/,
    ],
    ['a window', withAttribute({ name: 'a', type: 'counter', on: 'e', windows: ['0d'] }), /oneOf/],
    [
      'an aggregate',
      withAttribute({ name: 'a', type: 'list', on: 'e', id: '1', aggregate: { n: { summe: 'x' } } }),
      /oneOf/,
    ],
    ['a cause', { ...BASE, triggers: [{ name: 't', on: { joined: 'a' }, activate: 'm' }] }, /on anyOf/],
  ])('refuses what is wrong in form: %s', (_what, document, expected) => {
    expect(problems(document).join('\n')).toMatch(expected);
  });

  it('tells attributes apart by their type', () => {
    const { items } = (schema.properties as Record<string, { items: { oneOf: readonly Json[] } }>)
      .attributes!;
    const types = items.oneOf.map(
      (one) => (one.properties as Record<string, { const?: string }>).type?.const,
    );
    expect(types).toEqual(ATTRIBUTE_TYPES);
    for (const one of items.oneOf) expect(one.required).toContain('type');
  });

  it('says what every field means', () => {
    expect(undescribed(schema, '')).toEqual([]);
  });

  it('takes the durations that the engine takes, and no others', () => {
    const unit = fc.constantFrom('ms', 's', 'm', 'h', 'd', 'w', 'y', '');
    fc.assert(
      fc.property(fc.stringMatching(/^[0-9]{0,4}$/), unit, (count, u) => {
        const text = `${count}${u}`;
        const isTaken = problems({ ...BASE, stitching: { ...BASE.stitching, retention: { known: text } } });
        expect(isTaken.length === 0).toBe(parseDurationMs(text) !== undefined);
      }),
    );
  });

  it('refuses nothing that the engine takes: stitching keys of every form', () => {
    const key = fc.record(
      {
        name: fc.constantFrom('email', 'phone', 'cookie'),
        limit: fc.constantFrom(1, 5, 100, '5/30d', '0/3d', 'x'),
        normalize: fc.subarray(['trim', 'lowercase', 'digits', 'unquote']),
        observe_only: fc.boolean(),
        owner: fc.constantFrom('first', 'last_authenticated', 'none_when_shared'),
        valid: fc.constantFrom('.+', '('),
        min_length: fc.integer({ min: 0, max: 5 }),
      },
      { requiredKeys: ['name'] },
    );
    fc.assert(
      fc.property(key, (one) => {
        const document = { ...BASE, events: [], stitching: { keys: [one] } };
        const isTaken = parseSegmentConfig(JSON.stringify(document)).kind === 'ok';
        if (isTaken) expect(problems(document)).toEqual([]);
      }),
    );
  });
});

/** Paths of fields without a description. */
function undescribed(node: Json, path: string): readonly string[] {
  const below = (one: unknown, name: string) => undescribed(one as Json, `${path}${name}`);
  const own = Object.entries((node.properties ?? {}) as Record<string, Json>).flatMap(([name, field]) => [
    ...(typeof field.description === 'string' ? [] : [`${path}.${name}`]),
    ...below(field, `.${name}`),
  ]);
  // Aggregates are named by what they do.
  const isAggregate = /aggregate\.\*$/.test(path);
  const records = Object.values((node.patternProperties ?? {}) as Record<string, Json>);
  const others = [node.items, ...((node.anyOf ?? node.oneOf ?? []) as unknown[])].filter(
    (one) => one !== undefined,
  );
  return [
    ...(isAggregate ? [] : own),
    ...records.flatMap((one) => below(one, '.*')),
    ...others.flatMap((one) => below(one, '')),
  ];
}
