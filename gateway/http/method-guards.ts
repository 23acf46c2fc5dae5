// 405 with Allow for a known address and another method: every address gets a route for the methods it does not take.
import type { HTTPMethods } from 'fastify';
import type { GatewayApp } from '../routes/route-context.ts';
import { refuse } from './errors.ts';

const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
] as const satisfies readonly HTTPMethods[];

/** Notes the routes added from now on; the returned function adds the guards, after the last of them. */
export function collectRoutes(app: GatewayApp): () => void {
  const taken = new Map<string, Set<string>>();
  app.addHook('onRoute', (route) => {
    const methods = taken.get(route.url) ?? new Set();
    for (const method of [route.method].flat()) methods.add(method.toUpperCase());
    taken.set(route.url, methods);
  });
  return () => {
    for (const [url, methods] of [...taken]) {
      const allow = [...methods].sort().join(', ');
      const method = METHODS.filter((other) => !methods.has(other));
      app.route({
        method,
        url,
        schema: { hide: true },
        handler: async (request, reply) => {
          reply.header('allow', allow);
          return refuse(reply, {
            code: 'METHOD_NOT_ALLOWED',
            message: `${request.method} is not taken here; ${allow} is.`,
          });
        },
      });
    }
  };
}
