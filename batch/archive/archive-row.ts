// A message of the event log as a row of the archive, and back. Pure. The columns say everything that the payload said, but
// for whom to answer; a payload that they cannot say is kept as it stood, in `raw`.
import { readEnvelope } from '../../actors/profile/parse-message.ts';
import type { LogEnvelope } from '../../shared/contract/event.ts';
import { sourceOf } from '../../shared/contract/names.ts';
import type { LogMessage } from '../../shared/ports/event-log.ts';

export interface ArchiveRow {
  readonly sequence: number;
  readonly shard: number;
  readonly source: string;
  /** Of an event; of a command its id. */
  readonly messageId: string | null;
  /** Of an event; of a timer its name, of a command its kind. */
  readonly name: string | null;
  readonly table: string | null;
  /** JSON: stitching keys as sent. */
  readonly keys: string | null;
  /** JSON: properties of an event, what a timer or command says. */
  readonly properties: string | null;
  /** When it happened: the event's own time, at most 5 minutes after the log's; ms. */
  readonly eventTimeMs: number;
  readonly logTimeMs: number;
  /** Version of the envelope; null when the payload was not one. */
  readonly v: number | null;
  /** JSON: what else stood in the envelope. */
  readonly rest: string | null;
  readonly raw: Uint8Array | null;
}

type Fields = Readonly<Record<string, unknown>>;
type Said = Pick<
  ArchiveRow,
  'messageId' | 'name' | 'table' | 'keys' | 'properties' | 'eventTimeMs' | 'v' | 'rest'
>;

const FUTURE_MAX_MS = 5 * 60_000;
/** Half of a UTF-16 pair, as JSON.stringify writes it: not every reader of JSON takes it. */
const LONE_SURROGATE = /\\ud[89a-f]/;

export function rowOf(message: LogMessage): ArchiveRow {
  const { timeMs, payload } = message;
  const envelope = readEnvelope(payload);
  const said = envelope && shallowSaidBy(envelope, timeMs);
  if (!envelope || !said) return row(message, { ...NOTHING, eventTimeMs: timeMs }, payload);
  if (hidesColumns(envelope) || saysHalfPairs(said, payload)) return row(message, wellFormed(said), payload);
  return row(message, said, null);
}

/** Field by field: spreading objects costs several times what all the rest does. */
function row(message: LogMessage, said: Said, raw: Uint8Array | null): ArchiveRow {
  return {
    sequence: message.sequence,
    shard: message.shard,
    source: message.source,
    messageId: said.messageId,
    name: said.name,
    table: said.table,
    keys: said.keys,
    properties: said.properties,
    eventTimeMs: said.eventTimeMs,
    logTimeMs: message.timeMs,
    v: said.v,
    rest: said.rest,
    raw,
  };
}

/** Whether a text holds half of a UTF-16 pair, which can come from an escape only. */
function saysHalfPairs(said: Said, payload: Uint8Array): boolean {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.length);
  if (!bytes.includes('\\u')) return false;
  const texts = [said.messageId, said.name, said.table, said.keys, said.properties, said.rest];
  return texts.some((text) => text !== null && (!text.isWellFormed() || LONE_SURROGATE.test(text)));
}

/** Whether a part that no envelope has would be taken for one of the row's own. */
function hidesColumns(envelope: LogEnvelope): boolean {
  return (
    Object.hasOwn(envelope, 'timestampMs') || (envelope.type !== 'event' && Object.hasOwn(envelope, 'event'))
  );
}

/** The message that a row was made of. */
export function messageOf(row: ArchiveRow): LogMessage {
  const { sequence, shard, source, logTimeMs } = row;
  const payload = row.raw ?? Buffer.from(JSON.stringify(envelopeOf(row)));
  return { sequence, shard, source: sourceOf(source), timeMs: logTimeMs, payload };
}

const NOTHING = {
  messageId: null,
  name: null,
  table: null,
  keys: null,
  properties: null,
  v: null,
  rest: null,
} as const;

