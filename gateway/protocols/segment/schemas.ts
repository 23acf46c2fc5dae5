// Shapes of Segment's tracking API, for /openapi.json: bodies are read by their translation, which takes more than these.
import { Type } from 'typebox';
import { CALLS, type Call } from './translate.ts';

const open = { additionalProperties: true } as const;
const Fields = Type.Record(Type.String(), Type.Unknown());
const Id = Type.Union([Type.String(), Type.Number(), Type.Null()]);

const CallShape = Type.Object(
  {
    type: Type.Optional(Type.Enum([...CALLS])),
    messageId: Type.Optional(Type.String({ description: 'Stable over retries; assigned when absent.' })),
    userId: Type.Optional(Id),
    anonymousId: Type.Optional(Id),
    previousId: Type.Optional(Id),
    groupId: Type.Optional(Type.String()),
    event: Type.Optional(Type.String({ description: 'Of a track call.' })),
    name: Type.Optional(Type.String({ description: 'Of a page or screen.' })),
    category: Type.Optional(Type.String()),
    properties: Type.Optional(Fields),
    traits: Type.Optional(Fields),
    context: Type.Optional(Fields),
    timestamp: Type.Optional(Type.String({ description: "ISO 8601, by the client's clock." })),
    sentAt: Type.Optional(Type.String({ description: 'When it was sent, by the same clock.' })),
    writeKey: Type.Optional(Type.String()),
  },
  open,
);
const BatchShape = Type.Object(
  {
    batch: Type.Array(CallShape),
    context: Type.Optional(Fields),
    sentAt: Type.Optional(Type.String()),
    writeKey: Type.Optional(Type.String()),
  },
  open,
);

const COMMON = {
  messageId: 'ajs-next-1795389604625',
  anonymousId: 'b53c3070-0f3a-4bbf-831f-70656bd63a72',
  timestamp: '2026-11-22T23:20:04.624Z',
  sentAt: '2026-11-22T23:20:04.630Z',
};
const EXAMPLES: Readonly<Record<Call, object>> = {
  track: { ...COMMON, event: 'Product Viewed', properties: { sku: 'yoga', price: 12.5 } },
  identify: { ...COMMON, userId: 'u1', traits: { email: 'ann@example.com', plan: 'gold' } },
  page: { ...COMMON, name: 'Home', properties: { url: 'https://shop.example/' } },
  screen: { ...COMMON, name: 'Cart', properties: {} },
  group: { ...COMMON, userId: 'u1', groupId: 'g1', traits: { name: 'ACME' } },
  alias: { ...COMMON, userId: 'u1', previousId: COMMON.anonymousId },
};

/** The body of an address; undefined: one that is for many calls. */
export function bodyOf(call: Call | undefined): object {
  const { sentAt, messageId, timestamp, anonymousId } = COMMON;
  const batch = [{ type: 'track', messageId, anonymousId, timestamp, event: 'Product Viewed' }];
  const schema =
    call === undefined
      ? { ...BatchShape, examples: [{ batch, sentAt }] }
      : { ...CallShape, examples: [EXAMPLES[call]] };
  return { content: { 'application/json': { schema }, 'text/plain': { schema } } };
}

export const Stored = Type.Object(
  {
    success: Type.Literal(true),
    errors: Type.Optional(
      Type.Array(Type.Object({ index: Type.Integer(), code: Type.String(), message: Type.String() }), {
        description: 'Calls of a batch that were left out.',
      }),
    ),
  },
  { examples: [{ success: true }] },
);

export const SettingsAnswer = Type.Object(
  { integrations: Type.Object({ 'Segment.io': Type.Object({}, open) }) },
  open,
);
