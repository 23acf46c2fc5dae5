// Treasure Data's ingest addresses: records at /td/<database>/<table>, at the root of the hosts that are set for it, and
// postbacks. Its browser SDK sends nothing again, so what can be taken is taken: a record without any key is kept.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { EVENT_LIMITS } from '../../../shared/contract/event.ts';
import type { Prepared } from '../../events/prepare.ts';
import { keyOf } from '../../http/auth.ts';
import { answers } from '../../http/schemas.ts';
import type { GatewayApp, RouteContext } from '../../routes/route-context.ts';
import { addPreflight, allowOrigin } from '../cors.ts';
import { type Protocol, takeIn } from '../take-in.ts';
import { pickByDatabase } from './pick-by-database.ts';
import { type RecordArrival, translatePostback, translateRecord } from './translate.ts';

const NAME = '[a-z0-9_]{3,128}';
const RECORDS = '/td/:database/:table';
/** Addresses of this form only: other ones at the root stay unknown. */
const ROOT_RECORDS = `/:database(^${NAME}$)/:table(^${NAME}$)`;
const POSTBACK = '/postback/v3/event/:database/:table';
const ANY_HOST = '*';

const Place = Type.Object({
  database: Type.String({ pattern: `^${NAME}$` }),
  table: Type.String({ pattern: `^${NAME}$` }),
});
const Receipts = Type.Object({
  receipts: Type.Array(
    Type.Object({
      success: Type.Boolean(),
      uuid: Type.Optional(Type.String({ description: 'Message id of the event.' })),
      error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() })),
    }),
    { description: 'One for each record, in order.' },
  ),
});

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
  addPreflight(app, RECORDS, 'POST');
  app.route({
    method: 'POST',
    url: RECORDS,
    schema: {
      tags: ['Treasure Data'],
      summary: 'Records of a Treasure Data SDK',
      description: `One flat record or { "events": [record, …] }, up to ${EVENT_LIMITS.eventsPerRequest}. The write key stands in Authorization: TD1 <key>.`,
      security: [{ key: [] }],
      params: Place,
      response: answers({ 200: Receipts }, ...CODES),
    },
    onRequest: allowOrigin,
    handler: (request, reply) =>
      takeIn(context, protocolOf(request, translateRecord, receipts), request, reply),
  });
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
      response: answers({ 200: Type.Object({}) }, ...CODES),
    },
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
  for (const host of context.settings.treasureDataHosts) {
    const constraints = host === ANY_HOST ? {} : { host: hostPattern(host) };
    addPreflight(app, ROOT_RECORDS, 'POST', constraints);
    app.route({
      method: 'POST',
      url: ROOT_RECORDS,
      constraints,
      schema: { hide: true },
      onRequest: allowOrigin,
      handler: (request, reply) =>
        takeIn(context, protocolOf(request, translateRecord, receipts), request, reply),
    });
  }
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
  const { database, table } = request.params as { readonly database: string; readonly table: string };
  const filled = { td_ip: request.ip, td_ua: request.headers['user-agent'] };
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

/** `Authorization` wins; postbacks have it in a header of their own, or in the address. */
function writeKeyOf({ headers, query }: FastifyRequest): string | undefined {
  const { authorization } = headers;
  const own = /^TD1 +(\S+) *$/i.exec(authorization ?? '')?.[1] ?? keyOf(authorization);
  if (own !== undefined) return own;
  const { 'x-td-write-key': header } = headers;
  if (typeof header === 'string' && header !== '') return header;
  const { td_write_key: inQuery } = query as { readonly td_write_key?: unknown };
  return typeof inQuery === 'string' ? inQuery : undefined;
}

function receipts(reply: FastifyReply, { accepted, rejected }: Prepared): FastifyReply {
  const list: object[] = [];
  for (const { index, messageId } of accepted) list[index] = { success: true, uuid: messageId };
  for (const { index, code, message } of rejected) list[index] = { success: false, error: { code, message } };
  return reply.send({ receipts: list });
}
