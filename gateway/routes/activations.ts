// GET /v1/activations: what was decided and what became of it, newest first.
import type { Static } from 'typebox';
import { encodeCursor, parseActivationQuery } from '../activations/activation-query.ts';
import {
  type FoundActivation,
  type Positions,
  searchActivations,
} from '../activations/search-activations.ts';
import { idsOfProfile } from '../audit/profile-ids.ts';
import { SCANNED_MAX } from '../audit/search-audit.ts';
import type { GatewaySegment } from '../deps.ts';
import { ActivationParametersQuery, ActivationsAnswer } from '../http/activation-schemas.ts';
import { withDeadline } from '../http/deadline.ts';
import { answers } from '../http/schemas.ts';
import { pickSegment } from '../segments.ts';
import type { GatewayApp, RouteContext } from './route-context.ts';

/** Part of the deadline in which pages are begun; the rest is for the last one. */
const SCAN_PART = 0.5;

export function addActivationRoutes(app: GatewayApp, context: RouteContext): void {
  const { deps, settings, auth } = context;
  app.route({
    method: 'GET',
    url: '/v1/activations',
    schema: {
      summary: 'Activations and every attempt to deliver them, newest first',
      description: `Looks at up to ${SCANNED_MAX} entries, for a second or two; \`next\` goes on from there.`,
      querystring: ActivationParametersQuery,
      security: [{ key: [] }],
      response: answers(
        { 200: ActivationsAnswer },
        'BAD_REQUEST',
        'UNAUTHORIZED',
        'FORBIDDEN',
        'UNKNOWN_SEGMENT',
        'STORE_UNAVAILABLE',
      ),
    },
    onRequest: async (request) => auth.require(request, 'admin'),
    handler: async (request) => {
      const { segment: name, ...parameters } = request.query;
      const segment = pickSegment(deps.segments, name);
      return withDeadline(answer(context, segment, parameters), {
        clock: deps.clock,
        ms: settings.readDeadlineMs,
        code: 'STORE_UNAVAILABLE',
      });
    },
  });
}

async function answer(
  { deps, settings }: RouteContext,
  segment: GatewaySegment,
  parameters: Omit<Static<typeof ActivationParametersQuery>, 'segment'>,
): Promise<object> {
  const { clock } = deps;
  const { profileId, filter, sinceMs, untilMs, limit, ...query } = parseActivationQuery(
    parameters,
    clock.nowMs(),
  );
  const profileIds = profileId === undefined ? undefined : await idsOfProfile(segment.store, profileId);
  const before = query.before ?? (await newest(segment, untilMs));
  const { entries, scanned, next } = await searchActivations(
    { decisions: segment.decisions, attempts: segment.deliveries },
    { filter: { ...filter, profileIds }, sinceMs, untilMs, before, limit },
    { clock, ms: settings.readDeadlineMs * SCAN_PART, entries: SCANNED_MAX },
  );
  return {
    segment: segment.names.segment,
    entries: entries.map(tell),
    complete: next === undefined,
    next: next === undefined ? undefined : encodeCursor(next),
    scanned,
  };
}

async function newest(
  { decisions, deliveries }: GatewaySegment,
  untilMs: number | undefined,
): Promise<Positions> {
  const [decided, tried] = await Promise.all([decisions.end(untilMs), deliveries.end(untilMs)]);
  return { decisions: decided, attempts: tried };
}

function tell(found: FoundActivation): object {
  const writtenAt = new Date(found.writtenAtMs).toISOString();
  if (found.kind === 'attempt') {
    const { segment: _segment, ...attempt } = found.attempt;
    return { kind: 'attempt', ...attempt, writtenAt };
  }
  const { segment: _segment, id, to = [], ...activation } = found.activation;
  return { kind: 'decided', activationId: id, ...activation, to, writtenAt };
}
