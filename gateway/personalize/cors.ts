// Cross-origin headers of a public service, so that a page may read its answers, refusals too.
import type { FastifyReply } from 'fastify';
import type { ServiceConfig } from '../../shared/contract/config/personalization-config.ts';
import { isOriginOf } from './access.ts';

/** Seconds for which a browser need not ask again. */
const PREFLIGHT_SECONDS = 600;

/** Says that pages of the origin may read the answer, when one of these services lets them. */
export function allowOrigin(
  reply: FastifyReply,
  origin: string | undefined,
  services: readonly ServiceConfig[],
): boolean {
  reply.header('vary', 'Origin');
  if (origin === undefined) return false;
  const open = services.filter((service) => service.public && isOriginOf(service.origins, origin));
  if (open.length === 0) return false;
  const isAny = open.every(({ origins }) => origins.length === 0);
  reply.header('access-control-allow-origin', isAny ? '*' : origin);
  if (!isAny && open.some(({ credentials }) => credentials))
    reply.header('access-control-allow-credentials', 'true');
  reply.header('access-control-expose-headers', 'retry-after, x-request-id');
  return true;
}

/** Answers what a browser asks before it sends a request. */
export function allowRequest(reply: FastifyReply, methods: string, headers: string): FastifyReply {
  return reply
    .header('access-control-allow-methods', methods)
    .header('access-control-allow-headers', headers)
    .header('access-control-max-age', String(PREFLIGHT_SECONDS))
    .code(204)
    .send();
}
