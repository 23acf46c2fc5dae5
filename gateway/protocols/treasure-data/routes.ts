// Treasure Data's ingest addresses: records at /td/<database>/<table>, at the root of the hosts that are set for it, and
// postbacks. Its browser SDK sends nothing again, so what can be taken is taken: a record without any key is kept.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { EVENT_LIMITS } from '../../../shared/contract/event.ts';
import type { Prepared } from '../../events/prepare.ts';
import { answers } from '../../http/schemas.ts';
import type { GatewayApp, RouteContext } from '../../routes/route-context.ts';
import { addPreflight, allowOrigin } from '../cors.ts';
import { type Protocol, takeIn, withoutBody } from '../take-in.ts';
import { createPersonalizer, type Personalizer, TOKEN_HEADER } from './personalize.ts';
import { pickByDatabase } from './pick-by-database.ts';
import { filledFrom, NAME, Place, placeOf, writeKeyOf } from './place.ts';
import { ANSWERS, Answer, Receipts, RecordBody, RecordsBody } from './schemas.ts';
import { type RecordArrival, translatePostback, translateRecord } from './translate.ts';

const RECORDS = '/td/:database/:table';
/** Addresses of this form only: other ones at the root stay unknown. */
const ROOT_RECORDS = `/:database(^${NAME}$)/:table(^${NAME}$)`;
const PUBLIC = '/td/public/:database/:table';
const ROOT_PUBLIC = `/public${ROOT_RECORDS}`;
const POSTBACK = '/postback/v3/event/:database/:table';
const ANY_HOST = '*';

const CODES = [
  'BAD_REQUEST',
  'INVALID_EVENT',
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
] as const;

type Translate = (record: unknown, arrival: RecordArrival) => ReturnType<typeof translateRecord>;

export function addTreasureDataRoutes(app: GatewayApp, context: RouteContext): void {
  const personalize = createPersonalizer(context);
  addPreflight(app, RECORDS, 'POST');
  app.route({
    method: 'POST',
    url: RECORDS,
    schema: {
      tags: ['Treasure Data'],
      summary: 'Records of a Treasure Data SDK',
      description: `One flat record or { "events": [record, …] }, up to ${EVENT_LIMITS.eventsPerRequest}. The write key stands in Authorization: TD1 <key>. With a WP13n-Token of a service that is not public it is a personalization call.`,
      security: [{ key: [] }],
      params: Place,
      body: RecordsBody,
      response: answers({ 200: Type.Union([Receipts, Answer]) }, ...CODES),
    },
    validatorCompiler: withoutBody(app),
    onRequest: allowOrigin,
    handler: recordsHandler(context, personalize),
  });
  addPreflight(app, PUBLIC, 'POST');
  app.route({
    method: 'POST',
    url: PUBLIC,
    schema: {
      tags: ['Treasure Data'],
      summary: 'A personalization call of a Treasure Data SDK',
      description:
        'One flat record in, offers out. The write key stands in Authorization: TD1 <key>, the token of a public service in WP13n-Token. Errors are { code, message } with the numbers of Treasure Data.',
      security: [{ key: [] }],
      params: Place,
      body: RecordBody,
      response: ANSWERS,
    },
    validatorCompiler: withoutBody(app),
    onRequest: allowOrigin,
    handler: (request, reply) => personalize(request, reply, 'public'),
  });
  addPostbackRoute(app, context);
}

function addPostbackRoute(app: GatewayApp, context: RouteContext): void {
  addPreflight(app, POSTBACK, 'POST');
  app.route({
    method: 'POST',
    url: POSTBACK,
    schema: {
      tags: ['Treasure Data'],
      summary: 'A postback',
      description:
        'Any JSON object as a record. The write key stands in X-TD-Write-Key, Authorization, or ?td_write_key=.',
      security: [{ key: [] }],
      params: Place,
      body: RecordBody,
      response: answers({ 200: Type.Object({}) }, ...CODES),
    },
    validatorCompiler: withoutBody(app),
    onRequest: allowOrigin,
    handler: (request, reply) =>
      takeIn(
        context,
        protocolOf(request, translatePostback, (to) => to.send({})),
        request,
        reply,
      ),
  });
}

/** After all others: these addresses look like many. They are those of the prefix, and not documented twice. */
export function addTreasureDataRootRoutes(app: GatewayApp, context: RouteContext): void {
  const { treasureDataHosts: hosts } = context.settings;
  if (hosts.length === 0) return;
  const personalize = createPersonalizer(context);
  for (const host of hosts) {
    const constraints = host === ANY_HOST ? {} : { host: hostPattern(host) };
    const common = { method: 'POST', constraints, schema: { hide: true }, onRequest: allowOrigin } as const;
    addPreflight(app, ROOT_RECORDS, 'POST', constraints);
    app.route({ ...common, url: ROOT_RECORDS, handler: recordsHandler(context, personalize) });
    addPreflight(app, ROOT_PUBLIC, 'POST', constraints);
    app.route({
      ...common,
      url: ROOT_PUBLIC,
      handler: (request, reply) => personalize(request, reply, 'public'),
    });
  }
}

function recordsHandler(context: RouteContext, personalize: Personalizer) {
  return (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> =>
    request.headers[TOKEN_HEADER] === undefined
      ? takeIn(context, protocolOf(request, translateRecord, receipts), request, reply)
      : personalize(request, reply, 'server');
}

/** With any port. */
function hostPattern(host: string): RegExp {
  return new RegExp(`^${host.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(:\\d+)?$`, 'i');
}

function protocolOf(
  request: FastifyRequest,
  translate: Translate,
  answer: (reply: FastifyReply, prepared: Prepared) => FastifyReply,
): Protocol {
  const { database, table } = placeOf(request);
  const filled = filledFrom(request);
  return {
    callsMax: EVENT_LIMITS.eventsPerRequest,
    keyless: true,
    presented: writeKeyOf,
    segmentOf: (segments, named) => pickByDatabase(segments, named, database),
    translate: (documents, segment, receivedMs) => {
      const config = segment.config().protocols.treasureData;
      return documents.map((record) => translate(record, { config, table, receivedMs, filled }));
    },
    answer,
  };
}

function receipts(reply: FastifyReply, { accepted, rejected }: Prepared): FastifyReply {
  const list: object[] = [];
  for (const { index, messageId } of accepted) list[index] = { success: true, uuid: messageId };
  for (const { index, code, message } of rejected) list[index] = { success: false, error: { code, message } };
  return reply.send({ receipts: list });
}
