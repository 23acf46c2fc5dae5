// Answers about profiles and audiences, as schemas: they become /openapi.json.
import { Type } from 'typebox';

export const ProfileAnswer = Type.Object(
  {
    id: Type.String(),
    keys: Type.Record(Type.String(), Type.Array(Type.String())),
    attributes: Type.Record(Type.String(), Type.Unknown()),
    batch: Type.Record(Type.String(), Type.Unknown()),
    batchAsOf: Type.Union([Type.String(), Type.Null()], {
      description: 'When the oldest of the snapshots under batch was made.',
    }),
    audiences: Type.Array(Type.String()),
    journeys: Type.Record(Type.String(), Type.Unknown()),
    held: Type.Array(Type.Unknown()),
    createdAt: Type.String(),
    updatedAt: Type.String(),
    mergedFrom: Type.Array(Type.String()),
    mergedCount: Type.Integer({
      description: 'Profiles merged into this one; mergedFrom lists the last 100.',
    }),
    configVersion: Type.Integer({ description: 'Version of the config that decided last.' }),
  },
  {
    description: 'The unified profile.',
    examples: [
      {
        id: '0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b11',
        keys: { email: ['ann@example.com'], anonymous_id: ['device-7'] },
        attributes: { views: { '1h': 3, '7d': 9 }, last_category: 'yoga' },
        batch: {},
        batchAsOf: null,
        audiences: [],
        journeys: {},
        held: [],
        createdAt: '2026-11-20T08:00:00.000Z',
        updatedAt: '2026-11-22T10:15:00.000Z',
        mergedFrom: [],
        mergedCount: 0,
        configVersion: 3,
      },
    ],
  },
);

export const AudiencesAnswer = Type.Object(
  {
    segment: Type.String(),
    configVersion: Type.Integer(),
    audiences: Type.Array(
      Type.Object({
        name: Type.String(),
        size: Type.Integer({ description: 'Profiles that are in it, as of the last commit of every shard.' }),
        sample: Type.Array(Type.String(), {
          description: 'Ids of a few that came in lately; one may have left since.',
        }),
      }),
    ),
  },
  {
    description: 'Audiences in the order of the config.',
    examples: [
      {
        segment: 'shop',
        configVersion: 3,
        audiences: [{ name: 'gold_yoga', size: 1204, sample: ['0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b11'] }],
      },
    ],
  },
);
