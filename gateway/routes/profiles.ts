// GET /v1/profiles: one unified profile, by a stitching key or by its id. A retired id answers with its survivor.
import { Type } from 'typebox';
import { normalizeKey } from '../../actors/identity/keys.ts';
import { type ProfileView, viewProfile } from '../../actors/profile/view.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { unreachable } from '../../shared/kernel/assert.ts';
import { didYouMean } from '../../shared/kernel/edit-distance.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { GatewaySegment } from '../deps.ts';
import { withDeadline } from '../http/deadline.ts';
import { ProfileAnswer } from '../http/profile-schemas.ts';
import { answers, SegmentQuery } from '../http/schemas.ts';
import { withNewestRows } from '../profiles/newest-rows.ts';
import { type ProfileAddress, readProfile } from '../profiles/read-profile.ts';
import { pickSegment } from '../segments.ts';
import type { GatewayApp, RouteContext } from './route-context.ts';

const COMMON_ERRORS = [
  'BAD_REQUEST',
  'UNAUTHORIZED',
  'FORBIDDEN',
  'PROFILE_NOT_FOUND',
  'UNKNOWN_SEGMENT',
  'STORE_UNAVAILABLE',
] as const;

export function addProfileRoutes(app: GatewayApp, context: RouteContext): void {
  const { deps, auth } = context;
  const onRequest = async (request: Parameters<typeof auth.require>[0]) => auth.require(request, 'admin');
  app.route({
    method: 'GET',
    url: '/v1/profiles/:keyName/:value',
    schema: {
      summary: 'The profile that a stitching key belongs to',
      params: Type.Object({
        keyName: Type.String({ description: 'Name of a stitching key in the config.', examples: ['email'] }),
        value: Type.String({ description: 'Its value, URL-encoded.', examples: ['ann@example.com'] }),
      }),
      querystring: SegmentQuery,
      security: [{ key: [] }],
      response: answers({ 200: ProfileAnswer }, ...COMMON_ERRORS, 'UNKNOWN_KEY_NAME', 'INVALID_KEY_VALUE'),
    },
    onRequest,
    handler: async (request) => {
      const segment = pickSegment(deps.segments, request.query.segment);
      const { keyName, value } = request.params;
      return answer(context, segment, keyAddress(segment, keyName, value));
    },
  });
  app.route({
    method: 'GET',
    url: '/v1/profiles/id/:profileId',
    schema: {
      summary: 'A profile by its id, present or retired',
      params: Type.Object({ profileId: Type.String({ examples: ['0192f7c1-5f0e-7cc2-8d7e-0f6f0c3a9b11'] }) }),
      querystring: SegmentQuery,
      security: [{ key: [] }],
      response: answers({ 200: ProfileAnswer }, ...COMMON_ERRORS),
    },
    onRequest,
    handler: async (request) => {
      const segment = pickSegment(deps.segments, request.query.segment);
      return answer(context, segment, { kind: 'id', profileId: profileIdOf(request.params.profileId) });
    },
  });
}

async function answer(
  context: RouteContext,
  segment: GatewaySegment,
  address: ProfileAddress,
): Promise<ProfileView> {
  const { clock } = context.deps;
  const read = async () => {
    const found = await readProfile(segment.store, address);
    return found && withNewestRows(found, segment);
  };
  const profile = await withDeadline(read(), {
    clock,
    ms: context.settings.readDeadlineMs,
    code: 'STORE_UNAVAILABLE',
  });
  if (profile === undefined) throw new StitchworkError('PROFILE_NOT_FOUND');
  return viewProfile(profile, segment.config(), clock.nowMs());
}

export type KeyAddress = Extract<ProfileAddress, { kind: 'key' }>;

/** The key as events bring it in: a value that normalizes to the same thing finds the same profile. */
export function keyAddress(segment: GatewaySegment, keyName: string, raw: string): KeyAddress {
  const config = segment.config();
  const key = normalizeKey(config, keyName, raw);
  switch (key.kind) {
    case 'ok':
      return { kind: 'key', keyName, value: key.value };
    case 'rejected':
      throw new StitchworkError(
        'INVALID_KEY_VALUE',
        `The value is not usable as ${keyName}: ${key.detail}.`,
        {
          details: [{ reason: key.reason }],
        },
      );
    case 'observed':
      throw new StitchworkError(
        'UNKNOWN_KEY_NAME',
        `'${keyName}' is only observed (observe_only): it is stored on profiles, and no profile is found by it. ${lookUpHint(config)}`,
        { details: [{ keyNames: lookUpNames(config) }] },
      );
    case 'unknown_key': {
      const known = lookUpNames(config);
      const meant = didYouMean(keyName, known);
      const hint = meant === undefined ? lookUpHint(config) : `Did you mean '${meant}'?`;
      throw new StitchworkError(
        'UNKNOWN_KEY_NAME',
        `The config declares no stitching key '${keyName}'. ${hint}`,
        {
          details: [{ keyNames: known }],
        },
      );
    }
    default:
      return unreachable(key);
  }
}

/** Names of the keys that find profiles. */
function lookUpNames(config: SegmentConfig): readonly string[] {
  return config.stitching.keys.filter(({ observeOnly }) => !observeOnly).map(({ name }) => name);
}

function lookUpHint(config: SegmentConfig): string {
  return `The config has: ${lookUpNames(config).join(', ')}.`;
}

/** An id is one token of a subject; anything else can name no profile. */
export function profileIdOf(text: string): string {
  if (!/^[0-9A-Za-z_-]{1,64}$/.test(text)) throw new StitchworkError('PROFILE_NOT_FOUND');
  return text;
}
