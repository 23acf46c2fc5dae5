// How much a config asks for against what it is allowed: the named limits, as its own section `limits` sets them.
import type { RawAttribute } from './attribute-schemas.ts';
import type { MeaningCheck } from './check-meaning.ts';
import { CONFIG_LIMITS, LIMITS_MAX, type LimitName } from './limits.ts';
import type { RawSegment } from './schema.ts';
import type { Path } from './source-map.ts';

const SHOWN = new Intl.NumberFormat('en-US');
/** Fields that are no expressions. */
const NAMES = new Set([
  'name',
  'type',
  'on',
  'merge',
  'keep',
  'ttl',
  'gap',
  'windows',
  'to',
  'activate',
  'backfill',
  'channel',
  'frequency_cap',
]);

export function checkLimits(raw: RawSegment, check: MeaningCheck): void {
  const bounded = (name: LimitName, count: number | undefined, what: string, path: Path) => {
    const limit = raw.limits?.[name] ?? CONFIG_LIMITS[name];
    if (count === undefined || count <= limit) return;
    const said = `${SHOWN.format(count)} ${what}, and at most ${SHOWN.format(limit)} are allowed`;
    const most = SHOWN.format(LIMITS_MAX[name]);
    check.at(path, 'LIMIT', `${said}: 'limits: { ${name}: … }' sets it, up to ${most}`);
  };
  bounded('stitching_keys', raw.stitching.keys.length, 'stitching keys', ['stitching', 'keys']);
  for (const section of ['events', 'attributes', 'audiences', 'triggers', 'activations'] as const) {
    const name = section === 'events' ? 'key_events' : section;
    bounded(name, raw[section]?.length, name.replace('_', ' '), [section]);
    textsOf(raw[section] ?? [], [section], (text, path) => {
      bounded('expression_chars', text.length, 'characters', path);
    });
  }
  textsOf(raw.personalization ?? [], ['personalization'], (text, path) => {
    bounded('expression_chars', text.length, 'characters', path);
  });
  raw.attributes?.forEach((attribute, i) => {
    checkAttribute(attribute, ['attributes', i], bounded);
  });
}

type Bounded = (name: LimitName, count: number | undefined, what: string, path: Path) => void;

function checkAttribute(attribute: RawAttribute, path: Path, bounded: Bounded): void {
  const { type, windows, max, exact, fields, aggregate } = attribute;
  const sizeOf = (record: object | undefined) => record && Object.keys(record).length;
  bounded('windows', windows?.length, 'windows', [...path, 'windows']);
  bounded('distinct_exact', exact, 'different values', [...path, 'exact']);
  if (type === 'list') bounded('list_items', max, 'items', [...path, 'max']);
  if (type === 'most_frequent') bounded('frequent_values', max, 'different values', [...path, 'max']);
  bounded('list_fields', sizeOf(fields), 'fields', [...path, 'fields']);
  bounded('aggregates', sizeOf(aggregate), 'aggregates', [...path, 'aggregate']);
}

function textsOf(value: unknown, path: Path, visit: (text: string, path: Path) => void): void {
  if (typeof value === 'string') visit(value, path);
  if (typeof value !== 'object' || value === null) return;
  for (const [key, each] of Object.entries(value))
    if (!NAMES.has(key)) textsOf(each, [...path, Array.isArray(value) ? Number(key) : key], visit);
}
