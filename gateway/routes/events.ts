// POST /v1/events: read, check each event, append all of a request at once. 202 is sent only after the log has stored
// them; any other outcome accepts nothing that the client would not send again.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { EVENT_LIMITS } from '../../shared/contract/event.ts';
import { uuidV7From } from '../../shared/kernel/hash.ts';
import { randomToken } from '../../shared/kernel/random.ts';
import type { GatewaySegment } from '../deps.ts';
import { appendPrepared } from '../events/append.ts';
import { awaitCommit } from '../events/await-commit.ts';
import { type Marks, type Prepared, prepareEvents } from '../events/prepare.ts';
import { splitBody } from '../events/split-body.ts';
import { refuse } from '../http/errors.ts';
import { bodyFormOf } from '../http/media-type.ts';
import { readBody } from '../http/read-body.ts';
import { answers, EventsBody, EventsCommitted, EventsQuery, EventsStored } from '../http/schemas.ts';
import { pickSegment } from '../segments.ts';
import type { GatewayApp, RouteContext } from './route-context.ts';

const ENTROPY_CHARACTERS = 24;

export function addEventRoutes(app: GatewayApp, context: RouteContext): void {
  app.route({
    method: 'POST',
    url: '/v1/events',
    schema: {
      summary: 'Send customer events',
      description: `Up to ${EVENT_LIMITS.eventsPerRequest} events of ${EVENT_LIMITS.eventBytes} bytes, ${EVENT_LIMITS.requestBytes} bytes in all (before and after gzip). After 429 or 503 send the same events again, with the same message ids.`,
      querystring: EventsQuery,
      body: EventsBody,
      security: [{ key: [] }],
      response: answers(
        { 200: EventsCommitted, 202: EventsStored },
        'BAD_REQUEST',
        'INVALID_EVENT',
        'NO_KEYS',
        'UNKNOWN_KEY_NAME',
        'INVALID_KEY_VALUE',
        'UNAUTHORIZED',
        'UNKNOWN_SEGMENT',
        'EVENT_TOO_LARGE',
        'REQUEST_TOO_LARGE',
        'TOO_MANY_EVENTS',
        'UNSUPPORTED_MEDIA_TYPE',
        'OVERLOADED',
        'LOG_FULL',
        'LOG_UNAVAILABLE',
      ),
    },
    // The body is read in the handler, under the byte budget; there is nothing for a schema to look at before.
    validatorCompiler: (route) => (route.httpPart === 'body' ? () => true : app.validatorCompiler!(route)),
    onRequest: async (request) => context.auth.require(request, 'ingest'),
    handler: (request, reply) =>
      ingest(
        context,
        pickSegment(context.deps.segments, request.query.segment),
        request.query.wait === 'commit',
        request,
        reply,
      ),
  });
}

async function ingest(
  context: RouteContext,
  segment: GatewaySegment,
  waits: boolean,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const lease = context.budget.open();
  const trace = context.deps.tracing?.begin(request.headers);
  const box = waits ? segment.replyBoxes.open() : undefined;
  try {
    const prepared = await prepareRequest(context, segment, request, lease, {
      replyTo: box && ((position) => box.subjectOf(position)),
      traceparent: trace?.traceparent,
    });
    const { metrics } = context;
    const refusal = await appendPrepared(prepared, { segment, metrics, log: request.log, trace });
    if (refusal !== undefined) return refuse(reply, refusal);
    const answer = { accepted: prepared.appends.length, rejected: prepared.rejected };
    if (!box) return reply.code(202).send(answer);
    const commit = await awaitCommit(box, prepared);
    return reply.code(commit.committed ? 200 : 202).send({ ...answer, ...commit });
  } finally {
    box?.close();
    trace?.end(reply.statusCode);
    lease.release();
  }
}

async function prepareRequest(
  context: RouteContext,
  segment: GatewaySegment,
  request: FastifyRequest,
  lease: Parameters<typeof readBody>[1],
  marks: Marks,
): Promise<Prepared> {
  const { clock, random } = context.deps;
  const form = bodyFormOf(request.headers['content-type']);
  const body = await readBody(request.raw, lease, EVENT_LIMITS.requestBytes);
  const items = splitBody(body, form, EVENT_LIMITS.eventsPerRequest);
  const newId = () => uuidV7From(clock.nowMs(), randomToken(random, ENTROPY_CHARACTERS));
  return prepareEvents(items, segment, newId, marks);
}
