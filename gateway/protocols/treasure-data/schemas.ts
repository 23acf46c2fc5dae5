// Shapes of Treasure Data's ingest and personalization, for /openapi.json: bodies are read by their translation.
import { Type } from 'typebox';

const RECORD = {
  td_client_id: '7a34240f-e750-4792-890e-40d5de5a1e6b',
  event_name: 'Product Viewed',
  sku: 'yoga',
  time: 1_795_389_604,
};
const RecordShape = Type.Object(
  {
    time: Type.Optional(Type.Number({ description: 'Seconds since 1970.' })),
    uuid: Type.Optional(Type.String({ description: 'Stable over retries; assigned when absent.' })),
  },
  { additionalProperties: true },
);

function jsonBody(schema: object): object {
  return {
    content: { 'application/vnd.treasuredata.v1+json': { schema }, 'application/json': { schema } },
  };
}

export const RecordBody = jsonBody({ ...RecordShape, examples: [RECORD] });
export const RecordsBody = jsonBody(
  Type.Union([RecordShape, Type.Object({ events: Type.Array(RecordShape) })], {
    examples: [{ events: [RECORD] }, RECORD],
  }),
);

export const Receipts = Type.Object(
  {
    receipts: Type.Array(
      Type.Object({
        success: Type.Boolean(),
        uuid: Type.Optional(Type.String({ description: 'Message id of the event.' })),
        error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() })),
      }),
      { description: 'One for each record, in order.' },
    ),
  },
  { examples: [{ receipts: [{ success: true, uuid: '0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b11' }] }] },
);

export const Answer = Type.Object(
  {
    offers: Type.Record(
      Type.String(),
      Type.Object({
        attributes: Type.Record(Type.String(), Type.Unknown()),
        batch_segments: Type.Array(Type.Object({ id: Type.String() })),
      }),
      { description: 'By section.' },
    ),
  },
  {
    examples: [{ offers: { hero: { attributes: { category: 'yoga' }, batch_segments: [{ id: 'gold' }] } } }],
  },
);
const AnswerFault = Type.Object(
  { code: Type.Integer(), message: Type.String() },
  { examples: [{ code: 3001, message: 'The token is not known here.' }] },
);
/** Of a personalization call. */
export const ANSWERS: Readonly<Record<string, unknown>> = {
  200: Answer,
  '4XX': AnswerFault,
  '5XX': AnswerFault,
};
