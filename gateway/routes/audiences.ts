// GET /v1/audiences: how large each is, and a sample of members. The sizes are metrics as well.
import { Gauge } from 'prom-client';
import { errorText } from '../../shared/kernel/errors.ts';
import { readAudiences } from '../audiences/read-audiences.ts';
import { withDeadline } from '../http/deadline.ts';
import { AudiencesAnswer } from '../http/profile-schemas.ts';
import { answers, SegmentQuery } from '../http/schemas.ts';
import { pickSegment } from '../segments.ts';
import type { GatewayApp, RouteContext } from './route-context.ts';

/** Sizes in metrics are this old at most: they are read when somebody scrapes. */
const METRIC_AGE_MS = 5_000;

export function addAudienceRoutes(app: GatewayApp, context: RouteContext): void {
  const { deps, settings, auth } = context;
  registerSizes(context);
  app.route({
    method: 'GET',
    url: '/v1/audiences',
    schema: {
      summary: 'Audiences, their sizes and a sample of members',
      querystring: SegmentQuery,
      security: [{ key: [] }],
      response: answers(
        { 200: AudiencesAnswer },
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
      const audiences = await withDeadline(readAudiences(segment), {
        clock: deps.clock,
        ms: settings.readDeadlineMs,
        code: 'STORE_UNAVAILABLE',
      });
      return { segment: segment.names.segment, configVersion: segment.configVersion(), audiences };
    },
  });
}

function registerSizes({ deps, settings }: RouteContext): void {
  const { clock, logger } = deps;
  let readAtMs = Number.NEGATIVE_INFINITY;
  new Gauge({
    name: 'stitchwork_audience_members',
    help: 'Profiles in each audience.',
    labelNames: ['segment', 'audience'],
    registers: [deps.registry],
    async collect() {
      if (clock.elapsedMs() - readAtMs < METRIC_AGE_MS) return;
      readAtMs = clock.elapsedMs();
      try {
        const reading = Promise.all(
          deps.segments.map(async (one) => [one.names.segment, await readAudiences(one)] as const),
        );
        const deadline = { clock, ms: settings.readDeadlineMs, code: 'STORE_UNAVAILABLE' } as const;
        const found = await withDeadline(reading, deadline);
        this.reset();
        for (const [segment, audiences] of found)
          for (const { name, size } of audiences) this.set({ segment, audience: name }, size);
      } catch (error) {
        // The other metrics are wanted most when the store is away.
        logger.debug({ reason: errorText(error) }, 'sizes of audiences could not be read');
      }
    },
  });
}
