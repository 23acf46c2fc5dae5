// The form of attributes in a config file, by type.
import { Type } from 'typebox';
import { LIMITS_MAX } from './limits.ts';
import { Duration, Name, oneOf, strict, Text } from './schema-parts.ts';
import { AGGREGATE_KINDS, COUNTER_MERGES, JOIN_MERGES, SINGLE_MERGES } from './segment-config.ts';

const Aggregates = (kinds: readonly string[], max: number = LIMITS_MAX.aggregates) =>
  Type.Record(
    Type.String(),
    Type.Object(Object.fromEntries(kinds.map((kind) => [kind, Type.Optional(Text)])), {
      ...strict,
      minProperties: 1,
      maxProperties: 1,
    }),
    { maxProperties: max },
  );
const Attribute = { name: Name, sensitive: Type.Optional(Type.Boolean()) };
const On = { ...Attribute, on: Name, when: Type.Optional(Text) };
const Joined = { merge: Type.Optional(oneOf(JOIN_MERGES)) };
const Windows = Type.Array(Duration, { minItems: 1, maxItems: LIMITS_MAX.windows, uniqueItems: true });
const atMost = (maximum: number) => Type.Integer({ minimum: 1, maximum });
const Backfill = Type.Object(
  { attribute: Text, as_of: Type.Optional(Text), through: Type.Optional(Text) },
  strict,
);
const Action = { on: Name, when: Type.Optional(Text) };

export const ATTRIBUTE_SCHEMAS = {
  single: Type.Object(
    {
      ...On,
      type: Type.Literal('single'),
      value: Text,
      ttl: Type.Optional(Duration),
      keep: Type.Optional(oneOf(['newest', 'first'])),
      merge: Type.Optional(oneOf(SINGLE_MERGES)),
      backfill: Type.Optional(Backfill),
    },
    strict,
  ),
  counter: Type.Object(
    {
      ...On,
      type: Type.Literal('counter'),
      by: Type.Optional(Type.Union([Text, Type.Number()])),
      distinct: Type.Optional(Text),
      exact: Type.Optional(atMost(LIMITS_MAX.distinct_exact)),
      total: Type.Optional(Type.Boolean()),
      windows: Type.Optional(Windows),
      merge: Type.Optional(oneOf([...COUNTER_MERGES, 'union'])),
      backfill: Type.Optional(Backfill),
    },
    strict,
  ),
  list: Type.Object(
    {
      ...On,
      ...Joined,
      type: Type.Literal('list'),
      id: Text,
      fields: Type.Optional(Type.Record(Type.String(), Text, { maxProperties: LIMITS_MAX.list_fields })),
      max: Type.Optional(atMost(LIMITS_MAX.list_items)),
      ttl: Type.Optional(Duration),
      remove: Type.Optional(Type.Array(Type.Object({ ...Action, id: Text }, strict))),
      clear: Type.Optional(Type.Array(Type.Object(Action, strict))),
      aggregate: Type.Optional(Aggregates(AGGREGATE_KINDS)),
    },
    strict,
  ),
  min: Type.Object({ ...On, ...Joined, type: Type.Literal('min'), value: Text }, strict),
  max: Type.Object({ ...On, ...Joined, type: Type.Literal('max'), value: Text }, strict),
  avg: Type.Object({ ...On, ...Joined, type: Type.Literal('avg'), value: Text }, strict),
  most_frequent: Type.Object(
    {
      ...On,
      ...Joined,
      type: Type.Literal('most_frequent'),
      value: Text,
      max: Type.Optional(atMost(LIMITS_MAX.frequent_values)),
    },
    strict,
  ),
  session: Type.Object(
    {
      ...Attribute,
      ...Joined,
      type: Type.Literal('session'),
      on: Type.Optional(Name),
      gap: Duration,
      entry: Type.Optional(Text),
      aggregate: Type.Optional(Aggregates(['count'])),
    },
    strict,
  ),
  computed: Type.Object({ ...Attribute, type: Type.Literal('computed'), value: Text }, strict),
} as const;

export const ATTRIBUTE_TYPES = Object.keys(ATTRIBUTE_SCHEMAS);

export interface RawAttribute {
  readonly name: string;
  readonly type: keyof typeof ATTRIBUTE_SCHEMAS;
  readonly sensitive?: boolean;
  readonly on?: string;
  readonly when?: string;
  readonly value?: string;
  readonly ttl?: string;
  readonly keep?: 'newest' | 'first';
  readonly by?: string | number;
  readonly distinct?: string;
  readonly exact?: number;
  readonly total?: boolean;
  readonly windows?: readonly string[];
  readonly id?: string;
  readonly fields?: Readonly<Record<string, string>>;
  readonly max?: number;
  readonly remove?: readonly (RawAction & { readonly id: string })[];
  readonly clear?: readonly RawAction[];
  readonly aggregate?: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly gap?: string;
  readonly entry?: string;
  readonly merge?: string;
  readonly backfill?: { readonly attribute: string; readonly as_of?: string; readonly through?: string };
  readonly [other: string]: unknown;
}

export interface RawAction {
  readonly on: string;
  readonly when?: string;
}
