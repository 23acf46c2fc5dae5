// Addresses for operators and tools: health, metrics, the OpenAPI document and the index. Open, apart from metrics
// where the settings say so.
import { refuse } from '../http/errors.ts';
import { answers, HealthAnswer, IndexAnswer, NoQuery } from '../http/schemas.ts';
import { createReadiness } from '../status/readiness.ts';
import type { GatewayApp, RouteContext } from './route-context.ts';

const METRICS_ANSWER = { description: 'Metrics.', content: { 'text/plain': { schema: { type: 'string' } } } };

export function addOperationRoutes(app: GatewayApp, context: RouteContext): void {
  addHealthRoutes(app, context);
  const { deps, settings, auth } = context;
  app.route({
    method: 'GET',
    url: '/metrics',
    schema: {
      summary: 'Metrics in the Prometheus text format',
      ...(settings.metricsOpen ? {} : { security: [{ key: [] }] }),
      response: answers(
        { 200: METRICS_ANSWER },
        ...(settings.metricsOpen ? [] : (['UNAUTHORIZED', 'FORBIDDEN'] as const)),
      ),
    },
    onRequest: async (request) => {
      if (!settings.metricsOpen) auth.require(request, 'admin');
    },
    handler: async (_request, reply) => {
      const text = await deps.registry.metrics();
      return reply.type(deps.registry.contentType).send(text);
    },
  });
  app.get('/openapi.json', { schema: { hide: true } }, async (_request, reply) =>
    reply.type('application/json; charset=utf-8').send(app.swagger()),
  );
  app.get(
    '/',
    { schema: { summary: 'Where to look next', response: answers({ 200: IndexAnswer }) } },
    async () => ({ name: 'stitchwork', api: '/v1', openapi: '/openapi.json', health: '/health/ready' }),
  );
}

function addHealthRoutes(app: GatewayApp, context: RouteContext): void {
  const { deps, settings, isClosing } = context;
  const reasons = createReadiness({
    segments: deps.segments,
    clock: deps.clock,
    reuseMs: settings.readinessReuseMs,
  });
  app.get(
    '/health/live',
    { schema: { summary: 'The process answers', response: answers({ 200: HealthAnswer }) } },
    async () => ({ status: 'ok' as const }),
  );
  app.get(
    '/health/ready',
    {
      schema: {
        summary: 'Events can be accepted',
        querystring: NoQuery,
        response: answers({ 200: HealthAnswer }),
      },
    },
    async (_request, reply) => {
      const found = isClosing() ? ['the gateway is stopping'] : await reasons();
      if (found.length === 0) return { status: 'ok' as const };
      return refuse(reply, { code: 'NOT_READY', message: found.join('; '), details: found });
    },
  );
}
