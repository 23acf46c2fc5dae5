// The form of `protocols` in a config file.
import { Type } from 'typebox';
import { NAMELESS_CALLS, type NamelessCall } from './protocol-config.ts';
import { Name, strict, Text } from './schema-parts.ts';

export const DATABASE_PATTERN = '^[a-z0-9_]{3,255}$';
const FIELDS_MAX = 100;
const KeyOrNone = Type.Union([Name, Type.Null()]);
/** Fields of events by name, each a stitching key. */
const KeysByField = Type.Record(Type.String(), Name, { maxProperties: FIELDS_MAX });
const EventName = Type.String({ minLength: 1, maxLength: 200 });

export const Protocols = Type.Object(
  {
    segment: Type.Optional(
      Type.Object(
        {
          user_id: Type.Optional(KeyOrNone),
          anonymous_id: Type.Optional(KeyOrNone),
          previous_id: Type.Optional(KeyOrNone),
          traits: Type.Optional(KeysByField),
          names: Type.Optional(
            Type.Object(
              Object.fromEntries(NAMELESS_CALLS.map((call) => [call, Type.Optional(EventName)])),
              strict,
            ),
          ),
        },
        strict,
      ),
    ),
    treasure_data: Type.Optional(
      Type.Object(
        {
          databases: Type.Optional(
            Type.Array(Type.String({ pattern: DATABASE_PATTERN }), { maxItems: FIELDS_MAX }),
          ),
          name: Type.Optional(Text),
          keys: Type.Optional(KeysByField),
        },
        strict,
      ),
    ),
  },
  strict,
);

/** `protocols`, as written. */
export interface RawProtocols {
  readonly segment?: {
    readonly user_id?: string | null;
    readonly anonymous_id?: string | null;
    readonly previous_id?: string | null;
    readonly traits?: Readonly<Record<string, string>>;
    readonly names?: Readonly<Partial<Record<NamelessCall, string>>>;
  };
  readonly treasure_data?: {
    readonly databases?: readonly string[];
    readonly name?: string;
    readonly keys?: Readonly<Record<string, string>>;
  };
}
