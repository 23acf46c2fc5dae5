// What RudderStack's SDKs need besides Segment's addresses, to which they send their calls: the document that tells a source
// what is configured for it. Ours has no destinations, so that nothing leaves the page but the calls.
import { Type } from 'typebox';
import { sha256Base64Url } from '../../../shared/kernel/hash.ts';
import { keyOf } from '../../http/auth.ts';
import { answers } from '../../http/schemas.ts';
import type { GatewayApp, RouteContext } from '../../routes/route-context.ts';
import { addPreflight, allowOrigin } from '../cors.ts';
import { readPresented } from '../write-key.ts';

/** The browser SDK asks with the slash, others without. */
const ADDRESSES = ['/sourceConfig', '/sourceConfig/'] as const;
const CACHE = 'private, max-age=300';
const ID_CHARACTERS = 27;
const EPOCH = '1970-01-01T00:00:00.000Z';

const Query = Type.Object({ writeKey: Type.Optional(Type.String()) }, { additionalProperties: true });
const Source = Type.Object({
  source: Type.Object({}, { additionalProperties: true }),
  updatedAt: Type.String(),
});

export function addRudderStackRoutes(app: GatewayApp, { auth }: RouteContext): void {
  for (const url of ADDRESSES) {
    addPreflight(app, url, 'GET');
    app.route({
      method: 'GET',
      url,
      schema: {
        hide: url.endsWith('/'),
        tags: ['RudderStack'],
        summary: 'Source config of the browser SDK',
        description:
          'What @rudderstack/analytics-js fetches from its configUrl. The write key stands in Basic, or in the query.',
        security: [{ key: [] }],
        querystring: Query,
        response: answers({ 200: Source }, 'UNAUTHORIZED'),
      },
      onRequest: allowOrigin,
      handler: async (request, reply) => {
        const writeKey = keyOf(request.headers.authorization) ?? request.query.writeKey ?? '';
        auth.requireKey(readPresented(writeKey, auth).key, 'ingest');
        return reply.header('cache-control', CACHE).send(sourceConfig(writeKey));
      },
    });
  }
}

/** A source that is on and has no destinations; its id is the same for the same key, and does not tell it. */
export function sourceConfig(writeKey: string): object {
  const quiet = { enabled: false };
  return {
    source: {
      id: sha256Base64Url(writeKey, ID_CHARACTERS),
      name: 'stitchwork',
      writeKey,
      enabled: true,
      workspaceId: 'stitchwork',
      config: { statsCollection: { errors: quiet, metrics: quiet } },
      connections: [],
      destinations: [],
      dataplanes: {},
    },
    updatedAt: EPOCH,
  };
}
