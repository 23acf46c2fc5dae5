// POST /v1/identity/split, /merge and /rebuild: profiles put right by hand, and GET /v1/identity/jobs to see how far one is.
import { Type } from 'typebox';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { uuidV7From } from '../../shared/kernel/hash.ts';
import { randomToken } from '../../shared/kernel/random.ts';
import type { GatewaySegment } from '../deps.ts';
import { withDeadline } from '../http/deadline.ts';
import { JobAnswer, MergeBody, RebuildBody, SplitBody } from '../http/job-schemas.ts';
import { readBody } from '../http/read-body.ts';
import { answers, SegmentQuery } from '../http/schemas.ts';
import { isFinished, type Job, type JobCommand } from '../identity/job.ts';
import { JobRunner } from '../identity/job-runner.ts';
import { readProfile } from '../profiles/read-profile.ts';
import { pickSegment } from '../segments.ts';
import { keyAddress, profileIdOf } from './profiles.ts';
import type { GatewayApp, RouteContext } from './route-context.ts';

const ANSWER_MS = 10_000;
const BODY_BYTES_MAX = 262_144;
const BY_MAX = 200;

const ERRORS = [
  'BAD_REQUEST',
  'UNAUTHORIZED',
  'FORBIDDEN',
  'UNKNOWN_SEGMENT',
  'PROFILE_NOT_FOUND',
  'UNKNOWN_KEY_NAME',
  'INVALID_KEY_VALUE',
  'COMMAND_REFUSED',
  'HISTORY_GONE',
  'REQUEST_TOO_LARGE',
  'OVERLOADED',
  'STORE_UNAVAILABLE',
  'LOG_UNAVAILABLE',
] as const;

type ProfileRef = string | { readonly key: string; readonly value: string };
type Asked = JobCommand;