/** Undefined for what is nested so deeply that it cannot be written as JSON again. */
function shallowSaidBy(envelope: LogEnvelope, logTimeMs: number): Said | undefined {
  try {
    return saidBy(envelope, logTimeMs);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function saidBy(envelope: LogEnvelope, logTimeMs: number): Said {
  switch (envelope.type) {
    case 'event': {
      const { v, type: _, event, replyTo: __, ...more } = envelope;
      const { messageId, name, table = null, keys, properties, timestampMs, ...extra } = event;
      const eventTimeMs = Math.floor(Math.min(timestampMs ?? logTimeMs, logTimeMs + FUTURE_MAX_MS));
      const rest: Fields = {
        ...more,
        ...(timestampMs === eventTimeMs ? {} : { timestampMs: timestampMs ?? null }),
        ...(Object.keys(extra).length === 0 ? {} : { event: extra }),
      };
      const columns = { keys: JSON.stringify(keys), properties: JSON.stringify(properties) };
      return { v, messageId, name, table, eventTimeMs, ...columns, rest: orNull(rest) };
    }
    case 'timer': {
      const { v, timer: name, ...rest } = envelope;
      const { profileId, generation, dueMs, ...more } = rest;
      const properties = JSON.stringify({ profileId, generation, dueMs });
      const eventTimeMs = timeOr(dueMs, logTimeMs);
      return { ...NOTHING, v, name, properties, eventTimeMs, rest: JSON.stringify(more) };
    }
    case 'row': {
      const { v, type, table, ...said } = envelope;
      const rest = JSON.stringify({ type });
      return { ...NOTHING, v, table, properties: JSON.stringify(said), eventTimeMs: logTimeMs, rest };
    }
    case 'link': {
      const { v, id: messageId, keys, atMs, ...more } = envelope;
      const properties = JSON.stringify({ keys, atMs });
      const eventTimeMs = timeOr(Math.min(atMs ?? logTimeMs, logTimeMs + FUTURE_MAX_MS), logTimeMs);
      return { ...NOTHING, v, messageId, properties, eventTimeMs, rest: JSON.stringify(more) };
    }
    case 'command': {
      const { v, command, id: messageId, replyTo: _, ...more } = envelope;
      const eventTimeMs = timeOr(Date.parse(envelope.at), logTimeMs);
      const properties = JSON.stringify(command);
      const name = command.kind;
      return { ...NOTHING, v, messageId, name, properties, eventTimeMs, rest: JSON.stringify(more) };
    }
  }
}

function envelopeOf(row: ArchiveRow): Fields {
  const { v, messageId, name, table } = row;
  const { timestampMs = row.eventTimeMs, event: extra, ...more } = parsed(row.rest);
  if (more.type === 'timer') return { v, ...more, timer: name, ...parsed(row.properties) };
  if (more.type === 'row') return { v, ...more, table, ...parsed(row.properties) };
  if (more.type === 'link') return { v, ...more, id: messageId, ...parsed(row.properties) };
  if (more.type === 'command') return { v, ...more, id: messageId, command: parsed(row.properties) };
  const event = {
    messageId,
    name,
    keys: parsed(row.keys),
    properties: parsed(row.properties),
    ...(timestampMs === null ? {} : { timestampMs }),
    ...(table === null ? {} : { table }),
    ...(extra as Fields | undefined),
  };
  return { v, type: 'event', event, ...more };
}

function timeOr(timeMs: number, otherwiseMs: number): number {
  return Number.isSafeInteger(timeMs) && Math.abs(timeMs) <= 8.64e15 ? timeMs : otherwiseMs;
}

function parsed(json: string | null): Fields {
  return json === null ? {} : (JSON.parse(json) as Fields);
}

function orNull(rest: Fields): string | null {
  return Object.values(rest).every((value) => value === undefined) ? null : JSON.stringify(rest);
}

/** As near to what was said as every reader takes it. */
function wellFormed(said: Said): Said {
  const plain = (text: string | null) => text?.toWellFormed() ?? null;
  const json = (text: string | null) =>
    text === null ? null : JSON.stringify(JSON.parse(text), (_, value) => mended(value));
  return {
    ...said,
    messageId: plain(said.messageId),
    name: plain(said.name),
    table: plain(said.table),
    keys: json(said.keys),
    properties: json(said.properties),
    rest: json(said.rest),
  };
}

function mended(value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed();
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name.toWellFormed(), part]));
}
