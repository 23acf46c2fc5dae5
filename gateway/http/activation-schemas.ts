// Shapes of what the log of activations answers, for checks of queries and for /openapi.json.
import { Type } from 'typebox';
import { DEAD_REASONS, DELIVERY_OUTCOMES } from '../../shared/contract/delivery.ts';
import { SegmentQuery } from './schemas.ts';

const text = (description: string, example: string) =>
  Type.Optional(Type.String({ description, examples: [example] }));
const Cause = Type.Object({ messageId: Type.String() }, { additionalProperties: true });

export const ActivationParametersQuery = Type.Object(
  {
    ...SegmentQuery.properties,
    id: text('Entries of this activation.', 'PfW4D1CCFvBfUOmZ8wQe2g'),
    name: text('Entries of activations of this name.', 'cart_mail'),
    destination: text('Entries of activations that go there.', 'crm'),
    outcome: text(
      `Entries of these kinds, comma-separated: decided, ${DELIVERY_OUTCOMES.join(', ')}.`,
      'retrying,failed',
    ),
    profile: text(
      'Entries of this profile. Of a retired id also those of the profile it became part of.',
      '0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b11',
    ),
    messageId: text('Entries of activations that this event caused.', 'm-1'),
    from: text('Written at or after: ISO 8601, or how long ago.', '2h'),
    to: text('Written before: ISO 8601, or how long ago.', '2026-11-22T10:15:00Z'),
    limit: text('Most entries of an answer: 1 to 1000, 100 when not given.', '100'),
    next: text(
      'Goes on where an answer ended: its `next`, with the same parameters.',
      'YWN0aXZhdGlvbnMuMTcuNA',
    ),
  },
  { additionalProperties: false },
);

const Common = {
  activationId: Type.String(),
  name: Type.String(),
  profileId: Type.String(),
  cause: Cause,
  writtenAt: Type.String({ description: 'When it was written to the log: what from and to mean.' }),
};

const Decided = Type.Object({
  kind: Type.Literal('decided'),
  ...Common,
  at: Type.String({ description: 'Log time of the cause.' }),
  keys: Type.Record(Type.String(), Type.String()),
  payload: Type.Record(Type.String(), Type.Unknown()),
  to: Type.Array(Type.String(), { description: 'Destinations; none: it is there for subscribers.' }),
  configVersion: Type.Integer(),
  redriven: Type.Optional(Type.Integer({ description: 'Sent again by hand, for the so-manyth time.' })),
});

const Tried = Type.Object({
  kind: Type.Literal('attempt'),
  ...Common,
  destination: Type.String(),
  outcome: Type.Enum([...DELIVERY_OUTCOMES]),
  reason: Type.Optional(Type.Enum([...DEAD_REASONS], { description: 'Why it failed for good.' })),
  attempt: Type.Integer({ description: 'Counted from 1; 0: it was too old before the first.' }),
  status: Type.Optional(Type.Integer({ description: 'Of HTTP or SMTP.' })),
  answer: Type.Optional(Type.String({ description: 'First bytes of the answer.' })),
  error: Type.Optional(Type.String()),
  latencyMs: Type.Integer(),
  at: Type.String({ description: 'When the attempt began.' }),
  nextAt: Type.Optional(Type.String({ description: 'No other attempt before this.' })),
  decidedAt: Type.String(),
  by: Type.String({ description: 'The activator process.' }),
});

export const ActivationsAnswer = Type.Object(
  {
    segment: Type.String(),
    entries: Type.Array(Type.Union([Decided, Tried]), { description: 'Newest first.' }),
    complete: Type.Boolean({
      description: 'False: older entries were not looked at yet; go on with `next`, also after no entries.',
    }),
    next: Type.Optional(Type.String()),
    scanned: Type.Integer({ description: 'Entries that were looked at.' }),
  },
  { description: 'Activations that were decided, and every attempt to deliver them.' },
);