export function addIdentityJobRoutes(app: GatewayApp, context: RouteContext): void {
  const { deps, auth } = context;
  const runners = new Map(
    deps.segments.map((segment) => [segment, new JobRunner(segment, deps.logger, deps.clock)]),
  );
  app.addHook('onReady', async () => {
    for (const runner of runners.values()) void runner.watch();
  });
  app.addHook('preClose', async () => {
    await Promise.all([...runners.values()].map((runner) => runner.close()));
  });
  const onRequest = async (request: Parameters<typeof auth.require>[0]) => auth.require(request, 'admin');
  const common = {
    querystring: SegmentQuery,
    security: [{ key: [] }],
    response: answers({ 200: JobAnswer, 202: JobAnswer }, ...ERRORS),
  };
  const validatorCompiler: NonNullable<typeof app.validatorCompiler> = (route) =>
    route.httpPart === 'body' ? () => true : app.validatorCompiler!(route);
  app.route({
    method: 'POST',
    url: '/v1/identity/split',
    schema: {
      ...common,
      summary: 'Part a profile in two, or take one key off it',
      description:
        'Both sides get what the events of their own keys come to, counted again from the log with the config in force, and are never joined by events again. 202: it goes on in the background.',
      body: SplitBody,
    },
    validatorCompiler,
    onRequest,
    handler: async (request, reply) => {
      const segment = pickSegment(deps.segments, request.query.segment);
      const body = checked(await bodyOf(context, request.raw), SPLIT_FIELDS);
      const profileId = await idOf(context, segment, body.profile as ProfileRef, 'profile');
      const command: Asked = {
        kind: 'split_begin',
        profileId,
        newProfileId: body.undo === undefined ? newId(context) : profileIdOf(String(body.undo)),
        keys: body.keys === undefined ? null : normalizedKeys(segment, body.keys),
        reason: body.reason === 'removed' ? 'removed' : 'split',
      };
      if (command.keys === null && body.undo === undefined)
        throw badBody(
          'name the keys that leave ("keys"), or the merged profile that is to live again ("undo")',
        );
      const job = await ask(context, runners.get(segment)!, command, body);
      return reply.code(isFinished(job) ? 200 : 202).send(shown(job));
    },
  });
  app.route({
    method: 'POST',
    url: '/v1/identity/merge',
    schema: {
      ...common,
      summary: 'Make two profiles one',
      description:
        'Also across what parted them; across a limit with "force". POST /v1/identity/split with "undo" takes it back.',
      body: MergeBody,
    },
    validatorCompiler,
    onRequest,
    handler: async (request, reply) => {
      const segment = pickSegment(deps.segments, request.query.segment);
      const body = checked(await bodyOf(context, request.raw), MERGE_FIELDS);
      const from = await idOf(context, segment, body.from as ProfileRef, 'from');
      const into = await idOf(context, segment, body.into as ProfileRef, 'into');
      const job = await ask(
        context,
        runners.get(segment)!,
        { kind: 'merge', from, into, force: body.force === true },
        body,
      );
      return reply.code(isFinished(job) ? 200 : 202).send(shown(job));
    },
  });
  app.route({
    method: 'POST',
    url: '/v1/identity/rebuild',
    schema: {
      ...common,
      summary: 'Count the attributes of a profile anew',
      description:
        'From its events in the log, with the config in force: after a change of config, or of the definition of an attribute. Triggers stay silent.',
      body: RebuildBody,
    },
    validatorCompiler,
    onRequest,
    handler: async (request, reply) => {
      const segment = pickSegment(deps.segments, request.query.segment);
      const body = checked(await bodyOf(context, request.raw), REBUILD_FIELDS);
      const attributes = attributeNames(segment, body.attributes);
      const command: Asked =
        body.profiles === undefined
          ? {
              kind: 'rebuild',
              profileId: await idOf(context, segment, body.profile as ProfileRef, 'profile'),
              attributes,
            }
          : { kind: 'rebuild_many', profileIds: profileIds(body.profiles), attributes };
      const job = await ask(context, runners.get(segment)!, command, body);
      return reply.code(isFinished(job) ? 200 : 202).send(shown(job));
    },
  });
  app.route({
    method: 'GET',
    url: '/v1/identity/jobs/:id',
    schema: {
      summary: 'How far a split or merge is',
      params: Type.Object({ id: Type.String() }),
      querystring: SegmentQuery,
      security: [{ key: [] }],
      response: answers(
        { 200: JobAnswer },
        'BAD_REQUEST',
        'UNAUTHORIZED',
        'FORBIDDEN',
        'UNKNOWN_SEGMENT',
        'NOT_FOUND',
        'STORE_UNAVAILABLE',
      ),
    },
    onRequest,
    handler: async (request) => {
      const segment = pickSegment(deps.segments, request.query.segment);
      const { id } = request.params;
      const known = /^[0-9A-Za-z_-]{1,64}$/.test(id) ? await runners.get(segment)!.jobs.read(id) : undefined;
      if (!known)
        throw new StitchworkError('NOT_FOUND', `There is no job ${id}, or it was finished long ago.`);
      return shown(known);
    },
  });
}

const SPLIT_FIELDS = ['profile', 'keys', 'undo', 'reason', 'by', 'allowIncomplete'];
const REBUILD_FIELDS = ['profile', 'profiles', 'attributes', 'by', 'allowIncomplete'];
/** Profiles of one request. */
const REBUILT_MAX = 5_000;
const MERGE_FIELDS = ['from', 'into', 'force', 'by'];

async function bodyOf(context: RouteContext, raw: Parameters<typeof readBody>[0]): Promise<unknown> {
  const lease = context.budget.open();
  try {
    const body = await readBody(raw, lease, BODY_BYTES_MAX);
    return JSON.parse(body.toString('utf8')) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) throw badBody(`it is not JSON: ${error.message}`);
    throw error;
  } finally {
    lease.release();
  }
}

function checked(body: unknown, fields: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw badBody('it must be a JSON object');
  const unknown = Object.keys(body).find((name) => !fields.includes(name));
  if (unknown !== undefined) throw badBody(`there is no field '${unknown}'; known: ${fields.join(', ')}`);
  return body as Readonly<Record<string, unknown>>;
}

function badBody(what: string): StitchworkError {
  return new StitchworkError('BAD_REQUEST', `The body cannot be used: ${what}.`);
}

