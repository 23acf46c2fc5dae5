// GET /v1/journeys: the journeys of the config in force, and how many profiles stand at each step.
import { Type } from 'typebox';
import type { Members } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { GatewaySegment } from '../deps.ts';
import { withDeadline } from '../http/deadline.ts';
import { answers, SegmentQuery } from '../http/schemas.ts';
import { pickSegment } from '../segments.ts';
import type { GatewayApp, RouteContext } from './route-context.ts';

const JourneysAnswer = Type.Object(
  {
    segment: Type.String(),
    configVersion: Type.Integer(),
    journeys: Type.Array(
      Type.Object({
        name: Type.String(),
        state: Type.Union([Type.Literal('launched'), Type.Literal('paused'), Type.Literal('draft')]),
        inside: Type.Integer({ description: 'Profiles that are in it.' }),
        steps: Type.Array(
          Type.Object({
            step: Type.String(),
            kind: Type.String({ description: 'What it does; of a step of an earlier config: former.' }),
            inside: Type.Integer({ description: 'Profiles that wait there.' }),
          }),
        ),
      }),
    ),
  },
  {
    examples: [
      {
        segment: 'shop',
        configVersion: 3,
        journeys: [
          {
            name: 'abandoned_cart',
            state: 'launched',
            inside: 7,
            steps: [{ step: '1', kind: 'wait', inside: 7 }],
          },
        ],
      },
    ],
  },
);

export function addJourneyRoutes(app: GatewayApp, { deps, settings, auth }: RouteContext): void {
  app.route({
    method: 'GET',
    url: '/v1/journeys',
    schema: {
      summary: 'Journeys, and how many profiles stand at each step',
      querystring: SegmentQuery,
      security: [{ key: [] }],
      response: answers(
        { 200: JourneysAnswer },
        'BAD_REQUEST',
        'UNAUTHORIZED',
        'FORBIDDEN',
        'UNKNOWN_SEGMENT',
        'STORE_UNAVAILABLE',
      ),
    },
    onRequest: async (request) => auth.require(request, 'admin'),
    handler: async (request) => {
      const segment = pickSegment(deps.segments, request.query.segment);
      const counts = await withDeadline(countsOf(segment), {
        clock: deps.clock,
        ms: settings.readDeadlineMs,
        code: 'STORE_UNAVAILABLE',
      });
      return {
        segment: segment.names.segment,
        configVersion: segment.configVersion(),
        journeys: describe(segment, counts),
      };
    },
  });
}

type Counts = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** Summed over shards. */
async function countsOf({ store, shards }: GatewaySegment): Promise<Counts> {
  const keys = Array.from({ length: shards }, (_, shard) => recordKeys.members(shard));
  const counts = new Map<string, Map<string, number>>();
  for (const [key, { value }] of await store.read(keys, 'replica')) {
    const { journeys = {} } = value ? (decodeRecord(key, value) as Members) : {};
    for (const [journey, steps] of Object.entries(journeys)) {
      const sums = counts.get(journey) ?? new Map<string, number>();
      for (const [step, count] of Object.entries(steps)) sums.set(step, (sums.get(step) ?? 0) + count);
      counts.set(journey, sums);
    }
  }
  return counts;
}

function describe({ config }: GatewaySegment, counts: Counts) {
  return config().journeys.map(({ name, draft, paused, steps }) => {
    const sums = counts.get(name) ?? new Map<string, number>();
    const known = new Set(steps.map(({ id }) => id));
    const former = [...sums].filter(([step, inside]) => !known.has(step) && inside > 0);
    return {
      name,
      state: draft ? ('draft' as const) : paused ? ('paused' as const) : ('launched' as const),
      inside: [...sums.values()].reduce((sum, count) => sum + count, 0),
      steps: [
        ...steps.map(({ id, kind }) => ({ step: id, kind, inside: sums.get(id) ?? 0 })),
        ...former.map(([step, inside]) => ({ step, kind: 'former', inside })),
      ],
    };
  });
}
