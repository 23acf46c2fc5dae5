// Treasure Data's personalization call: one record in, offers out, by a write key and a token. The decision is the one of
// /v1/personalize; only its words are other ones.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { EVENT_LIMITS } from '../../../shared/contract/event.ts';
import { isStitchworkError } from '../../../shared/kernel/errors.ts';
import { type EventItem, splitBody } from '../../events/split-body.ts';
import type { ByteLease } from '../../http/byte-budget.ts';
import { bodyFormOf } from '../../http/media-type.ts';
import { readBody } from '../../http/read-body.ts';
import { accessOf } from '../../personalize/access.ts';
import { answerEvent, type Decision } from '../../personalize/answer.ts';
import { createServices, type ServiceInForce } from '../../personalize/services.ts';
import type { RouteContext } from '../../routes/route-context.ts';
import { readPresented } from '../write-key.ts';
import {
  type AnswerError,
  accessError,
  callError,
  otherDatabase,
  refuseAnswer,
  wrongKind,
} from './answer-errors.ts';
import { filledFrom, placeOf, writeKeyOf } from './place.ts';
import { translateRecord } from './translate.ts';

export const TOKEN_HEADER = 'wp13n-token';

/** Answers a call. `asked`: by a browser, at the public address, or by a server. */
export type Personalizer = (
  request: FastifyRequest,
  reply: FastifyReply,
  asked: 'public' | 'server',
) => Promise<FastifyReply>;

export function createPersonalizer(context: RouteContext): Personalizer {
  const services = createServices(context.deps.segments, context.deps.secretOf ?? (() => undefined));
  return async (request, reply, asked) => {
    const lease = context.budget.open();
    const trace = context.deps.tracing?.begin(request.headers);
    try {
      context.auth.requireKey(readPresented(writeKeyOf(request), context.auth).key, 'ingest');
      const service = serviceFor(request, asked);
      if ('code' in service) return refuseAnswer(reply, service);
      const item = await readItem(request, service, lease, context.deps.clock.nowMs());
      const deps = { ...context.deps, metrics: context.metrics };
      const answered = await answerEvent(deps, service, item, { trace });
      if (answered.kind === 'refused') return refuseAnswer(reply, callError(answered.refusal));
      return reply.header('cache-control', 'no-store').send({ offers: offersOf(answered.decision) });
    } catch (error) {
      if (!isStitchworkError(error) || error.code === 'INTERNAL') throw error;
      const { code, message } = error;
      return refuseAnswer(reply, callError({ code, message }));
    } finally {
      trace?.end(reply.statusCode);
      lease.release();
    }
  };

  function serviceFor(request: FastifyRequest, asked: 'public' | 'server'): ServiceInForce | AnswerError {
    const { [TOKEN_HEADER]: token, origin } = request.headers;
    const caller = { token: typeof token === 'string' ? token : undefined, address: request.ip, origin };
    const access = accessOf(services, caller);
    if (access.kind !== 'open') return accessError(access);
    const { service } = access;
    const isPublic = service.rule.config.public;
    if (isPublic !== (asked === 'public')) return wrongKind(isPublic);
    const { databases } = service.rule.segment.protocols.treasureData;
    const { database } = placeOf(request);
    return databases.length === 0 || databases.includes(database) ? service : otherDatabase(database);
  }
}

/** The one record of a call, as the events API takes it. */
async function readItem(
  request: FastifyRequest,
  { rule }: ServiceInForce,
  lease: ByteLease,
  receivedMs: number,
): Promise<EventItem> {
  const form = bodyFormOf(request.headers['content-type']);
  const body = await readBody(request.raw, lease, EVENT_LIMITS.eventBytes);
  const item = splitBody(body, form, 1)[0]!;
  if (item.kind === 'broken') return item;
  const config = rule.segment.protocols.treasureData;
  const { table } = placeOf(request);
  const arrival = { config, table, receivedMs, filled: filledFrom(request) };
  const translated = translateRecord(item.value, arrival);
  if (translated.kind === 'event') return { kind: 'value', value: translated.value };
  return {
    kind: 'broken',
    message: translated.kind === 'rejected' ? translated.message : 'It holds no event.',
  };
}

/** By section: attributes, and the audiences that it tells as segments. */
function offersOf({ offers }: Decision): object {
  return Object.fromEntries(
    Object.entries(offers).map(([section, { attributes, audiences = [] }]) => [
      section,
      { attributes, batch_segments: audiences.map((id) => ({ id })) },
    ]),
  );
}
