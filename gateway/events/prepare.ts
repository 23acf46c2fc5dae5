// From documents to log messages: each event parsed, checked and addressed to its shard. One synchronous step, so that
// at most one request's parsed events are in memory at a time; what waits for the log is bytes.
import { routingKeyFor } from '../../actors/identity/keys.ts';
import { EVENT_LIMITS, type LogEnvelope } from '../../shared/contract/event.ts';
import { parseEvent } from '../../shared/contract/parse-event.ts';
import { shardOf } from '../../shared/contract/routing.ts';
import { ERRORS, type ErrorCode } from '../../shared/kernel/errors.ts';
import type { LogAppend } from '../../shared/ports/event-log.ts';
import type { GatewaySegment } from '../deps.ts';
import { EVENT_DEPTH_MAX, sanitize } from './sanitize.ts';
import type { EventItem } from './split-body.ts';

export interface Reject {
  readonly index: number;
  readonly code: ErrorCode;
  readonly message: string;
}

export interface Prepared {
  readonly appends: readonly LogAppend[];
  readonly rejected: readonly Reject[];
  /** Message ids that were made here because the event brought none. */
  readonly assigned: readonly { readonly index: number; readonly messageId: string }[];
}

type Outcome =
  | { readonly kind: 'ok'; readonly append: LogAppend; readonly assigned: string | undefined }
  | { readonly kind: 'rejected'; readonly code: ErrorCode; readonly message: string };

/** Prepares every event on its own: a broken one does not hurt its neighbours. */
export function prepareEvents(
  items: readonly EventItem[],
  segment: Pick<GatewaySegment, 'config' | 'shards'>,
  newId: () => string,
): Prepared {
  const config = segment.config();
  const keyNames = config.stitching.keys.map((key) => key.name);
  const appends: LogAppend[] = [];
  const rejected: Reject[] = [];
  const assigned: { index: number; messageId: string }[] = [];
  items.forEach((item, index) => {
    const outcome = prepare(item);
    if (outcome.kind === 'rejected') {
      rejected.push({ index, code: outcome.code, message: outcome.message });
      return;
    }
    appends.push(outcome.append);
    if (outcome.assigned !== undefined) assigned.push({ index, messageId: outcome.assigned });
  });
  return { appends, rejected, assigned };

  function prepare(item: EventItem): Outcome {
    if (item.kind === 'broken') return reject('INVALID_EVENT', item.message);
    if (!sanitize(item.value))
      return reject('INVALID_EVENT', `The event is nested deeper than ${EVENT_DEPTH_MAX} levels.`);
    let assignedId: string | undefined;
    const parsed = parseEvent(item.value, keyNames, () => {
      assignedId = newId();
      return assignedId;
    });
    if (parsed.kind === 'rejected') return parsed;
    const envelope: LogEnvelope = { v: 1, type: 'event', event: parsed.event };
    const payload = Buffer.from(JSON.stringify(envelope), 'utf8');
    if (isTooLarge(payload, item.value)) return reject('EVENT_TOO_LARGE', ERRORS.EVENT_TOO_LARGE.text);
    const shard = shardOf(routingKeyFor(config, parsed.event), segment.shards);
    return { kind: 'ok', append: { shard, source: 'ingest', payload }, assigned: assignedId };
  }
}

/** The limit is on the event as it was sent, in compact form; what the gateway adds does not count. */
function isTooLarge(payload: Buffer, sent: unknown): boolean {
  if (payload.length <= EVENT_LIMITS.eventBytes) return false;
  return Buffer.byteLength(JSON.stringify(sent), 'utf8') > EVENT_LIMITS.eventBytes;
}

function reject(code: ErrorCode, message: string): Outcome {
  return { kind: 'rejected', code, message };
}
