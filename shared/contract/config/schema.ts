// The form of a segment config file, whole: also of what this version does not run yet. Meaning is checked in
// check-meaning.ts.

import { Type } from 'typebox';
import { EVENT_LIMITS } from '../event.ts';
import { ATTRIBUTE_TYPES, type RawAttribute } from './attribute-schemas.ts';
import { AnyDestination, type RawDestination } from './destination-schemas.ts';
import { Journey, JourneySteps, type RawJourney } from './journey-schemas.ts';
import { LIMITS_MAX, type LimitName } from './limits.ts';
import { PERSONALIZATION_LIMITS, type RawService, Service } from './personalization-schemas.ts';
import { Protocols, type RawProtocols } from './protocol-schemas.ts';
import { Name, oneOf, strict, Text } from './schema-parts.ts';
import {
  COLUMN_TYPES,
  COMBINE_RULES,
  type ColumnType,
  type CombineRule,
  KEY_KINDS,
  KEY_OWNERS,
  type KeyOwner,
  NORMALIZERS,
  type Normalizer,
  ON_LIMIT,
  ON_MAX_KEYS,
  type OnLimit,
  type OnMaxKeys,
} from './segment-config.ts';
import {
  Activation,
  Channel,
  type RawActivation,
  type RawChannel,
  type RawTrigger,
  Trigger,
} from './send-schemas.ts';

export const REGION_PATTERN = '^[A-Z]{2}$';
/** Values that identify nobody, or that do: at most what events of a key may hold. */
const Values = Type.Array(Type.String({ maxLength: EVENT_LIMITS.keyValueChars }), { maxItems: 10_000 });
const Retention = Type.String({ format: 'duration_or_forever' });
const ColumnTypes = Type.Record(Type.String(), oneOf(COLUMN_TYPES));

const Key = Type.Object(
  {
    name: Name,
    kind: Type.Optional(oneOf(KEY_KINDS)),
    limit: Type.Optional(
      Type.Union([Type.Integer({ minimum: 1 }), Type.String({ format: 'limit_in_window' })]),
    ),
    normalize: Type.Optional(Type.Array(oneOf(NORMALIZERS))),
    region: Type.Optional(Type.String({ pattern: REGION_PATTERN })),
    valid: Type.Optional(Text),
    min_length: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
    min_distinct_chars: Type.Optional(Type.Integer({ minimum: 1, maximum: 100 })),
    invalid: Type.Optional(Values),
    allow: Type.Optional(Values),
    observe_only: Type.Optional(Type.Boolean()),
    links: Type.Optional(Type.Record(Type.String(), Type.Integer({ minimum: 1, maximum: 100 }))),
    owner: Type.Optional(oneOf(KEY_OWNERS)),
  },
  strict,
);

const Stitching = Type.Object(
  {
    keys: Type.Array(Key, { minItems: 1, maxItems: LIMITS_MAX.stitching_keys }),
    invalid: Type.Optional(Values),
    on_limit: Type.Optional(oneOf(ON_LIMIT)),
    max_keys_per_profile: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
    on_max_keys: Type.Optional(oneOf(ON_MAX_KEYS)),
    logout: Type.Optional(Type.Array(Text)),
    flag_after_profiles: Type.Optional(Type.Integer({ minimum: 1, maximum: 1000 })),
    retention: Type.Optional(
      Type.Object(
        {
          anonymous: Type.Optional(Retention),
          known: Type.Optional(Retention),
          redirects: Type.Optional(Retention),
        },
        strict,
      ),
    ),
  },
  strict,
);

const EventRule = Type.Object({ name: Name, when: Text }, strict);
const Column = Type.Object(
  {
    type: oneOf(COLUMN_TYPES),
    combine: Type.Optional(oneOf(COMBINE_RULES)),
    sensitive: Type.Optional(Type.Boolean()),
  },
  strict,
);
const Batch = Type.Object(
  {
    tables: Type.Array(
      Type.Object(
        {
          name: Name,
          key: Name,
          attributes: Type.Record(Type.String(), Type.Union([oneOf(COLUMN_TYPES), Column])),
          join: Type.Optional(oneOf(['at_next_event', 'at_once'])),
        },
        strict,
      ),
    ),
  },
  strict,
);
const Limits = Type.Object(
  Object.fromEntries(
    Object.entries(LIMITS_MAX).map(([name, maximum]) => [
      name,
      Type.Optional(Type.Integer({ minimum: 1, maximum })),
    ]),
  ),
  strict,
);

