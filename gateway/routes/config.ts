// The life of a segment's config: look at it, change it, roll it back, and know before what a change will mean. Everything
// but the JSON Schema needs an admin key.
import type { FastifyReply, FastifyRequest } from 'fastify';
import { segmentJsonSchema } from '../../shared/contract/config/json-schema.ts';
import { mapSource } from '../../shared/contract/config/source-map.ts';
import { errorText, StitchworkError } from '../../shared/kernel/errors.ts';
import type { StoredConfig } from '../../shared/ports/config-store.ts';
import {
  type ChangeAnswer as Answer,
  type ChangeRequest,
  changeConfig,
  currentOf,
  untilTakenOver,
  versionOf,
} from '../config/change-config.ts';
import { parseRollback } from '../config/parse-rollback.ts';
import { readConfig, readTextBody } from '../config/read-config.ts';
import type { GatewaySegment } from '../deps.ts';
import {
  ChangeAnswer,
  ChangeQuery,
  ConfigAnswers,
  ConfigBody,
  ConfigFormat,
  ConfigsAnswer,
  RollbackRequest,
  SchemaAnswer,
  SegmentParams,
  ValidateAnswer,
  VersionParams,
  VersionsAnswer,
} from '../http/config-schemas.ts';
import { withDeadline } from '../http/deadline.ts';
import { answers, NoQuery } from '../http/schemas.ts';
import { sendCommand } from '../identity/send-command.ts';
import { pickSegment } from '../segments.ts';
import type { GatewayApp, RouteContext } from './route-context.ts';

const READ = ['BAD_REQUEST', 'UNAUTHORIZED', 'FORBIDDEN', 'UNKNOWN_SEGMENT', 'STORE_UNAVAILABLE'] as const;
const BODY = ['REQUEST_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE', 'OVERLOADED'] as const;
const CHANGE = [...READ, ...BODY, 'INVALID_CONFIG', 'CONFLICT'] as const;
/** How long an answer waits for this gateway to take events by the new version. */
const TAKE_OVER_MS = 1000;
const DEFAULT_BY = 'api';

export function addConfigRoutes(app: GatewayApp, context: RouteContext): void {
  addReadRoutes(app, context);
  addChangeRoutes(app, context);
  app.route({
    method: 'GET',
    url: '/v1/config/schema.json',
    schema: {
      summary: 'JSON Schema of a config file, for editors',
      querystring: NoQuery,
      response: answers({ 200: SchemaAnswer }),
    },
    handler: async (_request, reply) =>
      reply.type('application/schema+json; charset=utf-8').send(SCHEMA_TEXT),
  });
}

const SCHEMA_TEXT = JSON.stringify(segmentJsonSchema());

function addReadRoutes(app: GatewayApp, context: RouteContext): void {
  const { deps } = context;
  const { onRequest } = guards(app, context);
  const security = [{ key: [] }];
  app.route({
    method: 'GET',
    url: '/v1/config',
    schema: {
      summary: 'The config in force of each segment',
      querystring: NoQuery,
      security,
      response: answers({ 200: ConfigsAnswer }, ...READ),
    },
    onRequest,
    handler: async () => {
      const current = await bounded(context, Promise.all(deps.segments.map(currentOf)));
      const segments = current.map((stored, index) => {
        return { segment: deps.segments[index]!.names.segment, ...historyOf(stored) };
      });
      return { segments };
    },
  });
  app.route({
    method: 'GET',
    url: '/v1/config/:segment',
    schema: {
      summary: 'The config in force',
      params: SegmentParams,
      querystring: ConfigFormat,
      security,
      response: answers({ 200: ConfigAnswers }, ...READ),
    },
    onRequest,
    handler: async (request, reply) => {
      const segment = pickSegment(deps.segments, request.params.segment);
      return sendConfig(reply, segment, await bounded(context, currentOf(segment)), request.query.format);
    },
  });
  app.route({
    method: 'GET',
    url: '/v1/config/:segment/versions',
    schema: {
      summary: 'Versions of the config, newest first',
      params: SegmentParams,
      querystring: NoQuery,
      security,
      response: answers({ 200: VersionsAnswer }, ...READ),
    },
    onRequest,
    handler: async (request) => {
      const segment = pickSegment(deps.segments, request.params.segment);
      const versions = await bounded(context, segment.configs.entries());
      return { segment: segment.names.segment, current: versions[0]?.version ?? 0, versions };
    },
  });
  app.route({
    method: 'GET',
    url: '/v1/config/:segment/versions/:version',
    schema: {
      summary: 'One version of the config',
      params: VersionParams,
      querystring: ConfigFormat,
      security,
      response: answers({ 200: ConfigAnswers }, ...READ, 'NOT_FOUND'),
    },
    onRequest,
    handler: async (request, reply) => {
      const segment = pickSegment(deps.segments, request.params.segment);
      const stored = await bounded(context, versionOf(segment, request.params.version));
      return sendConfig(reply, segment, stored, request.query.format);
    },
  });
}

