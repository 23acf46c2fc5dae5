// Shapes of the API, once: they check queries, type handlers and become /openapi.json. Answers are typed by hand and
// tested against these, not filtered by them.
import { Type } from 'typebox';
import { EVENT_LIMITS } from '../../shared/contract/event.ts';
import { ERRORS, type ErrorCode } from '../../shared/kernel/errors.ts';

export const SegmentQuery = Type.Object(
  {
    segment: Type.Optional(
      Type.String({
        description: 'Parent segment; needed only when several are deployed.',
        examples: ['shop'],
      }),
    ),
  },
  { additionalProperties: false },
);

export const EventsQuery = Type.Object(
  {
    ...SegmentQuery.properties,
    wait: Type.Optional(
      Type.Literal('commit', {
        description:
          'Answer after the commit, with the profile ids; 202 with `committed: false` when it took too long.',
      }),
    ),
  },
  { additionalProperties: false },
);

export const SimulateQuery = Type.Object(
  {
    ...SegmentQuery.properties,
    from: Type.Optional(
      Type.Union([Type.Literal('empty'), Type.Literal('live')], {
        description: 'Over nothing (default), or over the profiles as they are stored now.',
      }),
    ),
  },
  { additionalProperties: false },
);

const KeyListsShape = Type.Record(Type.String(), Type.Array(Type.String()));

export const IdentityAnswer = Type.Object(
  {
    profileId: Type.String(),
    createdAt: Type.String(),
    keys: Type.Array(
      Type.Object(
        {
          name: Type.String(),
          value: Type.String(),
          kind: Type.String(),
          firstSeenAt: Type.String(),
          lastSeenAt: Type.String({ description: 'To the minute.' }),
          source: Type.String({ description: 'Message id of the event that attached the key.' }),
          link: Type.Optional(
            Type.Unknown({ description: 'Owners before, sharing, and what it was seen with.' }),
          ),
        },
        { additionalProperties: true },
      ),
    ),
    moreKeys: Type.Integer(),
    observed: KeyListsShape,
    merges: Type.Array(
      Type.Object({
        from: Type.String(),
        at: Type.Optional(Type.String()),
        keys: Type.Optional(KeyListsShape),
      }),
    ),
    mergedCount: Type.Integer(),
    apart: Type.Array(Type.Object({ profileId: Type.String(), at: Type.String() })),
  },
  { description: 'The keys of the profile, how they came to it, and the profiles that became part of it.' },
);

export const SimulationAnswer = Type.Object({
  events: Type.Array(
    Type.Object(
      {
        index: Type.Integer(),
        messageId: Type.String(),
        profileId: Type.Union([Type.String(), Type.Null()]),
        facts: Type.Array(Type.Object({ kind: Type.String() }, { additionalProperties: true })),
      },
      { additionalProperties: true },
    ),
  ),
  rejected: Type.Array(Type.Object({ index: Type.Integer(), code: Type.String(), message: Type.String() })),
  profiles: Type.Array(
    Type.Object({ id: Type.String(), keys: KeyListsShape, mergedFrom: Type.Array(Type.String()) }),
  ),
});

export const NoQuery = Type.Object({}, { additionalProperties: false });

const EVENT_EXAMPLE = {
  messageId: '0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b11',
  name: 'Product Viewed',
  keys: { email: 'ann@example.com', anonymous_id: 'device-7' },
  properties: { category: 'yoga', price: 29.9 },
  timestamp: '2026-11-22T10:15:00Z',
};

const EventBody = Type.Object(
  {
    messageId: Type.Optional(Type.String({ description: 'Stable over retries; assigned when absent.' })),
    name: Type.String({ examples: ['Product Viewed'] }),
    keys: Type.Record(Type.String(), Type.Unknown(), { description: 'Stitching keys by name.' }),
    properties: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    timestamp: Type.Optional(
      Type.Union([Type.String({ description: 'ISO 8601' }), Type.Number({ description: 'epoch ms' })]),
    ),
    table: Type.Optional(Type.String()),
  },
  { examples: [EVENT_EXAMPLE] },
);

