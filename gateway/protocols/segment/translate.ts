// Calls of Segment's tracking API as events and links. Pure: a call, the segment's mapping and the time of arrival in, what
// becomes of it out.
//
//   track -> event `event`, its properties           identify -> event `identify`, its properties the user's traits
//   page, screen -> events of that name              group -> event `group`, its properties the group's traits
//   alias -> a link of two ids                       all: `context` as a property, the kind of call as the table
import type { NamelessCall, SegmentProtocolConfig } from '../../../shared/contract/config/protocol-config.ts';
import type { LinkedKey } from '../../../shared/contract/event.ts';
import { didYouMean } from '../../../shared/kernel/edit-distance.ts';
import type { Translated } from '../translated.ts';
import { correctedMs } from './clock.ts';

type Fields = Readonly<Record<string, unknown>>;

export const CALLS = ['track', 'identify', 'page', 'screen', 'group', 'alias'] as const;
export type Call = (typeof CALLS)[number];

export interface Arrival {
  readonly config: SegmentProtocolConfig;
  readonly receivedMs: number;
  /** What the address says that it is; a call says so itself in a batch. */
  readonly call: Call | undefined;
}

/** The calls of a document: one call, or a batch. */
export function translateDocument(document: unknown, arrival: Arrival): readonly Translated[] {
  if (!isFields(document)) return [reject(`a call is an object, not ${typeName(document)}`)];
  if (document.batch === undefined) return [translateCall(document, arrival, document.sentAt)];
  if (!Array.isArray(document.batch))
    return [reject(`'batch' is a list of calls, not ${typeName(document.batch)}`)];
  const { sentAt, context } = document;
  return document.batch.map((call: unknown) => {
    if (!isFields(call)) return reject(`a call is an object, not ${typeName(call)}`);
    const whole = isFields(context) ? { ...call, context: { ...context, ...fieldsOf(call.context) } } : call;
    return translateCall(whole, { ...arrival, call: undefined }, call.sentAt ?? sentAt);
  });
}

function translateCall(call: Fields, arrival: Arrival, sentAt: unknown): Translated {
  const kind = call.type ?? arrival.call;
  if (!isCall(kind)) return reject(unknownKind(kind));
  const timestamp = call.timestamp ?? call.originalTimestamp;
  const atMs = correctedMs({ timestamp, sentAt: correctsFor(call) ? sentAt : undefined }, arrival.receivedMs);
  if (kind === 'alias') return translateAlias(call, arrival.config, atMs);
  const name = kind === 'track' ? call.event : arrival.config.names[kind];
  if (name === undefined || name === null || name === '')
    return reject("a track call needs 'event', the name of what happened");
  const properties = propertiesOf(kind, call);
  if (typeof properties === 'string') return reject(properties);
  const keys = keysOf(kind, call, arrival.config);
  if (Object.keys(keys).length === 0) return { kind: 'rejected', code: 'NO_KEYS', message: noKeys(call) };
  const value = { messageId: call.messageId, name, keys, properties, timestamp: atMs, table: kind };
  return { kind: 'event', value };
}

/** A call that has both times went through a collector before, which has corrected the first. */
function correctsFor({ timestamp, originalTimestamp }: Fields): boolean {
  return isAbsent(timestamp) || isAbsent(originalTimestamp);
}

/** Two ids of one person. What links an id to itself is sound and says nothing: some SDKs send it. */
function translateAlias(call: Fields, config: SegmentProtocolConfig, atMs: number | undefined): Translated {
  const { userId, previousId, anonymousId, messageId } = call;
  if (isAbsent(userId)) return reject("an alias call needs 'userId', the id that is used from now on");
  if (isAbsent(previousId)) return reject("an alias call needs 'previousId', the id that was used before");
  const said = [
    ['userId', config.userId, userId],
    ...(userId === previousId ? [] : [['previousId', config.previousId, previousId] as const]),
    ['anonymousId', config.anonymousId, anonymousId],
  ] as const;
  const keys: LinkedKey[] = [];
  for (const [field, name, value] of said) {
    if (name === null || isAbsent(value)) continue;
    if (!isId(value)) return reject(`'${field}' is text or a number, not ${typeName(value)}`);
    const key = { name, value: String(value) };
    if (!keys.some((other) => other.name === key.name && other.value === key.value)) keys.push(key);
  }
  return keys.length < 2 ? { kind: 'nothing' } : { kind: 'link', messageId, keys, atMs, by: 'alias' };
}

/** By stitching key; ids are judged by whoever takes the event, traits that cannot be ids are left out. */
function keysOf(kind: Call, call: Fields, config: SegmentProtocolConfig): Record<string, unknown> {
  const keys: Record<string, unknown> = {};
  const add = (name: string | null, value: unknown) => {
    if (name !== null && !isAbsent(value) && !Object.hasOwn(keys, name)) keys[name] = value;
  };
  add(config.userId, call.userId);
  add(config.anonymousId, call.anonymousId);
  const traits = { ...traitsInContext(call), ...(kind === 'identify' ? fieldsOf(call.traits) : {}) };
  for (const [trait, name] of Object.entries(config.traits))
    if (isId(traits[trait])) add(name, traits[trait]);
  return keys;
}

/** Text: what is wrong. */
function propertiesOf(kind: Exclude<Call, 'alias'>, call: Fields): Fields | string {
  const field = kind === 'identify' || kind === 'group' ? 'traits' : 'properties';
  const said = call[field] ?? {};
  if (!isFields(said)) return `'${field}' is an object, not ${typeName(said)}`;
  const { context, name, category, groupId } = call;
  const own = isAbsent(context) ? said : { context, ...said };
  switch (kind) {
    case 'track':
      return own;
    case 'identify':
      return { ...traitsInContext(call), ...own };
    case 'group':
      return isAbsent(groupId) ? own : { ...own, groupId };
    case 'page':
    case 'screen':
      return { ...present({ name, category }), ...own };
  }
}

function traitsInContext({ context }: Fields): Fields {
  return fieldsOf(fieldsOf(context).traits);
}

function noKeys({ userId, anonymousId }: Fields): string {
  return isAbsent(userId) && isAbsent(anonymousId)
    ? "the call has neither 'userId' nor 'anonymousId'"
    : "none of the call's ids is a stitching key of this segment: its config says so at protocols.segment";
}

function unknownKind(kind: unknown): string {
  if (isAbsent(kind)) return `a call in a batch needs 'type': ${CALLS.join(', ')}`;
  const meant = typeof kind === 'string' ? didYouMean(kind, CALLS) : undefined;
  const hint = meant ? `did you mean '${meant}'?` : `known: ${CALLS.join(', ')}`;
  return `there is no call '${String(kind).slice(0, 64)}'; ${hint}`;
}

function reject(message: string): Translated {
  return { kind: 'rejected', code: 'INVALID_EVENT', message };
}

function isCall(kind: unknown): kind is NamelessCall | 'track' | 'alias' {
  return CALLS.some((call) => call === kind);
}

function isId(value: unknown): value is string | number {
  return typeof value === 'number' || (typeof value === 'string' && value !== '');
}

/** SDKs send null and empty text for an id that they do not have. */
function isAbsent(value: unknown): value is undefined | null | '' {
  return value === undefined || value === null || value === '';
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : {};
}

function present(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => !isAbsent(value)));
}

function typeName(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'a list' : `a ${typeof value}`;
}