function addChangeRoutes(app: GatewayApp, context: RouteContext): void {
  const { deps, budget } = context;
  const { onRequest, validatorCompiler } = guards(app, context);
  const security = [{ key: [] }];
  app.route({
    method: 'PUT',
    url: '/v1/config/:segment',
    schema: {
      summary: 'Apply a config',
      description:
        'Every gateway and worker takes it over within a second, between two commits. With If-Match: <version> only if that version is in force; of two at the same time one gets CONFLICT.',
      params: SegmentParams,
      querystring: ChangeQuery,
      headers: IF_MATCH,
      body: ConfigBody,
      security,
      response: answers({ 200: ChangeAnswer }, ...CHANGE),
    },
    validatorCompiler,
    onRequest,
    handler: async (request, reply) => {
      const segment = pickSegment(deps.segments, request.params.segment);
      const { note = null, by = DEFAULT_BY, dry_run: dryRun = false } = request.query;
      const ifVersion = ifMatch(request);
      const yaml = await readTextBody(request.raw, budget);
      return change(context, reply, segment, { yaml, note, by, dryRun, ifVersion, rollbackOf: null });
    },
  });
  app.route({
    method: 'POST',
    url: '/v1/config/:segment/rollback',
    schema: {
      summary: 'Put the text of an earlier version in force again, as a new version',
      params: SegmentParams,
      querystring: NoQuery,
      body: RollbackRequest,
      security,
      response: answers({ 200: ChangeAnswer }, ...CHANGE, 'NOT_FOUND'),
    },
    validatorCompiler,
    onRequest,
    handler: async (request, reply) => {
      const segment = pickSegment(deps.segments, request.params.segment);
      const { to, note, by, if_version, dry_run } = parseRollback(await readTextBody(request.raw, budget));
      const { yaml } = await bounded(context, versionOf(segment, to));
      return change(context, reply, segment, {
        yaml,
        note: note ?? null,
        by: by ?? DEFAULT_BY,
        dryRun: dry_run ?? false,
        ifVersion: if_version,
        rollbackOf: to,
      });
    },
  });
  app.route({
    method: 'POST',
    url: '/v1/config/validate',
    schema: {
      summary: 'Every problem of a config file',
      querystring: NoQuery,
      body: ConfigBody,
      security,
      response: answers({ 200: ValidateAnswer }, 'BAD_REQUEST', 'UNAUTHORIZED', 'FORBIDDEN', ...BODY),
    },
    validatorCompiler,
    onRequest,
    handler: async (request) => {
      const read = readConfig(await readTextBody(request.raw, budget));
      if (read.kind === 'invalid') return { valid: false, segment: null, problems: read.problems };
      return { valid: true, segment: read.source.config.segment, problems: [] };
    },
  });
}

const IF_MATCH = {
  type: 'object',
  properties: { 'if-match': { type: 'string', description: 'Version that must be in force.' } },
};

async function change(
  context: RouteContext,
  reply: FastifyReply,
  segment: GatewaySegment,
  wanted: ChangeRequest,
): Promise<Answer> {
  const { clock } = context.deps;
  const answer = await bounded(context, changeConfig(segment, wanted, clock));
  if (answer.changed) {
    await tellApplied(context, segment, answer);
    await untilTakenOver(segment, answer.version, clock, TAKE_OVER_MS);
  }
  reply.header('etag', `"${answer.version}"`);
  return answer;
}

/** Who applied what and why, in the audit log. The history of versions has it too: a failure here is told, and no more. */
async function tellApplied(
  { deps: { clock, logger } }: RouteContext,
  segment: GatewaySegment,
  { version, by, note, rollbackOf }: Answer,
): Promise<void> {
  const command = { kind: 'config_applied', version, note, rollbackOf } as const;
  try {
    await sendCommand(segment, command, { id: `config-${version}`, by, atMs: clock.nowMs() }, 0);
  } catch (error) {
    logger.warn({ version, reason: errorText(error) }, 'the audit log was not told of a config');
  }
}

function sendConfig(
  reply: FastifyReply,
  segment: GatewaySegment,
  stored: StoredConfig,
  format: 'yaml' | 'json' | undefined,
): unknown {
  const { version, at, by, yaml, digest } = stored;
  reply.header('etag', `"${version}"`);
  if (format === 'json')
    return {
      segment: segment.names.segment,
      ...historyOf(stored),
      digest,
      yaml,
      config: mapSource(yaml).value ?? null,
    };
  return reply
    .headers({
      'x-stitchwork-config-version': String(version),
      'x-stitchwork-config-at': at,
      // A header takes no other characters.
      'x-stitchwork-config-by': by.replace(/[^\x20-\x7e]/g, '?'),
    })
    .type('application/yaml; charset=utf-8')
    .serializer((text: unknown) => String(text))
    .send(yaml);
}

function historyOf({ version, at, by, note, rollbackOf }: StoredConfig) {
  return { version, at, by, note, rollbackOf };
}

/** Throws BAD_REQUEST when it is no version. */
function ifMatch(request: FastifyRequest): number | undefined {
  const text = request.headers['if-match'];
  if (text === undefined || text.trim() === '*') return undefined;
  const version = /^\s*(?:W\/)?"?([1-9]\d{0,9})"?\s*$/.exec(text)?.[1];
  if (version !== undefined) return Number(version);
  throw new StitchworkError('BAD_REQUEST', 'If-Match must be a version number, such as 3.');
}

function guards(app: GatewayApp, { auth }: RouteContext) {
  type Compiler = NonNullable<GatewayApp['validatorCompiler']>;
  return {
    onRequest: async (request: FastifyRequest) => auth.require(request, 'admin'),
    /** Bodies and headers are read by hand. */
    validatorCompiler: ((route: Parameters<Compiler>[0]) =>
      route.httpPart === 'body' || route.httpPart === 'headers'
        ? () => true
        : app.validatorCompiler!(route)) as Compiler,
  };
}

function bounded<T>({ deps, settings }: RouteContext, work: Promise<T>): Promise<T> {
  return withDeadline(work, { clock: deps.clock, ms: settings.statusDeadlineMs, code: 'STORE_UNAVAILABLE' });
}