const EventList = Type.Array(EventBody, { minItems: 1, maxItems: EVENT_LIMITS.eventsPerRequest });

/** Documents the body only: it is read by hand, in more forms than a schema can say. */
export const EventsBody = {
  content: {
    'application/json': {
      schema: Type.Union([EventBody, EventList, Type.Object({ events: EventList })], {
        examples: [EVENT_EXAMPLE, { events: [EVENT_EXAMPLE] }],
      }),
    },
    'application/x-ndjson': {
      schema: Type.String({ description: 'One event a line.', examples: [JSON.stringify(EVENT_EXAMPLE)] }),
    },
  },
};

export const EventsAccepted = Type.Object(
  {
    accepted: Type.Integer({ minimum: 1, description: 'Events that are stored durably.' }),
    rejected: Type.Array(
      Type.Object({ index: Type.Integer({ minimum: 0 }), code: Type.String(), message: Type.String() }),
    ),
  },
  {
    description: 'The events are in the log; those rejected are named by their position in the request.',
    examples: [{ accepted: 1, rejected: [{ index: 1, code: 'NO_KEYS', message: ERRORS.NO_KEYS.text }] }],
  },
);

const AppliedEvents = Type.Array(
  Type.Object({
    index: Type.Integer({ minimum: 0, description: 'Position in the request.' }),
    messageId: Type.String(),
    profileId: Type.Union([Type.String(), Type.Null()], {
      description: 'Null when the keys identify nobody, or the event could not be applied.',
    }),
    code: Type.Optional(Type.String({ description: 'Why the event could not be applied: a dead letter.' })),
  }),
);

export const EventsCommitted = Type.Object(
  { ...EventsAccepted.properties, committed: Type.Boolean(), profiles: AppliedEvents },
  {
    description: 'With `wait=commit`: the events are applied, and every read sees them.',
    examples: [
      {
        accepted: 1,
        rejected: [],
        committed: true,
        profiles: [{ index: 0, messageId: 'm-1', profileId: '0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b11' }],
      },
    ],
  },
);

/** 202, with what is known of the commit when it was waited for. */
export const EventsStored = Type.Union([
  EventsAccepted,
  Type.Object(
    { ...EventsAccepted.properties, committed: Type.Literal(false), profiles: AppliedEvents },
    { description: 'With `wait=commit`: stored, and not applied in time. They will be.' },
  ),
]);

const ShardStatus = Type.Object({
  shard: Type.Integer(),
  owner: Type.Union([Type.String(), Type.Null()]),
  lag: Type.Integer({ description: 'Messages in the log that are not applied yet.' }),
  lastCommitAt: Type.Union([Type.String(), Type.Null()]),
});

const Alarm = Type.Object({
  code: Type.String(),
  reason: Type.String(),
  shard: Type.Union([Type.Integer(), Type.Null()]),
  worker: Type.Union([Type.String(), Type.Null()]),
});

const HotRecords = Type.Array(Type.Object({ record: Type.String(), count: Type.Integer() }));

const Activity = Type.Object({
  conflicts: Type.Integer({ description: 'Since the worker started, as the other counts.' }),
  fences: Type.Integer(),
  unknownOutcomes: Type.Integer(),
  deadLetters: Type.Integer(),
  commitsPerSecond: Type.Number({ description: 'Over the last ten seconds.' }),
  eventsPerSecond: Type.Number(),
  residents: Type.Object({ count: Type.Integer(), bytes: Type.Integer() }),
  hotWrites: HotRecords,
  hotConflicts: HotRecords,
});

const WorkerStatus = Type.Object({
  id: Type.String(),
  startedAt: Type.String(),
  configVersion: Type.Integer(),
  configSince: Type.Union([Type.String(), Type.Null()], { description: 'When it took that version over.' }),
  shards: Type.Integer({ description: 'Shards owned.' }),
  activity: Type.Union([Activity, Type.Null()]),
});

