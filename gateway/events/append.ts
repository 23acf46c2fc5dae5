// The append of a request's events, with what is told of it: metrics, log lines, trace. Either all of it is stored, or the
// answer is the refusal after which the client sends the same again.
import type { FastifyBaseLogger } from 'fastify';
import { EVENT_LIMITS } from '../../shared/contract/event.ts';
import type { AppendOutcome } from '../../shared/ports/event-log.ts';
import type { GatewaySegment, IngestTrace } from '../deps.ts';
import type { Refusal } from '../http/errors.ts';
import { logAppended, logRejected } from '../ingest-log.ts';
import type { GatewayMetrics } from '../metrics.ts';
import { allRejected, appendRefusal } from './append-refusal.ts';
import type { Prepared } from './prepare.ts';

export interface AppendParts {
  readonly segment: GatewaySegment;
  readonly metrics: GatewayMetrics;
  readonly log: FastifyBaseLogger;
  readonly trace: IngestTrace | undefined;
}

/**
 * Stores what is accepted of a request, in order. Undefined: all is stored. A refusal: nothing is, or of a request with more
 * events than one append takes only the first ones; message ids that the client brings keep a repeat from counting twice.
 */
export async function appendPrepared(prepared: Prepared, parts: AppendParts): Promise<Refusal | undefined> {
  const { segment, metrics, log } = parts;
  const name = segment.names.segment;
  for (const reject of prepared.rejected) metrics.rejected(name, reject.code);
  logRejected(log, name, prepared);
  if (prepared.appends.length === 0 && prepared.rejected.length > 0) return allRejected(prepared.rejected);
  for (let at = 0; at < prepared.appends.length; at += EVENT_LIMITS.eventsPerRequest) {
    const outcome = await appendPart(prepared, at, parts);
    if (outcome.kind !== 'stored') return appendRefusal(outcome, prepared);
  }
  return undefined;
}

async function appendPart(prepared: Prepared, at: number, parts: AppendParts): Promise<AppendOutcome> {
  const { segment, metrics, log, trace } = parts;
  const name = segment.names.segment;
  const end = at + EVENT_LIMITS.eventsPerRequest;
  const appends = prepared.appends.slice(at, end);
  const appended = metrics.appendStarted(name, appends);
  const traced = trace?.append(name, appends.length);
  const outcome = await segment.appender.append(appends);
  appended(outcome.kind);
  traced?.(outcome.kind);
  logAppended(log, name, { ...prepared, appends, accepted: prepared.accepted.slice(at, end) }, outcome);
  if (outcome.kind === 'stored') metrics.accepted(name, appends.length);
  return outcome;
}
