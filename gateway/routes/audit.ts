// GET /v1/audit: what happened to identities and profiles, and why, newest first.
import type { Static } from 'typebox';
import { encodeCursor, parseAuditQuery } from '../audit/audit-query.ts';
import { idsOfProfile } from '../audit/profile-ids.ts';
import { type AuditFound, type FoundEntry, SCANNED_MAX, searchAudit } from '../audit/search-audit.ts';
import type { GatewaySegment } from '../deps.ts';
import { AuditAnswer, AuditParametersQuery } from '../http/audit-schemas.ts';
import { withDeadline } from '../http/deadline.ts';
import { answers } from '../http/schemas.ts';
import { pickSegment } from '../segments.ts';
import type { GatewayApp, RouteContext } from './route-context.ts';

/** Part of the deadline in which pages are begun; the rest is for the last one. */
const SCAN_PART = 0.5;

export function addAuditRoutes(app: GatewayApp, context: RouteContext): void {
  const { deps, settings, auth } = context;
  app.route({
    method: 'GET',
    url: '/v1/audit',
    schema: {
      summary: 'The audit log, newest first',
      description: `Looks at up to ${SCANNED_MAX} entries, for a second or two; \`next\` goes on from there.`,
      querystring: AuditParametersQuery,
      security: [{ key: [] }],
      response: answers(
        { 200: AuditAnswer },
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
  parameters: Omit<Static<typeof AuditParametersQuery>, 'segment'>,
): Promise<object> {
  const { clock } = deps;
  const query = parseAuditQuery(parameters, segment.config(), clock.nowMs());
  const { profileId, keys, kinds, reasons, messageId, sinceMs, untilMs, limit } = query;
  const profileIds = profileId === undefined ? undefined : await idsOfProfile(segment.store, profileId);
  const before = query.before ?? (await segment.audit.end(untilMs));
  const found = await searchAudit(
    segment.audit,
    { filter: { profileIds, keys, kinds, reasons, messageId }, sinceMs, untilMs, before, limit },
    { clock, ms: settings.readDeadlineMs * SCAN_PART, entries: SCANNED_MAX },
  );
  return { segment: segment.names.segment, ...told(found), profileIds };
}

function told({ entries, scanned, next }: AuditFound): object {
  return {
    entries: entries.map(tellEntry),
    complete: next === undefined,
    next: next === undefined ? undefined : encodeCursor(next),
    scanned,
  };
}

function tellEntry({ entry, writtenAtMs }: FoundEntry): object {
  const { id, kind, at, profileId, messageId, facts, configVersion } = entry;
  const writtenAt = new Date(writtenAtMs).toISOString();
  return { id, kind, at, writtenAt, profileId, messageId, facts, configVersion };
}
