// The README of attributes names every type, field, aggregate, merge rule and limit that the config has.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { ATTRIBUTE_SCHEMAS } from '../../../shared/contract/config/attribute-schemas.ts';
import {
  CONFIG_DEFAULTS,
  CONFIG_LIMITS,
  LIMITS_MAX,
  type LimitName,
} from '../../../shared/contract/config/limits.ts';
import { parseSegmentConfig } from '../../../shared/contract/config/parse.ts';
import {
  AGGREGATE_KINDS,
  COUNTER_MERGES,
  JOIN_MERGES,
  SINGLE_MERGES,
} from '../../../shared/contract/config/segment-config.ts';

const README = readFileSync(new URL('../../../actors/attributes/README.md', import.meta.url), 'utf8');
const COMMON = ['name', 'type'];

it.each(Object.entries(ATTRIBUTE_SCHEMAS))('%s, with its fields', (type, schema) => {
  expect(README).toContain(`\`${type}\``);
  for (const field of Object.keys(schema.properties))
    if (!COMMON.includes(field)) expect(README, `${type}.${field}`).toMatch(new RegExp(`\`${field}[\`:]`));
});

it('aggregates and merge rules', () => {
  for (const word of [...AGGREGATE_KINDS, ...SINGLE_MERGES, ...COUNTER_MERGES, ...JOIN_MERGES])
    expect(README).toContain(`\`${word}\``);
});

it('limits, as they are', () => {
  const shown = (number: number) => number.toLocaleString('en-US');
  for (const [name, limit] of Object.entries(CONFIG_LIMITS))
    expect(README).toContain(`| \`${name}\` | ${shown(limit)} | ${shown(LIMITS_MAX[name as LimitName])} |`);
  for (const number of Object.values(CONFIG_DEFAULTS)) expect(README).toContain(shown(number));
});

it('the example of the repository README is a config that runs', () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  const [, example] = /## Attributes, conditions, audiences\n\n```yaml\n([\s\S]*?)```/.exec(readme)!;
  const parsed = parseSegmentConfig(
    `segment: shop\nstitching:\n  keys: [{ name: customer_id, limit: 1 }, { name: cookie, kind: device }]\n${example}`,
  );
  expect(parsed).toMatchObject({ kind: 'ok' });
});
