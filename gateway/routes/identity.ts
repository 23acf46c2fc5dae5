// Evidence of identity: the graph of a profile, and what events would do to identities.
import { Type } from 'typebox';
import { IdentitySimulation, type SimulatedEvent } from '../../actors/profile/simulate.ts';
import { EVENT_LIMITS } from '../../shared/contract/event.ts';
import { parseEvent } from '../../shared/contract/parse-event.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { SCANNED_MAX } from '../audit/search-audit.ts';
import type { GatewaySegment } from '../deps.ts';
import { splitBody } from '../events/split-body.ts';
import { explain } from '../evidence/why.ts';
import { withDeadline } from '../http/deadline.ts';
import { bodyFormOf } from '../http/media-type.ts';
import { readBody } from '../http/read-body.ts';
import {
  answers,
  EventsBody,
  IdentityAnswer,
  SegmentQuery,
  SimulateQuery,
  SimulationAnswer,
} from '../http/schemas.ts';
import { IdentityOrWhyAnswer, IdentityQuery } from '../http/why-schemas.ts';
import { type IdentityGraph, readIdentity } from '../profiles/identity-graph.ts';
import { loadRecords } from '../profiles/load-records.ts';
import { type ProfileAddress, readProfile } from '../profiles/read-profile.ts';
import { pickSegment } from '../segments.ts';
import { type KeyAddress, keyAddress, profileIdOf } from './profiles.ts';
import type { GatewayApp, RouteContext } from './route-context.ts';

/** Part of the deadline in which the audit log is searched; the rest is for reading events and records. */
const SCAN_PART = 0.4;

const READ_ERRORS = [
  'BAD_REQUEST',
  'UNAUTHORIZED',
  'FORBIDDEN',
  'PROFILE_NOT_FOUND',
  'UNKNOWN_SEGMENT',
  'STORE_UNAVAILABLE',
] as const;

export function addIdentityRoutes(app: GatewayApp, context: RouteContext): void {
  const { deps, auth } = context;
  const onRequest = async (request: Parameters<typeof auth.require>[0]) => auth.require(request, 'admin');
  app.route({
    method: 'GET',
    url: '/v1/profiles/:keyName/:value/identity',
    schema: {
      summary: 'Why these keys are one person; with another key, why the two are one or not',
      params: Type.Object({
        keyName: Type.String({ description: 'Name of a stitching key in the config.', examples: ['email'] }),
        value: Type.String({ description: 'Its value, URL-encoded.', examples: ['ann@example.com'] }),
      }),
      querystring: IdentityQuery,
      security: [{ key: [] }],
      response: answers(
        { 200: IdentityOrWhyAnswer },
        ...READ_ERRORS,
        'LOG_UNAVAILABLE',
        'UNKNOWN_KEY_NAME',
        'INVALID_KEY_VALUE',
      ),
    },
    onRequest,
    handler: async (request) => {
      const segment = pickSegment(deps.segments, request.query.segment);
      const { keyName, value } = request.params;
      const address = keyAddress(segment, keyName, value);
      if (request.query.with === undefined) return identityOf(context, segment, address);
      return bounded(context, whyOf(context, segment, address, request.query.with));
    },
  });
  app.route({
    method: 'GET',
    url: '/v1/profiles/id/:profileId/identity',
    schema: {
      summary: 'Why these keys are one person, by profile id',
      params: Type.Object({ profileId: Type.String({ examples: ['0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b11'] }) }),
      querystring: SegmentQuery,
      security: [{ key: [] }],
      response: answers({ 200: IdentityAnswer }, ...READ_ERRORS),
    },
    onRequest,
    handler: async (request) => {
      const segment = pickSegment(deps.segments, request.query.segment);
      const profileId = profileIdOf(request.params.profileId);
      return identityOf(context, segment, { kind: 'id', profileId });
    },
  });
  app.route({
    method: 'POST',
    url: '/v1/identity/simulate',
    schema: {
      summary: 'What events would do to identities',
      description:
        'Takes events as POST /v1/events does and stores nothing: each decision with its reasons, and the profiles at the end.',
      querystring: SimulateQuery,
      body: EventsBody,
      security: [{ key: [] }],
      response: answers(
        { 200: SimulationAnswer },
        'BAD_REQUEST',
        'INVALID_EVENT',
        'UNAUTHORIZED',
        'FORBIDDEN',
        'UNKNOWN_SEGMENT',
        'REQUEST_TOO_LARGE',
        'TOO_MANY_EVENTS',
        'UNSUPPORTED_MEDIA_TYPE',
        'OVERLOADED',
        'STORE_UNAVAILABLE',
      ),
    },
    validatorCompiler: (route) => (route.httpPart === 'body' ? () => true : app.validatorCompiler!(route)),
    onRequest,
    handler: async (request) => {
      const segment = pickSegment(deps.segments, request.query.segment);
      const lease = context.budget.open();
      try {
        const form = bodyFormOf(request.headers['content-type']);
        const body = await readBody(request.raw, lease, EVENT_LIMITS.requestBytes);
        const items = splitBody(body, form, EVENT_LIMITS.eventsPerRequest);
        const simulated = simulate(context, segment, items, request.query.from === 'live');
        return await bounded(context, simulated);
      } finally {
        lease.release();
      }
    },
  });
}

