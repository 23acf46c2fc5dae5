// From body bytes to documents, one an event, by whatever form the client chose: one event, an array, { events: [...] },
// or a document a line. A broken line is a broken event; a broken document is a broken request.
import { isUtf8 } from 'node:buffer';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { BodyForm } from '../http/media-type.ts';
import { locateJsonError } from './locate-json-error.ts';

export type EventItem =
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'broken'; readonly message: string };

interface Line {
  readonly number: number;
  readonly bytes: Buffer;
}

const NEWLINE = 0x0a;

/** The events of a body, at least one. Throws BAD_REQUEST with the position, or TOO_MANY_EVENTS. */
export function splitBody(body: Buffer, form: BodyForm, eventsMax: number): readonly EventItem[] {
  const bytes = withoutByteOrderMark(body);
  const items = form === 'lines' ? readLines(linesOf(bytes), eventsMax) : readDocument(bytes, eventsMax);
  if (items.length === 0) throw new StitchworkError('BAD_REQUEST', 'The request holds no event.');
  return items;
}

function readDocument(bytes: Buffer, eventsMax: number): readonly EventItem[] {
  const parsed = tryParse(bytes);
  if (parsed.kind === 'value') return eventsOf(parsed.value, eventsMax);
  const lines = linesOf(bytes);
  if (lines.length === 0) return [];
  if (lines.length > 1 && isLineForm(lines)) return readLines(lines, eventsMax);
  throw unreadable(bytes);
}

/**
 * Whether a body that is not one document is meant as one document a line: the first line is an object, or all lines
 * look like one and some are. Anything less sure is a broken document, of which nothing may be accepted.
 */
function isLineForm(lines: readonly Line[]): boolean {
  if (isObject(tryParse(lines[0]!.bytes))) return true;
  const trimmed = lines.map(({ bytes }) => bytes.toString('latin1').trim());
  if (!trimmed.every((line) => line.startsWith('{') && line.endsWith('}'))) return false;
  return lines.some(({ bytes }) => isObject(tryParse(bytes)));
}

function isObject(item: EventItem): boolean {
  return (
    item.kind === 'value' &&
    typeof item.value === 'object' &&
    item.value !== null &&
    !Array.isArray(item.value)
  );
}

function readLines(lines: readonly Line[], eventsMax: number): readonly EventItem[] {
  assertCount(lines.length, eventsMax);
  return lines.map(({ number, bytes }) => {
    const item = tryParse(bytes);
    return item.kind === 'value'
      ? item
      : { kind: 'broken', message: `Line ${number} is not JSON: ${item.message}` };
  });
}

function eventsOf(document: unknown, eventsMax: number): readonly EventItem[] {
  const list = listOf(document);
  assertCount(list.length, eventsMax);
  return list.map((value) => ({ kind: 'value', value }));
}

function listOf(document: unknown): readonly unknown[] {
  if (Array.isArray(document)) return document;
  if (typeof document !== 'object' || document === null)
    throw new StitchworkError(
      'BAD_REQUEST',
      'The body must be an event, an array of events or { "events": [...] }.',
    );
  if (!('events' in document) || 'name' in document) return [document];
  if (Array.isArray(document.events)) return document.events;
  throw new StitchworkError('BAD_REQUEST', '"events" must be an array of events.');
}

function assertCount(count: number, eventsMax: number): void {
  if (count > eventsMax)
    throw new StitchworkError(
      'TOO_MANY_EVENTS',
      `The request holds ${count} events; at most ${eventsMax} are taken.`,
    );
}

function tryParse(bytes: Buffer): EventItem {
  if (!isUtf8(bytes)) return { kind: 'broken', message: `not UTF-8 at byte ${invalidUtf8At(bytes)}` };
  const text = bytes.toString('utf8');
  try {
    return { kind: 'value', value: JSON.parse(text) as unknown };
  } catch {
    const fault = locateJsonError(text);
    return { kind: 'broken', message: `at column ${fault?.column ?? 1}` };
  }
}

function unreadable(bytes: Buffer): StitchworkError {
  if (!isUtf8(bytes)) {
    const byte = invalidUtf8At(bytes);
    return new StitchworkError('BAD_REQUEST', `The body is not UTF-8 at byte ${byte}.`, {
      details: [{ byte }],
    });
  }
  const fault = locateJsonError(bytes.toString('utf8')) ?? { offset: 0, line: 1, column: 1 };
  const where = `line ${fault.line}, column ${fault.column}`;
  return new StitchworkError('BAD_REQUEST', `The body is not JSON at ${where}.`, { details: [fault] });
}

/** Position of the first byte that cannot be UTF-8, by halving. */
function invalidUtf8At(bytes: Buffer): number {
  let sound = 0;
  let broken = bytes.length;
  while (broken - sound > 1) {
    const middle = (sound + broken) >> 1;
    if (startsUtf8(bytes.subarray(0, middle))) sound = middle;
    else broken = middle;
  }
  return sound;
}

/** Whether the bytes are UTF-8, or would be if a last character were finished. */
function startsUtf8(bytes: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}

/** Lines that hold more than white space; numbers count all lines, from 1. */
function linesOf(bytes: Buffer): readonly Line[] {
  const lines: Line[] = [];
  let start = 0;
  for (let number = 1; start < bytes.length; number++) {
    const newline = bytes.indexOf(NEWLINE, start);
    const end = newline === -1 ? bytes.length : newline;
    const line = bytes.subarray(start, end);
    if (!line.every(isSpace)) lines.push({ number, bytes: line });
    start = end + 1;
  }
  return lines;
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d || byte === NEWLINE;
}

function withoutByteOrderMark(bytes: Buffer): Buffer {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes;
}
