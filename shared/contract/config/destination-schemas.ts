// The form of destinations in a config file, by type.
import { Type } from 'typebox';
import { DESTINATION_TYPES, type DestinationType, SMTP_TLS, WEBHOOK_METHODS } from './destination-config.ts';
import { Duration, Name, oneOf, strict } from './schema-parts.ts';

export const DESTINATION_LIMITS = { concurrency: 1000, attempts: 100, rate: 100_000, secrets: 5 } as const;
export const RATE_PATTERN = '^[1-9]\\d{0,5}/(s|m|h)$';
/** A secret is named, never written: configs are stored and shown. */
export const SECRET_PATTERN = '^\\$\\{[A-Z_][A-Z0-9_]*\\}$';

const Template = Type.String({ minLength: 1, maxLength: 64_000 });
const Secret = Type.String({ pattern: SECRET_PATTERN });
const Base = {
  name: Name,
  concurrency: Type.Optional(Type.Integer({ minimum: 1, maximum: DESTINATION_LIMITS.concurrency })),
  rate: Type.Optional(Type.String({ pattern: RATE_PATTERN })),
  timeout: Type.Optional(Duration),
  retry: Type.Optional(
    Type.Object(
      {
        attempts: Type.Optional(Type.Integer({ minimum: 1, maximum: DESTINATION_LIMITS.attempts })),
        base: Type.Optional(Duration),
        max: Type.Optional(Duration),
        max_age: Type.Optional(Duration),
      },
      strict,
    ),
  ),
};

export const DESTINATION_SCHEMAS = {
  webhook: Type.Object(
    {
      ...Base,
      type: Type.Literal('webhook'),
      url: Template,
      method: Type.Optional(oneOf(WEBHOOK_METHODS)),
      headers: Type.Optional(
        Type.Record(Type.String(), Type.String({ maxLength: 8000 }), { maxProperties: 50 }),
      ),
      body: Type.Optional(Type.Unknown()),
      secret: Type.Optional(
        Type.Union([Secret, Type.Array(Secret, { minItems: 1, maxItems: DESTINATION_LIMITS.secrets })]),
      ),
    },
    strict,
  ),
  smtp: Type.Object(
    {
      ...Base,
      type: Type.Literal('smtp'),
      host: Type.String({ minLength: 1, maxLength: 253 }),
      port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
      tls: Type.Optional(oneOf(SMTP_TLS)),
      user: Type.Optional(Type.String({ minLength: 1, maxLength: 320 })),
      password: Type.Optional(Secret),
      from: Template,
      to: Template,
      reply_to: Type.Optional(Template),
      subject: Template,
      text: Type.Optional(Template),
      html: Type.Optional(Template),
    },
    strict,
  ),
  nats: Type.Object(
    {
      ...Base,
      type: Type.Literal('nats'),
      subject: Template,
      body: Type.Optional(Type.Unknown()),
      stored: Type.Optional(Type.Boolean()),
    },
    strict,
  ),
  log: Type.Object({ ...Base, type: Type.Literal('log') }, strict),
} as const satisfies Record<DestinationType, unknown>;

/** Of any type: what its fields are is checked by the schema of its type. */
export const AnyDestination = Type.Object(
  { name: Name, type: oneOf(DESTINATION_TYPES) },
  { additionalProperties: true },
);

/** A destination that has the form of its type. */
export interface RawDestination {
  readonly name: string;
  readonly type: DestinationType;
  readonly concurrency?: number;
  readonly rate?: string;
  readonly timeout?: string;
  readonly retry?: {
    readonly attempts?: number;
    readonly base?: string;
    readonly max?: string;
    readonly max_age?: string;
  };
  readonly url?: string;
  readonly method?: (typeof WEBHOOK_METHODS)[number];
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly secret?: string | readonly string[];
  readonly host?: string;
  readonly port?: number;
  readonly tls?: (typeof SMTP_TLS)[number];
  readonly user?: string;
  readonly password?: string;
  readonly from?: string;
  readonly to?: string;
  readonly reply_to?: string;
  readonly subject?: string;
  readonly text?: string;
  readonly html?: string;
  readonly stored?: boolean;
}
