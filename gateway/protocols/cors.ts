// Cross-origin answers for the addresses that SDKs in browsers call. Any origin may: write keys are public by nature, and
// no cookie means anything here. The origin is echoed, since some SDKs send their requests with credentials.
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { GatewayApp } from '../routes/route-context.ts';

/** What browsers keep a preflight for, at most, in seconds. */
const MAX_AGE_S = 86_400;
const REQUEST_HEADERS_CHARS_MAX = 1_000;
/** Retry-After is read by scripts, which see only what is exposed. */
const EXPOSED = 'retry-after, x-request-id';
const HEADER_LIST = /^[\w!#$%&'*+.^`|~, -]*$/;

/** A hook for routes: the headers stand on every answer, also on refusals. */
export async function allowOrigin(request: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.header('vary', 'Origin');
  const { origin } = request.headers;
  if (origin === undefined) return;
  reply.header('access-control-allow-origin', origin);
  reply.header('access-control-allow-credentials', 'true');
  reply.header('access-control-expose-headers', EXPOSED);
}

/** Answers preflights to an address that takes one method. */
export function addPreflight(app: GatewayApp, url: string, method: 'GET' | 'POST', constraints = {}): void {
  app.route({
    method: 'OPTIONS',
    url,
    constraints,
    schema: { hide: true },
    onRequest: allowOrigin,
    handler: async (request, reply) => {
      const asked = request.headers['access-control-request-headers'];
      const sound =
        asked !== undefined && asked.length <= REQUEST_HEADERS_CHARS_MAX && HEADER_LIST.test(asked);
      reply.header('access-control-allow-methods', method);
      reply.header('access-control-allow-headers', sound ? asked : 'authorization, content-type');
      reply.header('access-control-max-age', String(MAX_AGE_S));
      return reply.code(204).send();
    },
  });
}
