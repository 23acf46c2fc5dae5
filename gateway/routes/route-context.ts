// What routes share: the server with its type provider, and the parts that the server was put together from.

import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { GatewayDeps } from '../deps.ts';
import type { Authenticator } from '../http/auth.ts';
import type { ByteBudget } from '../http/byte-budget.ts';
import type { GatewayMetrics } from '../metrics.ts';
import type { GatewaySettings } from '../settings.ts';

export type GatewayApp = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

export interface RouteContext {
  readonly deps: GatewayDeps;
  readonly settings: GatewaySettings;
  readonly auth: Authenticator;
  readonly budget: ByteBudget;
  readonly metrics: GatewayMetrics;
  readonly isClosing: () => boolean;
}
