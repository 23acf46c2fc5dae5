// The HTTP gateway: the only way in for events and out for profiles. It never writes a profile and keeps no state of
// its own beyond requests in flight, so any number of gateways may run.
import swagger from '@fastify/swagger';
import { type TypeBoxTypeProvider, TypeBoxValidatorCompiler } from '@fastify/type-provider-typebox';
import Fastify, { type FastifyInstance, LogController } from 'fastify';
import { EVENT_LIMITS } from '../shared/contract/event.ts';
import { randomToken } from '../shared/kernel/random.ts';
import type { GatewayDeps } from './deps.ts';
import { createAuthenticator } from './http/auth.ts';
import { createByteBudget } from './http/byte-budget.ts';
import { answerClientError } from './http/client-error.ts';
import { handleError, refuse } from './http/errors.ts';
import { installLifecycle } from './http/lifecycle.ts';
import { collectRoutes } from './http/method-guards.ts';
import { createMetrics, type GatewayMetrics } from './metrics.ts';
import { OPENAPI } from './openapi.ts';
import { addRudderStackRoutes } from './protocols/rudderstack/routes.ts';
import { addSegmentRoutes } from './protocols/segment/routes.ts';
import { addTreasureDataRootRoutes, addTreasureDataRoutes } from './protocols/treasure-data/routes.ts';
import { addActivationRoutes } from './routes/activations.ts';
import { addAudienceRoutes } from './routes/audiences.ts';
import { addAuditRoutes } from './routes/audit.ts';
import { addCatalogRoutes } from './routes/catalogs.ts';
import { addConfigRoutes } from './routes/config.ts';
import { addConfigDiffRoutes } from './routes/config-diff.ts';
import { addEventRoutes } from './routes/events.ts';
import { addIdentityRoutes } from './routes/identity.ts';
import { addIdentityJobRoutes } from './routes/identity-jobs.ts';
import { addJourneyRoutes } from './routes/journeys.ts';
import { addOperationRoutes } from './routes/operations.ts';
import { addPersonalizeRoutes } from './routes/personalize.ts';
import { addProfileRoutes } from './routes/profiles.ts';
import type { GatewayApp, RouteContext } from './routes/route-context.ts';
import { addStatusRoutes } from './routes/status.ts';
import { completeSettings, type GatewaySettings, type GatewaySettingsInput } from './settings.ts';

/**
 * A gateway, ready to `listen`. `close()` takes no more requests, finishes those in flight, and closes the appenders;
 * the other ports stay their owner's. Throws INVALID_SETTINGS.
 */
export async function createGateway(
  deps: GatewayDeps,
  input: GatewaySettingsInput,
): Promise<FastifyInstance> {
  const settings = completeSettings(input);
  const budget = createByteBudget(settings.bytesInFlightMax);
  const metrics = createMetrics(deps.registry, {
    bytesInFlight: () => budget.bytesInFlight,
    bytesInFlightMax: settings.bytesInFlightMax,
  });
  const app = createApp(deps, settings);
  const isClosing = installLifecycle(app, deps, settings.closeGraceMs);
  installAnswers(app, metrics);
  await app.register(swagger, { openapi: OPENAPI });
  const addMethodGuards = collectRoutes(app);
  const context: RouteContext = {
    deps,
    settings,
    auth: createAuthenticator(settings),
    budget,
    metrics,
    isClosing,
  };
  addEventRoutes(app, context);
  addProfileRoutes(app, context);
  addPersonalizeRoutes(app, context);
  addIdentityRoutes(app, context);
  addIdentityJobRoutes(app, context);
  addAudienceRoutes(app, context);
  addCatalogRoutes(app, context);
  addJourneyRoutes(app, context);
  addAuditRoutes(app, context);
  addActivationRoutes(app, context);
  addConfigRoutes(app, context);
  addConfigDiffRoutes(app, context);
  addStatusRoutes(app, context);
  addSegmentRoutes(app, context);
  addTreasureDataRoutes(app, context);
  addRudderStackRoutes(app, context);
  addOperationRoutes(app, context);
  addMethodGuards();
  addTreasureDataRootRoutes(app, context);
  await app.ready();
  return app as unknown as FastifyInstance;
}

function createApp(deps: GatewayDeps, settings: GatewaySettings): GatewayApp {
  const app = Fastify({
    loggerInstance: deps.logger,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: () => randomToken(deps.random),
    trustProxy: settings.trustedProxies.length > 0 ? [...settings.trustedProxies] : false,
    bodyLimit: EVENT_LIMITS.requestBytes,
    requestTimeout: settings.requestTimeoutMs,
    keepAliveTimeout: settings.keepAliveTimeoutMs,
    http: {
      headersTimeout: settings.headersTimeoutMs,
      connectionsCheckingInterval: settings.connectionsCheckMs,
    },
    routerOptions: { maxParamLength: settings.paramLengthMax },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    frameworkErrors: (error, request, reply) => {
      handleError(error, request, reply);
    },
    clientErrorHandler: answerClientError,
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.server.maxConnections = settings.connectionsMax;
  app.setValidatorCompiler(TypeBoxValidatorCompiler);
  // Answers are plain JSON: a schema must never drop a part of one.
  app.setSerializerCompiler(() => JSON.stringify);
  // No body is read before a handler asks for it.
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('*', (_request, _payload, done) => done(null, undefined));
  return app as unknown as GatewayApp;
}

function installAnswers(app: GatewayApp, metrics: GatewayMetrics): void {
  app.decorateReply('refusedWith', null);
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
  });
  app.addHook('onResponse', async (request, reply) => {
    metrics.request({
      route: request.routeOptions.url ?? 'unmatched',
      method: request.method,
      status: reply.statusCode,
      durationMs: reply.elapsedTime,
    });
    if (reply.refusedWith === null) return;
    metrics.refused(reply.refusedWith);
    const { url: route = 'unmatched' } = request.routeOptions;
    request.log.debug({ route, status: reply.statusCode, code: reply.refusedWith }, 'request refused');
  });
  app.setErrorHandler(handleError);
  app.setNotFoundHandler(async (_request, reply) =>
    refuse(reply, { code: 'NOT_FOUND', message: 'There is nothing at this address; see /openapi.json.' }),
  );
}
