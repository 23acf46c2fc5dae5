// The way of an SDK's request, the same for every protocol: key, body, translation, append, answer. What is answered with
// success is stored.
import type { FastifyReply, FastifyRequest, RouteShorthandOptions } from 'fastify';
import { EVENT_LIMITS } from '../../shared/contract/event.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { uuidV7From } from '../../shared/kernel/hash.ts';
import { randomToken } from '../../shared/kernel/random.ts';
import type { GatewaySegment, IngestTrace } from '../deps.ts';
import { appendPrepared } from '../events/append.ts';
import type { Prepared } from '../events/prepare.ts';
import { type EventItem, splitBody } from '../events/split-body.ts';
import type { ByteLease } from '../http/byte-budget.ts';
import { refuse } from '../http/errors.ts';
import { bodyFormOf } from '../http/media-type.ts';
import { readBody } from '../http/read-body.ts';
import type { GatewayMetrics } from '../metrics.ts';
import type { GatewayApp, RouteContext } from '../routes/route-context.ts';
import { pickSegment } from '../segments.ts';
import { prepareTranslated, type Translated } from './translated.ts';
import { readPresented } from './write-key.ts';

const ENTROPY_CHARACTERS = 24;

export interface Protocol {
  /** Calls in one request, at most. */
  readonly callsMax: number;
  /** Calls that carry no key are kept, and belong to nobody. */
  readonly keyless?: true;
  /** The write key where it is known before the body is read. */
  presented(request: FastifyRequest): string | undefined;
  /** The write key in a body. */
  presentedIn?(document: unknown): string | undefined;
  /** Throws when no deployed segment is meant. */
  segmentOf?(segments: readonly GatewaySegment[], named: string | undefined): GatewaySegment;
  /** The calls of a request's documents, each translated. */
  translate(
    documents: readonly unknown[],
    segment: GatewaySegment,
    receivedMs: number,
  ): readonly Translated[];
  /** All is stored, but for what is rejected. */
  answer(reply: FastifyReply, prepared: Prepared): FastifyReply;
}

/** Takes a request in. Throws what refuses it whole. */
export async function takeIn(
  context: RouteContext,
  protocol: Protocol,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const lease = context.budget.open();
  const trace = context.deps.tracing?.begin(request.headers);
  try {
    const { segment, prepared } = await prepareRequest(context, protocol, request, { lease, trace });
    const { metrics } = context;
    noteRetry(metrics, request);
    const refusal = await appendPrepared(prepared, { segment, metrics, log: request.log, trace });
    return refusal === undefined ? protocol.answer(reply, prepared) : refuse(reply, refusal);
  } finally {
    trace?.end(reply.statusCode);
    lease.release();
  }
}

async function prepareRequest(
  context: RouteContext,
  protocol: Protocol,
  request: FastifyRequest,
  { lease, trace }: { readonly lease: ByteLease; readonly trace: IngestTrace | undefined },
): Promise<{ readonly segment: GatewaySegment; readonly prepared: Prepared }> {
  const { clock, random, segments } = context.deps;
  const form = bodyFormOf(request.headers['content-type']);
  const outside = protocol.presented(request);
  const early = outside === undefined ? undefined : admit(context, outside);
  if (early === undefined && protocol.presentedIn === undefined) admit(context, undefined);
  const body = await readBody(request.raw, lease, EVENT_LIMITS.requestBytes);
  const documents = documentsOf(splitBody(body, form, EVENT_LIMITS.eventsPerRequest));
  const named = early ?? admit(context, protocol.presentedIn?.(documents[0]));
  const segment = (protocol.segmentOf ?? pickSegment)(segments, named.segment ?? segmentAsked(request));
  const receivedMs = clock.nowMs();
  const calls = protocol.translate(documents, segment, receivedMs);
  if (calls.length > protocol.callsMax)
    throw new StitchworkError(
      'TOO_MANY_EVENTS',
      `The request holds ${calls.length} calls; at most ${protocol.callsMax} are taken.`,
    );
  const newId = () => uuidV7From(clock.nowMs(), randomToken(random, ENTROPY_CHARACTERS));
  const marks = { traceparent: trace?.traceparent, ...(protocol.keyless && { keyless: protocol.keyless }) };
  return { segment, prepared: prepareTranslated(calls, segment, newId, marks) };
}

/** Bodies are read in handlers, under the byte budget; before that there is nothing for a schema to look at. */
export function withoutBody(app: GatewayApp): NonNullable<RouteShorthandOptions['validatorCompiler']> {
  return (route) => (route.httpPart === 'body' ? () => true : app.validatorCompiler!(route));
}

/** Throws UNAUTHORIZED. */
function admit({ auth }: RouteContext, presented: string | undefined): { segment: string | undefined } {
  const { key, segment } = readPresented(presented, auth);
  auth.requireKey(key, 'ingest');
  return { segment };
}

/** Trouble that clients have had is seen by what they try again, also where nothing came in. */
function noteRetry(metrics: GatewayMetrics, { headers }: FastifyRequest): void {
  const said = headers['x-retry-count'];
  if (typeof said === 'string' && /^\d{1,4}$/.test(said)) metrics.sentBefore(Number(said));
}

function segmentAsked(request: FastifyRequest): string | undefined {
  const { segment } = request.query as { readonly segment?: unknown };
  return typeof segment === 'string' ? segment : undefined;
}

/** SDKs send whole documents: a line that cannot be read is a request that cannot. */
function documentsOf(items: readonly EventItem[]): readonly unknown[] {
  return items.map((item) => {
    if (item.kind === 'value') return item.value;
    throw new StitchworkError('BAD_REQUEST', item.message);
  });
}
