// Reads a log message. Anything that does not have the form of an envelope throws and becomes a dead letter.
import type { ActorMessage } from '../../shared/contract/actor.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { type CustomerEvent, LINK_KEYS_MAX, type LogEnvelope } from '../../shared/contract/event.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { type EventKeys, keysOf, linkedKeysOf } from '../identity/keys.ts';
import { type CommandInput, isCommandEnvelope } from './commands/parse-command.ts';
import type { EventInput } from './decide-event.ts';
import type { RowMessage } from './decide-row.ts';
import type { TimerMessage } from './expire.ts';
import { seenIdOf } from './seen.ts';

export type ParsedMessage =
  | { readonly kind: 'event'; readonly input: EventInput; readonly replyTo: string | undefined }
  | { readonly kind: 'timer'; readonly timer: TimerMessage }
  | { readonly kind: 'row'; readonly row: RowMessage }
  | { readonly kind: 'link'; readonly input: EventInput }
  | { readonly kind: 'command'; readonly input: CommandInput; readonly replyTo: string | undefined };

type LinkEnvelope = Extract<LogEnvelope, { type: 'link' }>;

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
  if (envelope.type === 'link') return { kind: 'link', input: linkInput(message, envelope, config) };
  const { event, replyTo, asks } = envelope;
  const keys = keysOf(config, event);
  return {
    kind: 'event',
    input: { ...inputOf({ message, config, said: event, keys, stamp: envelope.config }), asks },
    replyTo,
  };
}

interface InputParts {
  readonly message: ActorMessage;
  readonly config: SegmentConfig;
  readonly said: Omit<CustomerEvent, 'keys'>;
  readonly keys: EventKeys;
  readonly stamp: string | undefined;
  readonly isLink?: true;
}

function inputOf({ message, config, said, keys, stamp, isLink }: InputParts): EventInput {
  const { messageId, name, properties, table, timestampMs } = said;
  const latestMs = message.nowMs + FUTURE_MAX_MS;
  const saidMs = timestampMs ?? message.nowMs;
  const isAhead = saidMs > latestMs;
  const atMs = isAhead ? latestMs : saidMs;
  const usable: Record<string, string> = {};
  for (const { config: key, value } of keys.usable) usable[key.name] = value;
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
    message,
    event: applied,
    keys,
    linkKeys,
    acceptedUnder: acceptedUnder(stamp, config),
    idEntropy,
    isLink,
  };
}

/** A link has no name that a config could mean, and may have several values of one key. */
function linkInput(message: ActorMessage, envelope: LinkEnvelope, config: SegmentConfig): EventInput {
  const { id: messageId, atMs: timestampMs, config: stamp } = envelope;
  const said = { messageId, name: '', properties: {}, timestampMs, table: undefined };
  const keys = linkedKeysOf(config, envelope.keys);
  return inputOf({ message, config, said, keys, stamp, isLink: true });
}

/** Of another segment's config, whose events are read here again, it says nothing. */
function acceptedUnder(stamp: string | undefined, { segment }: SegmentConfig): number {
  if (stamp === undefined || !stamp.startsWith(`${segment}@`)) return 0;
  const version = Number(stamp.slice(segment.length + 1));
  return Number.isSafeInteger(version) ? version : 0;
}

function isEnvelope(raw: unknown): raw is LogEnvelope {
  if (!isObject(raw) || raw.v !== 1) return false;
  const { replyTo } = raw;
  if (replyTo !== undefined && !isReplySubject(replyTo)) return false;
  if (raw.config !== undefined && typeof raw.config !== 'string') return false;
  if (raw.asks !== undefined && typeof raw.asks !== 'string') return false;
  if (raw.type === 'event') return isObject(raw.event) && isEvent(raw.event);
  if (raw.type === 'command') return isCommandEnvelope(raw);
  if (raw.type === 'row') return isRow(raw);
  if (raw.type === 'link') return isLink(raw);
  if (raw.type !== 'timer') return false;
  return (
    typeof raw.profileId === 'string' && typeof raw.timer === 'string' && Number.isInteger(raw.generation)
  );
}

function isRow({ table, run, key, encodedValue }: Record<string, unknown>): boolean {
  const isToken = (text: unknown) => typeof text === 'string' && /^[\w=-]{1,200}$/.test(text);
  return isToken(table) && isToken(key) && isToken(encodedValue) && Number.isSafeInteger(run);
}

function isLink({ id, keys, atMs, by }: Record<string, unknown>): boolean {
  return (
    typeof id === 'string' &&
    typeof by === 'string' &&
    Array.isArray(keys) &&
    keys.length <= LINK_KEYS_MAX &&
    keys.every((key) => isObject(key) && typeof key.name === 'string' && typeof key.value === 'string') &&
    (atMs === undefined || isTime(atMs))
  );
}

function isTime(ms: unknown): boolean {
  return typeof ms === 'number' && Math.abs(ms) <= DATE_MAX_MS;
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
    (timestampMs === undefined || isTime(timestampMs))
  );
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
