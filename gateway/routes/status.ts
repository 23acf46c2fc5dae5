// GET /v1/status: shards, owners, lag and alarms of every segment, or of the one named.
import { withDeadline } from '../http/deadline.ts';
import { answers, SegmentQuery, StatusAnswer } from '../http/schemas.ts';
import { pickSegment } from '../segments.ts';
import { readSegmentStatus } from '../status/read-status.ts';
import type { GatewayApp, RouteContext } from './route-context.ts';

export function addStatusRoutes(app: GatewayApp, context: RouteContext): void {
  const { deps, settings, auth } = context;
  app.route({
    method: 'GET',
    url: '/v1/status',
    schema: {
      summary: 'Shards, owners and lag',
      querystring: SegmentQuery,
      security: [{ key: [] }],
      response: answers(
        { 200: StatusAnswer },
        'BAD_REQUEST',
        'UNAUTHORIZED',
        'FORBIDDEN',
        'UNKNOWN_SEGMENT',
        'STORE_UNAVAILABLE',
        'LOG_UNAVAILABLE',
      ),
    },
    onRequest: async (request) => auth.require(request, 'admin'),
    handler: async (request) => {
      const { segment: name } = request.query;
      const segments = name === undefined ? deps.segments : [pickSegment(deps.segments, name)];
      const deadline = {
        clock: deps.clock,
        ms: settings.statusDeadlineMs,
        code: 'STORE_UNAVAILABLE',
      } as const;
      const reading = Promise.all(
        segments.map((segment) => readSegmentStatus(segment, settings.probeTimeoutMs)),
      );
      const answers = await withDeadline(reading, deadline);
      const workers = new Map(
        answers.flatMap((answer) => answer.workers).map((worker) => [worker.id, worker]),
      );
      return { segments: answers.map((answer) => answer.status), workers: [...workers.values()] };
    },
  });
}
