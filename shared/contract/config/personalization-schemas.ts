// The form of personalization services in a config file.
import { Type } from 'typebox';
import { SECRET_PATTERN } from './destination-schemas.ts';
import { ANSWER_RULES, type AnswerRule } from './personalization-config.ts';
import { Duration, Name, oneOf, strict, Text } from './schema-parts.ts';

export const PERSONALIZATION_LIMITS = {
  services: 100,
  tokens: 50,
  /** Of one token: the new one, and the old one until nobody uses it. */
  secrets: 2,
  networks: 200,
  origins: 100,
  sections: 200,
  lookups: 10,
  lookup_rows: 100,
  variants: 20,
  fields: 200,
  answer_bytes: 262_144,
  budget_ms_min: 10,
  budget_ms_max: 5_000,
} as const;
export const PERSONALIZATION_DEFAULTS = { budget_ms: 250, answer_bytes: 32_768, lookup_rows: 20 } as const;

const MAX = PERSONALIZATION_LIMITS;
const Secret = Type.String({ pattern: SECRET_PATTERN });
/** Fields of an answer, by the names that they have in it. */
const Fields = Type.Record(Type.String({ maxLength: 256 }), Type.Unknown(), { maxProperties: MAX.fields });

const Token = Type.Object(
  {
    name: Name,
    secret: Type.Union([
      Secret,
      Type.Array(Secret, { minItems: 1, maxItems: MAX.secrets, uniqueItems: true }),
    ]),
    ips: Type.Optional(Type.Array(Text, { minItems: 1, maxItems: MAX.networks })),
  },
  strict,
);
const Lookup = Type.Object(
  {
    catalog: Name,
    by: Text,
    max: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX.lookup_rows })),
  },
  strict,
);
const Variant = Type.Object(
  {
    name: Name,
    percent: Type.Number({ minimum: 0, maximum: 100 }),
    control: Type.Optional(Type.Boolean()),
    return: Type.Optional(Fields),
  },
  strict,
);
const Names = Type.Array(Name, { minItems: 1, maxItems: 1000, uniqueItems: true });
const Section = Type.Object(
  {
    name: Name,
    on: Type.Optional(Type.Union([Name, Names])),
    when: Type.Optional(Text),
    priority: Type.Optional(Type.Integer({ minimum: -1_000_000, maximum: 1_000_000 })),
    lookup: Type.Optional(Type.Record(Type.String(), Lookup, { maxProperties: MAX.lookups })),
    return: Type.Optional(Fields),
    audiences: Type.Optional(Type.Union([Type.Boolean(), Names])),
    split: Type.Optional(Type.Array(Variant, { minItems: 1, maxItems: MAX.variants })),
    fallback: Type.Optional(Fields),
  },
  strict,
);

export const Service = Type.Object(
  {
    service: Name,
    public: Type.Optional(Type.Boolean()),
    origins: Type.Optional(Type.Array(Text, { minItems: 1, maxItems: MAX.origins })),
    credentials: Type.Optional(Type.Boolean()),
    tokens: Type.Optional(Type.Array(Token, { maxItems: MAX.tokens })),
    budget: Type.Optional(Duration),
    answer: Type.Optional(oneOf(ANSWER_RULES)),
    answer_bytes: Type.Optional(Type.Integer({ minimum: 256, maximum: MAX.answer_bytes })),
    sections: Type.Array(Section, { minItems: 1, maxItems: MAX.sections }),
  },
  strict,
);

type Fields = Readonly<Record<string, unknown>>;

export interface RawLookup {
  readonly catalog: string;
  readonly by: string;
  readonly max?: number;
}

export interface RawVariant {
  readonly name: string;
  readonly percent: number;
  readonly control?: boolean;
  readonly return?: Fields;
}

export interface RawSection {
  readonly name: string;
  readonly on?: string | readonly string[];
  readonly when?: string;
  readonly priority?: number;
  readonly lookup?: Readonly<Record<string, RawLookup>>;
  readonly return?: Fields;
  readonly audiences?: boolean | readonly string[];
  readonly split?: readonly RawVariant[];
  readonly fallback?: Fields;
}

export interface RawToken {
  readonly name: string;
  readonly secret: string | readonly string[];
  readonly ips?: readonly string[];
}

export interface RawService {
  readonly service: string;
  readonly public?: boolean;
  readonly origins?: readonly string[];
  readonly credentials?: boolean;
  readonly tokens?: readonly RawToken[];
  readonly budget?: string;
  readonly answer?: AnswerRule;
  readonly answer_bytes?: number;
  readonly sections: readonly RawSection[];
}
