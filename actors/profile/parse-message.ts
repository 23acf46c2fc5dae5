// Reads a log message. Anything that does not have the form of an envelope throws and becomes a dead letter.
import type { ActorMessage } from '../../shared/contract/actor.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { CustomerEvent, LogEnvelope } from '../../shared/contract/event.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { keysOf } from '../identity/keys.ts';
import { type CommandInput, isCommandEnvelope } from './commands/parse-command.ts';
import type { EventInput } from './decide-event.ts';
import type { RowMessage } from './decide-row.ts';
import type { TimerMessage } from './expire.ts';
import { seenIdOf } from './seen.ts';

export type ParsedMessage =
  | { readonly kind: 'event'; readonly input: EventInput; readonly replyTo: string | undefined }
  | { readonly kind: 'timer'; readonly timer: TimerMessage }
  | { readonly kind: 'row'; readonly row: RowMessage }
  | { readonly kind: 'command'; readonly input: CommandInput; readonly replyTo: string | undefined };

type EventEnvelope = Extract<LogEnvelope, { type: 'event' }>;

/** A sender's clock may be ahead of the log's by this much; what is further ahead counts as that. */
const FUTURE_MAX_MS = 5 * 60_000;

/** Beyond this there are no dates in JavaScript (ECMA-262, time values). */
const DATE_MAX_MS = 8.64e15;

/** The envelope, or undefined when the payload is not one. */
export function readEnvelope(payload: Uint8Array): LogEnvelope | undefined {
  try {
    const raw: unknown = JSON.parse(
      Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString('utf8'),
    );
    return isEnvelope(raw) ? raw : undefined;
  } catch {
    // Not JSON: not an envelope.
    return undefined;
  }
}

export function parseMessage(message: ActorMessage, config: SegmentConfig): ParsedMessage {
  const envelope = readEnvelope(message.payload);
  if (!envelope) throw new StitchworkError('POISON_MESSAGE', 'the payload is not a known envelope');
  if (envelope.type === 'timer') return { kind: 'timer', timer: envelope };
  if (envelope.type === 'row') return { kind: 'row', row: envelope };
  if (envelope.type === 'command') {
    const { id, by, command, replyTo } = envelope;
    return { kind: 'command', input: { id, by, command, nowMs: message.nowMs }, replyTo };
  }
  const { event } = envelope;
  const latestMs = message.nowMs + FUTURE_MAX_MS;
  const saidMs = event.timestampMs ?? message.nowMs;
  const isAhead = saidMs > latestMs;
  const atMs = isAhead ? latestMs : saidMs;
  const keys = keysOf(config, event);
  const usable: Record<string, string> = {};
  for (const { config: key, value } of keys.usable) usable[key.name] = value;
  const { messageId, name, properties, table } = event;
  const root = { messageId, name, properties, table: table ?? '', keys: usable, timestamp: new Date(atMs) };
  const bytes = message.payload.length;
  const applied = {
    messageId,
    name,
    seenId: seenIdOf(messageId),
    root,
    atMs,
    isAhead,
    nowMs: message.nowMs,
    bytes,
    sequence: message.sequence,
  };
  const idEntropy = `${message.logId}:${message.sequence}`;
  const linkKeys = keys.usable.map(({ config: { name }, value }) => recordKeys.link(name, value));
  return {
    kind: 'event',
    input: {
      message,
      event: applied,
      keys,
      linkKeys,
      acceptedUnder: acceptedUnder(envelope, config),
      idEntropy,
    },
    replyTo: envelope.replyTo,
  };
}

/** Of another segment's config, whose events are read here again, it says nothing. */
function acceptedUnder({ config: stamp }: EventEnvelope, { segment }: SegmentConfig): number {
  if (stamp === undefined || !stamp.startsWith(`${segment}@`)) return 0;
  const version = Number(stamp.slice(segment.length + 1));
  return Number.isSafeInteger(version) ? version : 0;
}

function isEnvelope(raw: unknown): raw is LogEnvelope {
  if (!isObject(raw) || raw.v !== 1) return false;
  const { replyTo } = raw;
  if (replyTo !== undefined && !isReplySubject(replyTo)) return false;
  if (raw.config !== undefined && typeof raw.config !== 'string') return false;
  if (raw.type === 'event') return isObject(raw.event) && isEvent(raw.event);
  if (raw.type === 'command') return isCommandEnvelope(raw);
  if (raw.type === 'row') return isRow(raw);
  if (raw.type !== 'timer') return false;
  return (
    typeof raw.profileId === 'string' && typeof raw.timer === 'string' && Number.isInteger(raw.generation)
  );
}

function isRow({ table, run, key, encodedValue }: Record<string, unknown>): boolean {
  const isToken = (text: unknown) => typeof text === 'string' && /^[\w=-]{1,200}$/.test(text);
  return isToken(table) && isToken(key) && isToken(encodedValue) && Number.isSafeInteger(run);
}

/** An inbox, and nothing else: whoever writes to the log must not make workers publish elsewhere. */
function isReplySubject(subject: unknown): boolean {
  return typeof subject === 'string' && /^_INBOX\.[A-Za-z0-9_.-]{1,100}$/.test(subject);
}

function isEvent(event: Record<string, unknown>): event is Record<string, unknown> & CustomerEvent {
  const { messageId, name, keys, properties, timestampMs, table } = event;
  return (
    typeof messageId === 'string' &&
    typeof name === 'string' &&
    isObject(properties) &&
    isObject(keys) &&
    Object.values(keys).every((value) => typeof value === 'string') &&
    (table === undefined || typeof table === 'string') &&
    (timestampMs === undefined || (typeof timestampMs === 'number' && Math.abs(timestampMs) <= DATE_MAX_MS))
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
