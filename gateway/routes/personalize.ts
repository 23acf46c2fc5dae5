// POST /v1/personalize/{service}: one event in, decision out; or keys in, and nothing is written.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { EVENT_LIMITS } from '../../shared/contract/event.ts';
import { didYouMean } from '../../shared/kernel/edit-distance.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { type EventItem, splitBody } from '../events/split-body.ts';
import { keyOf } from '../http/auth.ts';
import { refuse } from '../http/errors.ts';
import { bodyFormOf } from '../http/media-type.ts';
import {
  PersonalizeAnswer,
  PersonalizeBody,
  PersonalizeParams,
  PersonalizeQuery,
} from '../http/personalize-schemas.ts';
import { readBody } from '../http/read-body.ts';
import { answers } from '../http/schemas.ts';
import { accessOf, refusalOf } from '../personalize/access.ts';
import { type Answered, answerEvent, answerKeys, type Decision } from '../personalize/answer.ts';
import { allowOrigin, allowRequest } from '../personalize/cors.ts';
import { createServices, type ServiceInForce, type Services } from '../personalize/services.ts';
import { pickSegment } from '../segments.ts';
import type { GatewayApp, RouteContext } from './route-context.ts';

const URL = '/v1/personalize/:service';
const ALLOWED_HEADERS = 'authorization, content-type, content-encoding';
/** One event, and what may stand around it. */
const BODY_BYTES_MAX = EVENT_LIMITS.eventBytes + 4_096;

export function addPersonalizeRoutes(app: GatewayApp, context: RouteContext): void {
  const services = createServices(context.deps.segments, context.deps.secretOf ?? (() => undefined));
  const allowPage = (request: FastifyRequest, reply: FastifyReply) => {
    const { service } = request.params as { readonly service: string };
    const known = services.named(service).map(({ rule }) => rule.config);
    return allowOrigin(reply, request.headers.origin, known);
  };
  app.route({
    method: 'OPTIONS',
    url: URL,
    schema: { hide: true },
    handler: async (request, reply) => {
      allowPage(request, reply);
      return allowRequest(reply, 'POST', ALLOWED_HEADERS);
    },
  });
  app.route({
    method: 'POST',
    url: URL,
    schema: {
      summary: 'Send one event and get the decision, or ask by keys alone',
      description:
        'With an event: it is stored, applied, and the answer knows it. With `keys` alone: nothing is written. Answers within the budget of the service; what was not there in time is told by `degraded` and `reasons`.',
      params: PersonalizeParams,
      querystring: PersonalizeQuery,
      body: PersonalizeBody,
      security: [{ token: [] }, { key: [] }],
      response: answers(
        { 200: PersonalizeAnswer },
        'BAD_REQUEST',
        'INVALID_EVENT',
        'NO_KEYS',
        'UNKNOWN_KEY_NAME',
        'INVALID_KEY_VALUE',
        'UNAUTHORIZED',
        'FORBIDDEN',
        'NOT_FOUND',
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
    // The body is read in the handler, under the byte budget.
    validatorCompiler: (route) => (route.httpPart === 'body' ? () => true : app.validatorCompiler!(route)),
    onRequest: async (request, reply) => void allowPage(request, reply),
    handler: async (request, reply) => {
      const service = serviceFor(context, services, request);
      return answer(context, service, request, reply);
    },
  });
}

/** The service that the caller may ask: by a token of it, or by an admin key. */
function serviceFor(context: RouteContext, services: Services, request: FastifyRequest): ServiceInForce {
  const { service: name } = request.params as { readonly service: string };
  const { segment } = request.query as { readonly segment?: string };
  const caller = {
    token: keyOf(request.headers.authorization),
    address: request.ip,
    origin: request.headers.origin,
  };
  const access = accessOf(services, caller, name);
  if (access.kind === 'open') {
    const { names } = access.service.segment;
    if (segment === undefined || segment === names.segment) return access.service;
    throw new StitchworkError('FORBIDDEN', `The token is for the segment '${names.segment}'.`);
  }
  if (access.kind !== 'unknown_token') {
    const { code, message } = refusalOf(access);
    throw new StitchworkError(code, message);
  }
  context.auth.require(request, 'admin');
  return namedService(context, services, name, segment);
}

function namedService(
  { deps }: RouteContext,
  services: Services,
  name: string,
  segment: string | undefined,
): ServiceInForce {
  const found = services.named(name);
  const [only] = found;
  if (segment === undefined && found.length === 1 && only) return only;
  const picked = pickSegment(deps.segments, segment);
  const service = found.find((each) => each.segment === picked);
  if (service) return service;
  const known = picked.config().personalization.map((each) => each.name);
  const meant = didYouMean(name, known);
  const hint = meant === undefined ? `it has: ${known.join(', ') || 'none'}` : `did you mean '${meant}'?`;
  throw new StitchworkError('NOT_FOUND', `The config has no personalization service '${name}'; ${hint}`);
}

async function answer(
  context: RouteContext,
  service: ServiceInForce,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const lease = context.budget.open();
  const trace = context.deps.tracing?.begin(request.headers);
  try {
    const form = bodyFormOf(request.headers['content-type']);
    const body = await readBody(request.raw, lease, BODY_BYTES_MAX);
    const item = splitBody(body, form, 1)[0]!;
    const { budget_ms: budgetMs } = request.query as { readonly budget_ms?: number };
    const deps = { ...context.deps, metrics: context.metrics };
    const keys = keysAlone(item);
    const answered: Answered =
      keys === undefined
        ? await answerEvent(deps, service, item, { budgetMs, trace })
        : await answerKeys(deps, service, keys, { budgetMs });
    if (answered.kind === 'refused') return refuse(reply, answered.refusal);
    return reply.header('cache-control', 'no-store').send(bodyOf(answered.decision));
  } finally {
    trace?.end(reply.statusCode);
    lease.release();
  }
}

/** The keys of a call that brings no event; undefined: it brings one. */
function keysAlone(item: EventItem): unknown {
  if (item.kind === 'broken' || typeof item.value !== 'object' || item.value === null) return undefined;
  const fields = Object.keys(item.value);
  return fields.length === 1 && fields[0] === 'keys' ? (item.value as { keys: unknown }).keys : undefined;
}

function bodyOf({ offers, omitted, reasons, event, ...rest }: Decision): object {
  const { profileId, batchAsOf, profileAsOf, configVersion } = rest;
  return {
    offers,
    profileId,
    batchAsOf,
    profileAsOf,
    configVersion,
    degraded: reasons.length > 0,
    ...(reasons.length > 0 && { reasons }),
    ...(omitted.length > 0 && { omitted }),
    ...(event && { event }),
  };
}