const CopyStatus = Type.Object({
  name: Type.String(),
  lag: Type.Integer({ description: 'Messages not copied yet.' }),
  running: Type.Boolean(),
  error: Type.Union([Type.String(), Type.Null()]),
});

const LogStatus = Type.Object({
  messages: Type.Integer(),
  bytes: Type.Integer(),
  bytesMax: Type.Union([Type.Integer(), Type.Null()]),
});

const STATUS_ACTIVITY = {
  conflicts: 2,
  fences: 0,
  unknownOutcomes: 0,
  deadLetters: 0,
  commitsPerSecond: 41.5,
  eventsPerSecond: 9800,
  residents: { count: 100_000, bytes: 61_000_000 },
  hotWrites: [{ record: 'p.0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b11', count: 310 }],
  hotConflicts: [{ record: 'k.email.#Zx4q', count: 2 }],
};

export const StatusAnswer = Type.Object(
  {
    segments: Type.Array(
      Type.Object({
        name: Type.String(),
        configVersion: Type.Integer(),
        lag: Type.Integer({ description: '0: every event accepted before the request is applied.' }),
        lastCommitAt: Type.Union([Type.String(), Type.Null()]),
        shards: Type.Array(ShardStatus),
        alarms: Type.Array(Alarm),
        workers: Type.Array(WorkerStatus),
        copies: Type.Array(CopyStatus, { description: 'The copies that the server makes of the outbox.' }),
        log: LogStatus,
      }),
    ),
    workers: Type.Array(Type.Object({ id: Type.String(), startedAt: Type.String() })),
  },
  {
    description: 'Segments, shards, owners and lag.',
    examples: [
      {
        segments: [
          {
            name: 'shop',
            configVersion: 3,
            lag: 0,
            lastCommitAt: '2026-11-22T10:15:00.000Z',
            shards: [{ shard: 0, owner: 'w1', lag: 0, lastCommitAt: '2026-11-22T10:15:00.000Z' }],
            alarms: [],
            workers: [
              {
                id: 'w1',
                startedAt: '2026-11-22T09:00:00.000Z',
                configVersion: 3,
                configSince: '2026-11-22T09:58:12.040Z',
                shards: 64,
                activity: STATUS_ACTIVITY,
              },
            ],
            copies: [{ name: 'activations', lag: 0, running: true, error: null }],
            log: { messages: 120_000, bytes: 41_000_000, bytesMax: 10_000_000_000 },
          },
        ],
        workers: [{ id: 'w1', startedAt: '2026-11-22T09:00:00.000Z' }],
      },
    ],
  },
);

export const HealthAnswer = Type.Object({ status: Type.Literal('ok') }, { description: 'It is.' });

export const IndexAnswer = Type.Object(
  { name: Type.String(), api: Type.String(), openapi: Type.String(), health: Type.String() },
  { description: 'Where to look next.' },
);

const ErrorAnswer = (codes: readonly ErrorCode[]) =>
  Type.Object(
    {
      error: Type.Object({
        code: Type.String({ enum: [...codes] }),
        message: Type.String(),
        details: Type.Optional(Type.Array(Type.Unknown())),
      }),
    },
    {
      description: codes.map((code) => `${code}: ${ERRORS[code].text}`).join(' '),
      examples: codes.map((code) => ({ error: { code, message: ERRORS[code].text } })),
    },
  );

/**
 * The answers of a route, by status: those of success, and its error codes. INTERNAL and NOT_READY can come from every
 * route. They document; handlers are typed by themselves.
 */
export function answers(
  success: Readonly<Record<number, unknown>>,
  ...codes: readonly ErrorCode[]
): Record<number, unknown> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of [...codes, 'INTERNAL', 'NOT_READY'] as const) {
    const status = ERRORS[code].status;
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return {
    ...success,
    ...Object.fromEntries([...byStatus].map(([status, list]) => [status, ErrorAnswer(list)])),
  };
}
