// What changes between two versions of a config, or from the one in force to a text; with `events`, also what a change of
// the stitching would have made of the newest events.
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { StitchingComparison } from '../../actors/profile/compare-stitching.ts';
import { describeStitching } from '../../actors/profile/describe-stitching.ts';
import { describeDiff } from '../../shared/contract/config/describe-diff.ts';
import { type ConfigDiff, diffConfigs } from '../../shared/contract/config/diff.ts';
import { currentOf, versionOf } from '../config/change-config.ts';
import { readTextBody, type SoundConfig, soundConfig } from '../config/read-config.ts';
import { createStitchingTrial } from '../config/try-stitching.ts';
import type { GatewaySegment } from '../deps.ts';
import { CandidateQuery, ConfigBody, DiffAnswers, DiffQuery, SegmentParams } from '../http/config-schemas.ts';
import { withDeadline } from '../http/deadline.ts';
import { answers } from '../http/schemas.ts';
import { pickSegment } from '../segments.ts';
import type { GatewayApp, RouteContext } from './route-context.ts';

const ERRORS = [
  'BAD_REQUEST',
  'UNAUTHORIZED',
  'FORBIDDEN',
  'UNKNOWN_SEGMENT',
  'INVALID_CONFIG',
  'OVERLOADED',
  'STORE_UNAVAILABLE',
  'LOG_UNAVAILABLE',
] as const;

interface Difference {
  readonly segment: string;
  readonly from: number;
  /** Null: the text of the request. */
  readonly to: number | null;
  readonly diff: ConfigDiff;
  readonly stitching: StitchingComparison | null;
}

export function addConfigDiffRoutes(app: GatewayApp, context: RouteContext): void {
  const { deps, settings, auth, budget } = context;
  const trial = createStitchingTrial(deps.clock);
  const onRequest = async (request: FastifyRequest) => auth.require(request, 'admin');
  const security = [{ key: [] }];

  async function compare(
    segment: GatewaySegment,
    from: { readonly version: number; readonly source: SoundConfig },
    to: { readonly version: number | null; readonly source: SoundConfig },
    events: number | undefined,
  ): Promise<Difference> {
    const diff = diffConfigs(from.source, to.source);
    const isTried = events !== undefined && diff.stitching;
    const stitching = isTried ? await trial.run(segment, from.source.config, to.source.config, events) : null;
    return { segment: segment.names.segment, from: from.version, to: to.version, diff, stitching };
  }

  const store = <T>(work: Promise<T>) =>
    withDeadline(work, { clock: deps.clock, ms: settings.statusDeadlineMs, code: 'STORE_UNAVAILABLE' });

  app.route({
    method: 'GET',
    url: '/v1/config/:segment/diff',
    schema: {
      summary: 'What changed between two versions of the config',
      params: SegmentParams,
      querystring: DiffQuery,
      security,
      response: answers({ 200: DiffAnswers }, ...ERRORS, 'NOT_FOUND'),
    },
    onRequest,
    handler: async (request, reply) => {
      const segment = pickSegment(deps.segments, request.params.segment);
      const { from, to, events, format } = request.query;
      const after = await store(to === undefined ? currentOf(segment) : versionOf(segment, to));
      const before = await store(versionOf(segment, from ?? Math.max(1, after.version - 1)));
      const [a, b] = [before, after].map((stored) => {
        const what = `version ${stored.version} cannot be read here`;
        return { version: stored.version, source: soundConfig(stored.yaml, segment.names.segment, what) };
      });
      return send(reply, await compare(segment, a!, b!, events), format);
    },
  });
  app.route({
    method: 'POST',
    url: '/v1/config/:segment/diff',
    schema: {
      summary: 'What a config would change',
      params: SegmentParams,
      querystring: CandidateQuery,
      body: ConfigBody,
      security,
      response: answers({ 200: DiffAnswers }, ...ERRORS, 'REQUEST_TOO_LARGE', 'UNSUPPORTED_MEDIA_TYPE'),
    },
    validatorCompiler: (route) => (route.httpPart === 'body' ? () => true : app.validatorCompiler!(route)),
    onRequest,
    handler: async (request, reply) => {
      const segment = pickSegment(deps.segments, request.params.segment);
      const { events, format } = request.query;
      const { segment: name } = segment.names;
      const source = soundConfig(await readTextBody(request.raw, budget), name, 'the config is refused');
      const current = await store(currentOf(segment));
      const what = `version ${current.version} cannot be read here`;
      const from = { version: current.version, source: soundConfig(current.yaml, name, what) };
      return send(reply, await compare(segment, from, { version: null, source }, events), format);
    },
  });
}

function send(reply: FastifyReply, found: Difference, format: 'json' | 'text' | undefined): unknown {
  if (format !== 'text') return found;
  const lines = [...describeDiff(found.diff), ...(found.stitching ? describeStitching(found.stitching) : [])];
  return reply
    .type('text/plain; charset=utf-8')
    .serializer((text: unknown) => String(text))
    .send(`${lines.join('\n')}\n`);
}
