// What a protocol makes of one of its calls, and how that becomes messages of the log. A protocol only translates: what it
// yields is checked as if it had been sent to the events API.
import { EVENT_LIMITS, type LinkedKey, type LogEnvelope } from '../../shared/contract/event.ts';
import { ROUTING_KEY_OF_LINKS, shardOf } from '../../shared/contract/routing.ts';
import type { ErrorCode } from '../../shared/kernel/errors.ts';
import type { LogAppend } from '../../shared/ports/event-log.ts';
import type { GatewaySegment } from '../deps.ts';
import { type Marks, type Prepared, prepareEvents, type Reject } from '../events/prepare.ts';

export interface TranslatedLink {
  /** As sent; undefined: one is assigned. */
  readonly messageId: unknown;
  /** Of one customer, at least two. */
  readonly keys: readonly LinkedKey[];
  readonly atMs: number | undefined;
  /** Who says so. */
  readonly by: string;
}

export type Translated =
  /** As the events API takes it. */
  | { readonly kind: 'event'; readonly value: unknown }
  | ({ readonly kind: 'link' } & TranslatedLink)
  /** Sound, and there is nothing to do. */
  | { readonly kind: 'nothing' }
  | { readonly kind: 'rejected'; readonly code: ErrorCode; readonly message: string };

export type PreparingSegment = Pick<GatewaySegment, 'config' | 'configVersion' | 'names' | 'shards'>;

const MESSAGE_ID_CHARS_MAX = 200;

/**
 * Checks every call on its own and addresses it to its shard. Events come first, links after them; indexes are those of
 * `items`.
 */
export function prepareTranslated(
  items: readonly Translated[],
  segment: PreparingSegment,
  newId: () => string,
  marks: Marks,
): Prepared {
  const places = items.flatMap((item, index) => (item.kind === 'event' ? [index] : []));
  const values = items.flatMap((item) =>
    item.kind === 'event' ? [{ kind: 'value' as const, value: item.value }] : [],
  );
  const events = prepareEvents(values, segment, newId, marks);
  const moved = <T extends { readonly index: number }>(list: readonly T[]): T[] =>
    list.map((entry) => ({ ...entry, index: places[entry.index]! }));
  const appends = [...events.appends];
  const accepted = moved(events.accepted);
  const rejected: Reject[] = moved(events.rejected);
  const rejectedIds = [...events.rejectedIds];
  const refuse = (index: number, code: ErrorCode, message: string) => {
    rejected.push({ index, code, message });
    rejectedIds.push(undefined);
  };
  for (const [index, item] of items.entries()) {
    if (item.kind === 'rejected') refuse(index, item.code, item.message);
    if (item.kind !== 'link') continue;
    const problem = problemOfLink(item);
    if (problem !== undefined) {
      refuse(index, 'INVALID_EVENT', problem);
      continue;
    }
    const messageId = typeof item.messageId === 'string' ? item.messageId : newId();
    appends.push(appendOf(item, messageId, segment));
    accepted.push({ index, messageId });
  }
  return { appends, accepted, rejected, rejectedIds, assigned: moved(events.assigned) };
}

function problemOfLink({ messageId, keys }: TranslatedLink): string | undefined {
  if (messageId !== undefined && messageId !== null) {
    const isId =
      typeof messageId === 'string' && messageId !== '' && messageId.length <= MESSAGE_ID_CHARS_MAX;
    if (!isId) return `'messageId' is text of 1 to ${MESSAGE_ID_CHARS_MAX} characters`;
  }
  const long = keys.find(({ value }) => value.length > EVENT_LIMITS.keyValueChars);
  return long && `the value of '${long.name}' is longer than ${EVENT_LIMITS.keyValueChars} characters`;
}

function appendOf(link: TranslatedLink, id: string, segment: PreparingSegment): LogAppend {
  const { keys, atMs, by } = link;
  const config = `${segment.names.segment}@${segment.configVersion()}`;
  const envelope: LogEnvelope = {
    v: 1,
    type: 'link',
    id,
    keys,
    ...(atMs !== undefined && { atMs }),
    by,
    config,
  };
  const payload = Buffer.from(JSON.stringify(envelope), 'utf8');
  return { shard: shardOf(ROUTING_KEY_OF_LINKS, segment.shards), source: 'ingest', payload };
}
