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
  /** Where each append stands in the request, and its message id. */
  readonly accepted: readonly { readonly index: number; readonly messageId: string }[];
  readonly rejected: readonly Reject[];
  /** Message ids of the rejected ones, in the same order, where they brought one. */
  readonly rejectedIds: readonly (string | undefined)[];
  /** Message ids that were made here because the event brought none. */
  readonly assigned: readonly { readonly index: number; readonly messageId: string }[];
}

type Outcome =
  | {
      readonly kind: 'ok';
      readonly append: LogAppend;
      readonly messageId: string;
      readonly assigned: string | undefined;
    }
  | { readonly kind: 'rejected'; readonly code: ErrorCode; readonly message: string };

/** What goes with the events of a request. */
export interface Marks {
  /** The subject for the reply about the append at a position. */
  readonly replyTo?: ((position: number) => string) | undefined;
  readonly traceparent?: string | undefined;
  /** Personalization service that is asked with them. */
  readonly asks?: string | undefined;
  /** Events without any key are taken as well: they are kept, and belong to no profile. */
  readonly keyless?: true;
}

/** Prepares every event on its own: a broken one does not hurt its neighbours. */
export function prepareEvents(
  items: readonly EventItem[],
  segment: Pick<GatewaySegment, 'config' | 'configVersion' | 'names' | 'shards'>,
  newId: () => string,
  marks: Marks = {},
): Prepared {
  const config = segment.config();
  const stamp = `${segment.names.segment}@${segment.configVersion()}`;
  const keyNames = config.stitching.keys.map((key) => key.name);
  const appends: LogAppend[] = [];
  const rejected: Reject[] = [];
  const rejectedIds: (string | undefined)[] = [];
  const assigned: { index: number; messageId: string }[] = [];
  const accepted: { index: number; messageId: string }[] = [];
  items.forEach((item, index) => {
    const outcome = prepare(item);
    if (outcome.kind === 'rejected') {
      rejected.push({ index, code: outcome.code, message: outcome.message });
      rejectedIds.push(item.kind === 'broken' ? undefined : messageIdIn(item.value));
      return;
    }
    appends.push(outcome.append);
    accepted.push({ index, messageId: outcome.messageId });
    if (outcome.assigned !== undefined) assigned.push({ index, messageId: outcome.assigned });
  });
  return { appends, accepted, rejected, rejectedIds, assigned };

  function prepare(item: EventItem): Outcome {
    if (item.kind === 'broken') return reject('INVALID_EVENT', item.message);
    if (!sanitize(item.value))
      return reject('INVALID_EVENT', `The event is nested deeper than ${EVENT_DEPTH_MAX} levels.`);
    let assignedId: string | undefined;
    const assign = () => {
      assignedId = newId();
      return assignedId;
    };
    const parsed = parseEvent(item.value, keyNames, assign, marks.keyless);
    if (parsed.kind === 'rejected') return parsed;
    const { event } = parsed;
    const envelope: LogEnvelope = {
      v: 1,
      type: 'event',
      event,
      config: stamp,
      replyTo: marks.replyTo?.(appends.length),
      asks: marks.asks,
      traceparent: marks.traceparent,
    };
    const payload = Buffer.from(JSON.stringify(envelope), 'utf8');
    if (isTooLarge(payload, item.value)) return reject('EVENT_TOO_LARGE', ERRORS.EVENT_TOO_LARGE.text);
    const shard = shardOf(routingKeyFor(config, event), segment.shards);
    const append: LogAppend = { shard, source: 'ingest', payload };
    return { kind: 'ok', append, messageId: event.messageId, assigned: assignedId };
  }
}

/** The id that an event which cannot be used says it has, for the log: cut short, since nothing has checked it. */
function messageIdIn(raw: unknown): string | undefined {
  const id = typeof raw === 'object' && raw !== null && 'messageId' in raw ? raw.messageId : undefined;
  return typeof id === 'string' ? id.slice(0, 200) : undefined;
}

/** The limit is on the event as it was sent, in compact form; what the gateway adds does not count. */
function isTooLarge(payload: Buffer, sent: unknown): boolean {
  if (payload.length <= EVENT_LIMITS.eventBytes) return false;
  return Buffer.byteLength(JSON.stringify(sent), 'utf8') > EVENT_LIMITS.eventBytes;
}

function reject(code: ErrorCode, message: string): Outcome {
  return { kind: 'rejected', code, message };
}
