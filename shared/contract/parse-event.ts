// Parses one event as the API takes it. What is accepted here is applied or set aside later, never lost.
import { didYouMean } from '../kernel/edit-distance.ts';
import type { ErrorCode } from '../kernel/errors.ts';
import { type CustomerEvent, EVENT_LIMITS } from './event.ts';

export type ParsedEvent =
  | { readonly kind: 'ok'; readonly event: CustomerEvent }
  | { readonly kind: 'rejected'; readonly code: ErrorCode; readonly message: string };

const FIELDS = ['messageId', 'name', 'keys', 'properties', 'timestamp', 'table'];
const TEXT_MAX = 200;
const KEY_VALUE_MAX = EVENT_LIMITS.keyValueChars;
/** Years 1970 to 2200. */
const TIMESTAMP_MAX_MS = 7_258_118_400_000;
const ISO_8601 =
  /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?)(Z|[+-]\d{2}(?::?\d{2})?)?)?$/i;

class Rejected extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * Reads an event. `newId` gives the message id of an event that brings none; `keyless`: an event without any key is taken as
 * well, which belongs to nobody.
 */
export function parseEvent(
  raw: unknown,
  keyNames: readonly string[],
  newId: () => string,
  keyless = false,
): ParsedEvent {
  try {
    return { kind: 'ok', event: read(raw, keyNames, newId, keyless) };
  } catch (error) {
    if (!(error instanceof Rejected)) throw error;
    return { kind: 'rejected', code: error.code, message: error.message };
  }
}

function read(
  raw: unknown,
  keyNames: readonly string[],
  newId: () => string,
  keyless: boolean,
): CustomerEvent {
  if (!isObject(raw)) throw new Rejected('INVALID_EVENT', `an event is an object, not ${typeName(raw)}`);
  for (const field of Object.keys(raw)) {
    if (FIELDS.includes(field)) continue;
    const meant = didYouMean(field, FIELDS);
    const hint = meant ? `; did you mean '${meant}'?` : `; known: ${FIELDS.join(', ')}`;
    throw new Rejected('INVALID_EVENT', `an event has no field '${field.slice(0, 64)}'${hint}`);
  }
  const name = requireText(raw.name, 'name');
  const keys = readKeys(raw.keys, keyNames, keyless);
  const properties = raw.properties ?? {};
  if (!isObject(properties))
    throw new Rejected('INVALID_EVENT', `'properties' is an object, not ${typeName(properties)}`);
  const table = raw.table === undefined || raw.table === null ? undefined : requireText(raw.table, 'table');
  const timestampMs = readTimestamp(raw.timestamp);
  const given = raw.messageId;
  const messageId = given === undefined || given === null ? newId() : requireText(given, 'messageId');
  return { messageId, name, keys, properties, timestampMs, table };
}

function readKeys(raw: unknown, keyNames: readonly string[], keyless: boolean): Record<string, string> {
  if (raw === undefined || raw === null) throw new Rejected('NO_KEYS', noKeys(keyNames));
  if (!isObject(raw)) throw new Rejected('INVALID_EVENT', `'keys' is an object, not ${typeName(raw)}`);
  const keys: Record<string, string> = {};
  for (const [name, value] of Object.entries(raw)) {
    if (!keyNames.includes(name)) {
      const meant = didYouMean(name, keyNames);
      const hint = meant ? `did you mean '${meant}'?` : `known: ${keyNames.join(', ')}`;
      throw new Rejected('UNKNOWN_KEY_NAME', `there is no stitching key '${name.slice(0, 64)}'; ${hint}`);
    }
    if (value === undefined || value === null) continue;
    if (typeof value !== 'string' && typeof value !== 'number') {
      throw new Rejected('INVALID_EVENT', `'keys.${name}' is text or a number, not ${typeName(value)}`);
    }
    if (typeof value === 'number' && Math.abs(value) > Number.MAX_SAFE_INTEGER) {
      throw new Rejected(
        'INVALID_KEY_VALUE',
        `'keys.${name}' is a number too large to be exact; send it as text`,
      );
    }
    const text = String(value);
    if (text.length > KEY_VALUE_MAX) {
      throw new Rejected('INVALID_KEY_VALUE', `'keys.${name}' is longer than ${KEY_VALUE_MAX} characters`);
    }
    keys[name] = text;
  }
  if (Object.keys(keys).length === 0 && !keyless) throw new Rejected('NO_KEYS', noKeys(keyNames));
  return keys;
}

function noKeys(keyNames: readonly string[]): string {
  return `'keys' must hold at least one of ${keyNames.join(', ')}`;
}

function readTimestamp(raw: unknown): number | undefined {
  if (raw === undefined || raw === null) return undefined;
  const ms = typeof raw === 'number' ? raw : isoMs(raw);
  if (ms === undefined || !Number.isFinite(ms) || ms < 0 || ms > TIMESTAMP_MAX_MS) {
    const shown = String(JSON.stringify(raw)).slice(0, 64);
    throw new Rejected('INVALID_EVENT', `'timestamp' is ISO 8601 or epoch milliseconds, not ${shown}`);
  }
  return Math.floor(ms);
}

/** Date and time by ISO 8601; without an offset it is UTC, not the server's own zone. */
export function isoMs(raw: unknown): number | undefined {
  const match = typeof raw === 'string' ? ISO_8601.exec(raw) : null;
  if (!match) return undefined;
  const [, date, time, offset] = match;
  // Date.parse takes the 30th of February for the 2nd of March.
  const day = new Date(`${date}T00:00:00Z`);
  if (Number.isNaN(day.getTime()) || !day.toISOString().startsWith(date!)) return undefined;
  if (time === undefined) return Date.parse(date!);
  const zone =
    offset === undefined ? 'Z' : offset.replace(/^([+-]\d{2}):?(\d{2})?$/, (_, h, m) => `${h}:${m ?? '00'}`);
  return Date.parse(`${date}T${time.replace(',', '.')}${zone}`);
}

function requireText(value: unknown, field: string): string {
  if (typeof value !== 'string') {
    const what = value === undefined ? 'is missing' : `is text, not ${typeName(value)}`;
    throw new Rejected('INVALID_EVENT', `'${field}' ${what}`);
  }
  if (value.length === 0 || value.length > TEXT_MAX) {
    throw new Rejected('INVALID_EVENT', `'${field}' has 1 to ${TEXT_MAX} characters, not ${value.length}`);
  }
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}
