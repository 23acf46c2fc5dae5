// Shapes of personalization, as schemas: they become /openapi.json.
import { Type } from 'typebox';
import { PERSONALIZATION_LIMITS } from '../../shared/contract/config/personalization-schemas.ts';
import { SegmentQuery } from './schemas.ts';

export const PersonalizeParams = Type.Object({
  service: Type.String({ description: 'Name of the service in the config.', examples: ['web'] }),
});

export const PersonalizeQuery = Type.Object(
  {
    ...SegmentQuery.properties,
    budget_ms: Type.Optional(
      Type.Integer({
        minimum: PERSONALIZATION_LIMITS.budget_ms_min,
        maximum: PERSONALIZATION_LIMITS.budget_ms_max,
        description: 'A shorter time budget than that of the service, in milliseconds.',
        examples: [100],
      }),
    ),
  },
  { additionalProperties: false },
);

const WITH_EVENT = {
  messageId: '0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b11',
  name: 'Product Viewed',
  keys: { anonymous_id: 'device-7', customer_id: 'C-1' },
  properties: { category: 'yoga' },
};
const BY_KEYS = { keys: { customer_id: 'C-1' } };

/** Documents the body only: it is read by hand. */
export const PersonalizeBody = {
  content: {
    'application/json': {
      schema: Type.Union(
        [
          Type.Object(
            {
              messageId: Type.Optional(Type.String({ description: 'Stable over retries.' })),
              name: Type.String(),
              keys: Type.Record(Type.String(), Type.Unknown()),
              properties: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
              timestamp: Type.Optional(Type.Union([Type.String(), Type.Number()])),
              table: Type.Optional(Type.String()),
            },
            { description: 'An event, as for POST /v1/events.' },
          ),
          Type.Object(
            { keys: Type.Record(Type.String(), Type.Unknown()) },
            { additionalProperties: false, description: 'Keys alone: nothing is written.' },
          ),
        ],
        { examples: [WITH_EVENT, BY_KEYS] },
      ),
    },
  },
};

const TimeOrNull = (description: string) => Type.Union([Type.String(), Type.Null()], { description });

const Offer = Type.Object({
  attributes: Type.Record(Type.String(), Type.Unknown()),
  audiences: Type.Optional(Type.Array(Type.String())),
  variant: Type.Optional(Type.String({ description: 'Of a section with a split.' })),
  fallback: Type.Optional(
    Type.Literal(true, { description: 'The section did not match, or the visitor is in a control group.' }),
  ),
});

const OFFERS = {
  hero: { attributes: { offer: 'yoga-weekend', category: 'yoga' }, variant: 'b' },
  banner: { attributes: { text: 'Free delivery this week' }, fallback: true },
};
const ANSWERED = {
  offers: OFFERS,
  profileId: '0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b11',
  batchAsOf: '2026-11-22T03:00:00.000Z',
  profileAsOf: '2026-11-22T10:15:00.000Z',
  configVersion: 3,
  degraded: false,
};

export const PersonalizeAnswer = Type.Object(
  {
    offers: Type.Record(Type.String(), Offer, { description: 'By section, the highest priority first.' }),
    profileId: Type.Union([Type.String(), Type.Null()], { description: 'Null: nobody has these keys.' }),
    batchAsOf: TimeOrNull('When the oldest of the batch rows that it knows was made.'),
    profileAsOf: TimeOrNull('When the profile last changed.'),
    configVersion: Type.Integer({ description: 'Version of the config that decided.' }),
    degraded: Type.Boolean({ description: 'Something was not there in time: see `reasons`.' }),
    reasons: Type.Optional(
      Type.Array(
        Type.String({
          enum: ['worker_slow', 'log_slow', 'event_not_applied', 'profile_unavailable', 'rows_unavailable'],
        }),
      ),
    ),
    omitted: Type.Optional(
      Type.Array(Type.String(), { description: 'Sections that did not fit into the answer.' }),
    ),
    event: Type.Optional(
      Type.Object(
        {
          messageId: Type.String(),
          stored: Type.Union([Type.Literal(true), Type.Null()], {
            description: 'Null: the log did not say in time. The same event may be sent again with this id.',
          }),
          committed: Type.Boolean({ description: 'Applied, and counted in this answer.' }),
        },
        { description: 'Of a call that brought one.' },
      ),
    ),
  },
  {
    description: 'The decision.',
    examples: [
      { ...ANSWERED, event: { messageId: 'm-1', stored: true, committed: true } },
      {
        ...ANSWERED,
        degraded: true,
        reasons: ['worker_slow'],
        event: { messageId: 'm-2', stored: true, committed: false },
      },
    ],
  },
);