/** The living profile that is meant: by id, or by one of its keys. */
async function idOf(
  { deps, settings }: RouteContext,
  segment: GatewaySegment,
  ref: ProfileRef | undefined,
  field: string,
): Promise<string> {
  if (typeof ref === 'string') return profileIdOf(ref);
  if (typeof ref !== 'object' || ref === null || typeof ref.key !== 'string' || typeof ref.value !== 'string')
    throw badBody(`'${field}' is a profile id, or {"key": "email", "value": "ann@example.com"}`);
  const reading = readProfile(segment.store, keyAddress(segment, ref.key, ref.value));
  const profile = await withDeadline(reading, {
    clock: deps.clock,
    ms: settings.readDeadlineMs,
    code: 'STORE_UNAVAILABLE',
  });
  if (!profile) throw new StitchworkError('PROFILE_NOT_FOUND', `No profile has ${ref.key} ${ref.value}.`);
  return profile.id;
}

function normalizedKeys(segment: GatewaySegment, keys: unknown): Readonly<Record<string, readonly string[]>> {
  if (typeof keys !== 'object' || keys === null || Array.isArray(keys))
    throw badBody(`'keys' is an object of lists: {"email": ["ann@example.com"]}`);
  const entries = Object.entries(keys).map(([name, values]): [string, readonly string[]] => {
    if (!Array.isArray(values) || values.some((value) => typeof value !== 'string'))
      throw badBody(`'keys.${name}' is a list of texts`);
    return [
      name,
      values.map((value: string) => (keyAddress(segment, name, value) as { value: string }).value),
    ];
  });
  return Object.fromEntries(entries);
}

function profileIds(ids: unknown): readonly string[] {
  if (!Array.isArray(ids) || ids.length === 0 || ids.length > REBUILT_MAX)
    throw badBody(`'profiles' is a list of 1 to ${REBUILT_MAX} profile ids`);
  return ids.map((id) => profileIdOf(String(id)));
}

/** Names of attributes that are kept; undefined: all. */
function attributeNames(segment: GatewaySegment, names: unknown): readonly string[] | undefined {
  if (names === undefined) return undefined;
  const known = segment.config().attributes.filter(({ type }) => type !== 'computed');
  const isKnown = (name: unknown) => known.some((attribute) => attribute.name === name);
  if (!Array.isArray(names) || names.length === 0) throw badBody("'attributes' is a list of names");
  const strange = names.find((name) => !isKnown(name));
  if (strange !== undefined) throw badBody(`there is no attribute '${String(strange)}' that is kept`);
  return names as readonly string[];
}

async function ask(
  context: RouteContext,
  runner: JobRunner,
  command: Asked,
  body: Readonly<Record<string, unknown>>,
): Promise<Job> {
  const by = typeof body.by === 'string' && body.by !== '' ? body.by.slice(0, BY_MAX) : 'admin';
  const allowIncomplete = body.allowIncomplete === true;
  const job = await runner.ask({ id: newId(context), command, by, allowIncomplete }, ANSWER_MS);
  if (job.step === 'refused')
    throw new StitchworkError('COMMAND_REFUSED', `Nothing was changed: ${job.detail}.`, {
      details: [{ reason: job.reason, detail: job.detail, job: job.id }],
    });
  if (job.step === 'failed')
    throw new StitchworkError('INTERNAL', `The command could not be applied: ${job.reason}.`);
  return job;
}

function newId({ deps }: RouteContext): string {
  return uuidV7From(deps.clock.nowMs(), randomToken(deps.random));
}

const KIND_SHOWN = {
  merge: 'merge',
  split_begin: 'split',
  rebuild: 'rebuild',
  rebuild_many: 'rebuild',
} as const;

function shown(job: Job): object {
  return {
    id: job.id,
    kind: KIND_SHOWN[job.command.kind],
    state: isFinished(job) ? job.step : 'running',
    profileIds: job.profileIds,
    by: job.by,
    askedAt: new Date(job.askedAtMs).toISOString(),
    ...(job.reason !== undefined && { reason: job.reason }),
    ...(job.detail !== undefined && { detail: job.detail }),
    ...(job.keptFromMs !== undefined && { countedFrom: new Date(job.keptFromMs).toISOString() }),
  };
}
