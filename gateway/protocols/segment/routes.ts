// Segment's HTTP tracking API: the addresses that its SDKs, and RudderStack's, send to, and the settings document. Answers
// are those that the SDKs understand: 200 when all that is sound is stored, 429 or 503 with Retry-After to send again.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { EVENT_LIMITS } from '../../../shared/contract/event.ts';
import { keyOf } from '../../http/auth.ts';
import { refuse } from '../../http/errors.ts';
import { answers } from '../../http/schemas.ts';
import type { GatewayApp, RouteContext } from '../../routes/route-context.ts';
import { addPreflight, allowOrigin } from '../cors.ts';
import { type Protocol, takeIn, withoutBody } from '../take-in.ts';
import { readPresented } from '../write-key.ts';
import { bodyOf, SettingsAnswer, Stored } from './schemas.ts';
import { type Address, segmentSettings } from './settings.ts';
import { type Call, translateDocument } from './translate.ts';

/** Addresses, and what a call there is that does not say so itself. */
const ADDRESSES: Readonly<Record<string, Call | undefined>> = {
  '/v1/track': 'track',
  '/v1/t': 'track',
  '/v1/identify': 'identify',
  '/v1/i': 'identify',
  '/v1/page': 'page',
  '/v1/p': 'page',
  '/v1/screen': 'screen',
  '/v1/s': 'screen',
  '/v1/group': 'group',
  '/v1/g': 'group',
  '/v1/alias': 'alias',
  '/v1/a': 'alias',
  '/v1/batch': undefined,
  '/v1/b': undefined,
  '/v1/import': undefined,
};
const SETTINGS_URL = '/v1/projects/:writeKey/settings';
/** Settings change with the address only; a page that is opened again need not ask again. */
const SETTINGS_CACHE = 'private, max-age=300';
/** As many as fit into a request of Segment's own size. */
const CALLS_MAX = 5_000;

const CODES = [
  'BAD_REQUEST',
  'INVALID_EVENT',
  'NO_KEYS',
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

export function addSegmentRoutes(app: GatewayApp, context: RouteContext): void {
  for (const [url, call] of Object.entries(ADDRESSES)) {
    const protocol = segmentProtocol(call);
    addPreflight(app, url, 'POST');
    app.route({
      method: 'POST',
      url,
      schema: {
        tags: ['Segment'],
        summary:
          call === undefined ? 'Calls of a Segment SDK, many at once' : `A ${call} call of a Segment SDK`,
        description: `Segment's HTTP tracking API. The write key stands in Basic or Bearer, in the body as writeKey, or in the query. Up to ${CALLS_MAX} calls of ${EVENT_LIMITS.eventBytes} bytes, ${EVENT_LIMITS.requestBytes} bytes in all (before and after gzip).`,
        security: [{ key: [] }],
        body: bodyOf(call),
        response: answers({ 200: Stored }, ...CODES),
      },
      validatorCompiler: withoutBody(app),
      onRequest: allowOrigin,
      handler: (request, reply) => takeIn(context, protocol, request, reply),
    });
  }
  addSettingsRoute(app, context);
}

function segmentProtocol(call: Call | undefined): Protocol {
  return {
    callsMax: CALLS_MAX,
    presented: ({ headers, query }) => keyOf(headers.authorization) ?? textIn(query, 'writeKey'),
    presentedIn: (document) => textIn(document, 'writeKey'),
    translate: (documents, segment, receivedMs) => {
      const config = segment.config().protocols.segment;
      return documents.flatMap((document) => translateDocument(document, { config, receivedMs, call }));
    },
    answer: (reply, { rejected }) =>
      reply.send(rejected.length === 0 ? { success: true } : { success: true, errors: rejected }),
  };
}

function addSettingsRoute(app: GatewayApp, { auth }: RouteContext): void {
  addPreflight(app, SETTINGS_URL, 'GET');
  app.route({
    method: 'GET',
    url: SETTINGS_URL,
    schema: {
      tags: ['Segment'],
      summary: 'Settings of the browser SDK',
      description: 'What @segment/analytics-next fetches from its cdnURL before it sends anything.',
      params: Type.Object({ writeKey: Type.String() }),
      response: answers({ 200: SettingsAnswer }, 'NOT_FOUND'),
    },
    onRequest: allowOrigin,
    handler: async (request, reply) => {
      const { writeKey } = request.params as { readonly writeKey: string };
      if (!auth.isKnown(readPresented(writeKey, auth).key ?? '')) return unknownKey(reply);
      return reply
        .header('cache-control', SETTINGS_CACHE)
        .send(segmentSettings(writeKey, addressOf(request)));
    },
  });
}

function unknownKey(reply: FastifyReply): FastifyReply {
  return refuse(reply, { code: 'NOT_FOUND', message: 'The write key is not known here.' });
}

/** How the client reached us, also through a proxy that ends TLS. */
export function addressOf({ host, protocol, headers }: FastifyRequest): Address {
  const { 'x-forwarded-proto': forwarded } = headers;
  const isSecure = protocol === 'https' || forwarded === 'https';
  return { host, protocol: isSecure ? 'https' : 'http' };
}

function textIn(fields: unknown, name: string): string | undefined {
  if (typeof fields !== 'object' || fields === null || !Object.hasOwn(fields, name)) return undefined;
  const value = (fields as Readonly<Record<string, unknown>>)[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}