async function identityOf(
  context: RouteContext,
  segment: GatewaySegment,
  address: ProfileAddress,
): Promise<IdentityGraph> {
  const read = async () => {
    const profile = await readProfile(segment.store, address);
    if (profile === undefined) throw new StitchworkError('PROFILE_NOT_FOUND');
    return readIdentity(segment.store, profile, segment.config());
  };
  return bounded(context, read());
}

async function whyOf(
  { deps, settings }: RouteContext,
  segment: GatewaySegment,
  address: KeyAddress,
  other: string,
): Promise<object> {
  const colon = other.indexOf(':');
  if (colon < 1)
    throw new StitchworkError(
      'BAD_REQUEST',
      `with: '${other.slice(0, 64)}' is no key; give name:value, such as email:ann@example.com`,
    );
  const second = keyAddress(segment, other.slice(0, colon), other.slice(colon + 1));
  if (second.keyName === address.keyName && second.value === address.value)
    throw new StitchworkError('BAD_REQUEST', 'with: is the same key; give another');
  const keys = [address, second].map(({ keyName, value }) => ({ name: keyName, value }));
  const budget = { clock: deps.clock, ms: settings.readDeadlineMs * SCAN_PART, entries: SCANNED_MAX };
  return explain(segment, [keys[0]!, keys[1]!], budget);
}

function bounded<T>({ deps, settings }: RouteContext, work: Promise<T>): Promise<T> {
  return withDeadline(work, { clock: deps.clock, ms: settings.readDeadlineMs, code: 'STORE_UNAVAILABLE' });
}

/** `isLive`: over what is stored now; else over nothing. */
async function simulate(
  { deps }: RouteContext,
  segment: GatewaySegment,
  items: ReturnType<typeof splitBody>,
  isLive: boolean,
): Promise<object> {
  const config = segment.config();
  const keyNames = config.stitching.keys.map(({ name }) => name);
  const load = async (keys: readonly string[]) =>
    isLive ? loadRecords(segment.store, keys) : new Map<string, null>();
  const simulation = new IdentitySimulation(config, deps.clock.nowMs(), load);
  const events: SimulatedEvent[] = [];
  const rejected: { readonly index: number; readonly code: string; readonly message: string }[] = [];
  for (const [index, item] of items.entries()) {
    if (item.kind === 'broken') {
      rejected.push({ index, code: 'INVALID_EVENT', message: item.message });
      continue;
    }
    const parsed = parseEvent(item.value, keyNames, () => `event-${index}`);
    if (parsed.kind === 'ok') events.push({ ...(await simulation.apply(parsed.event)), index });
    else rejected.push({ index, code: parsed.code, message: parsed.message });
  }
  return { events, rejected, profiles: simulation.profiles() };
}