export const SegmentFile = Type.Object(
  {
    segment: Type.String({ pattern: '^[a-z0-9-]{1,32}$' }),
    limits: Type.Optional(Limits),
    stitching: Stitching,
    events: Type.Optional(Type.Array(EventRule, { maxItems: LIMITS_MAX.key_events })),
    attributes: Type.Optional(
      Type.Array(Type.Object({ name: Name, type: oneOf(ATTRIBUTE_TYPES) }, { additionalProperties: true }), {
        maxItems: LIMITS_MAX.attributes,
      }),
    ),
    batch: Type.Optional(Batch),
    catalogs: Type.Optional(
      Type.Array(Type.Object({ name: Name, key: Name, attributes: ColumnTypes }, strict)),
    ),
    audiences: Type.Optional(Type.Array(EventRule, { maxItems: LIMITS_MAX.audiences })),
    channels: Type.Optional(Type.Array(Channel, { maxItems: 100 })),
    activations: Type.Optional(Type.Array(Activation, { maxItems: LIMITS_MAX.activations })),
    triggers: Type.Optional(Type.Array(Trigger, { maxItems: LIMITS_MAX.triggers })),
    journeys: Type.Optional(Type.Array(Journey)),
    destinations: Type.Optional(Type.Array(AnyDestination, { maxItems: 100 })),
    personalization: Type.Optional(Type.Array(Service, { maxItems: PERSONALIZATION_LIMITS.services })),
    protocols: Type.Optional(Protocols),
  },
  { ...strict, $defs: { journeySteps: JourneySteps } },
);

/** A config file that has the form above; every list is present or absent as written. */
export interface RawSegment {
  readonly segment: string;
  readonly limits?: Readonly<Partial<Record<LimitName, number>>>;
  readonly stitching: {
    readonly keys: readonly RawKey[];
    readonly invalid?: readonly string[];
    readonly on_limit?: OnLimit;
    readonly max_keys_per_profile?: number;
    readonly on_max_keys?: OnMaxKeys;
    readonly logout?: readonly string[];
    readonly flag_after_profiles?: number;
    readonly retention?: {
      readonly anonymous?: string;
      readonly known?: string;
      readonly redirects?: string;
    };
  };
  readonly events?: readonly { readonly name: string; readonly when: string }[];
  readonly attributes?: readonly RawAttribute[];
  readonly batch?: {
    readonly tables: readonly {
      readonly name: string;
      readonly key: string;
      readonly attributes: Readonly<Record<string, RawColumn>>;
      readonly join?: 'at_next_event' | 'at_once';
    }[];
  };
  readonly catalogs?: readonly {
    readonly name: string;
    readonly key: string;
    readonly attributes: Readonly<Record<string, ColumnType>>;
  }[];
  readonly audiences?: readonly { readonly name: string; readonly when: string }[];
  readonly channels?: readonly RawChannel[];
  readonly activations?: readonly RawActivation[];
  readonly triggers?: readonly RawTrigger[];
  readonly journeys?: readonly RawJourney[];
  readonly destinations?: readonly RawDestination[];
  readonly personalization?: readonly RawService[];
  readonly protocols?: RawProtocols;
}

export type RawColumn =
  | ColumnType
  | { readonly type: ColumnType; readonly combine?: CombineRule; readonly sensitive?: boolean };

export interface RawKey {
  readonly name: string;
  readonly kind?: (typeof KEY_KINDS)[number];
  /** Or with a window: `5/30d`. */
  readonly limit?: number | string;
  readonly normalize?: readonly Normalizer[];
  readonly region?: string;
  readonly valid?: string;
  readonly min_length?: number;
  readonly min_distinct_chars?: number;
  readonly invalid?: readonly string[];
  readonly allow?: readonly string[];
  readonly observe_only?: boolean;
  readonly links?: Readonly<Record<string, number>>;
  readonly owner?: KeyOwner;
}
