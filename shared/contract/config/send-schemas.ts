// The form of channels, activations and triggers in a config file: what is sent, and when it may be.
import { Type } from 'typebox';
import { Name, Payload, strict, Text } from './schema-parts.ts';

const Cap = Type.String({ pattern: '^[1-9]\\d{0,2}/\\d+(s|m|h|d|w)$' });
const TIME = '([01]\\d|2[0-3]):[0-5]\\d';
const Time = Type.String({ pattern: `^${TIME}$` });
const Quiet = Type.Union([
  Type.String({ pattern: `^${TIME}-${TIME}$` }),
  Type.Object({ from: Time, to: Time, zone: Type.Optional(Text) }, strict),
]);
const sendRules = {
  frequency_cap: Type.Optional(
    Type.Union([Cap, Type.Array(Cap, { minItems: 1, maxItems: 5, uniqueItems: true })]),
  ),
  quiet_hours: Type.Optional(Quiet),
  consent: Type.Optional(Text),
};

export const CROSSINGS = ['above', 'at_least', 'below', 'at_most'] as const;
export type Crossing = (typeof CROSSINGS)[number];

export const Channel = Type.Object({ name: Name, ...sendRules }, strict);

export const Activation = Type.Object(
  {
    name: Name,
    to: Type.Optional(Type.Union([Name, Type.Array(Name, { minItems: 1, maxItems: 20, uniqueItems: true })])),
    payload: Type.Optional(Payload),
    channel: Type.Optional(Name),
    ...sendRules,
  },
  strict,
);

const Cause = Type.Union([
  Name,
  Type.Object({ entered: Name }, strict),
  Type.Object({ left: Name }, strict),
  Type.Object(
    { crosses: Text, ...Object.fromEntries(CROSSINGS.map((name) => [name, Type.Optional(Type.Number())])) },
    strict,
  ),
  Type.Object(
    {
      at: Text,
      offset: Type.Optional(Type.String({ pattern: '^[+-]?\\d+(ms|s|m|h|d|w)$' })),
      time: Type.Optional(Time),
      zone: Type.Optional(Text),
    },
    strict,
  ),
]);

export const Trigger = Type.Object(
  {
    name: Name,
    on: Cause,
    when: Type.Optional(Text),
    once: Type.Optional(Type.Union([Type.Boolean(), Type.String({ format: 'duration' })])),
    priority: Type.Optional(Type.Integer({ minimum: -1000, maximum: 1000 })),
    activate: Name,
  },
  strict,
);

export const PriorityField = { priority: Type.Optional(Type.Integer({ minimum: -1000, maximum: 1000 })) };

export interface RawSendRules {
  readonly frequency_cap?: string | readonly string[];
  readonly quiet_hours?: string | { readonly from: string; readonly to: string; readonly zone?: string };
  readonly consent?: string;
}

export interface RawChannel extends RawSendRules {
  readonly name: string;
}

export interface RawActivation extends RawSendRules {
  readonly name: string;
  readonly to?: string | readonly string[];
  readonly payload?: Readonly<Record<string, unknown>>;
  readonly channel?: string;
}

export type RawCrossing = { readonly crosses: string } & { readonly [Name in Crossing]?: number };

export interface RawMoment {
  readonly at: string;
  readonly offset?: string;
  readonly time?: string;
  readonly zone?: string;
}

export interface RawTrigger {
  readonly name: string;
  readonly on: string | { readonly entered: string } | { readonly left: string } | RawCrossing | RawMoment;
  readonly when?: string;
  readonly once?: boolean | string;
  readonly priority?: number;
  readonly activate: string;
}
