// What comes from the log: envelopes are read, anything else is a dead letter that keeps all of it.
import { describe, expect, it } from 'vitest';
import { createProfileActor } from '../../../actors/profile/actor.ts';
import type { ActorMessage } from '../../../shared/contract/actor.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import type { DeadLetter } from '../../../shared/contract/outbox.ts';
import { configOf, eventOf, T0 } from './harness.ts';

const actor = createProfileActor(configOf(), { shards: 8, configVersion: 1 });

function message(payload: Uint8Array | string): ActorMessage {
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload;
  return { shard: 3, source: 'ingest', sequence: 42, nowMs: T0, payload: bytes, logId: 'log' };
}

const event = eventOf({ id: 'm1' });
const envelope = { v: 1, type: 'event', event };
const timer = { v: 1, type: 'timer', profileId: 'p', timer: 'expire', generation: 1, dueMs: 5 };

describe('parse', () => {
  it.each([
    ['an event', envelope],
    ['an event with more fields', { ...envelope, later: 1, event: { ...event, extra: true } }],
    ['a timer', timer],
  ])('takes %s', (_, raw) => {
    expect(() => actor.parse(message(JSON.stringify(raw)))).not.toThrow();
  });

  it('reads from the middle of a larger buffer', () => {
    const bytes = Buffer.from(`xx${JSON.stringify(envelope)}yy`);
    expect(() => actor.parse(message(bytes.subarray(2, -2)))).not.toThrow();
  });

  it.each<[string, unknown]>([
    ['an unknown version', { ...envelope, v: 2 }],
    ['an unknown type', { ...envelope, type: 'split' }],
    ['no event', { v: 1, type: 'event' }],
    ['an event without an id', { ...envelope, event: { ...event, messageId: undefined } }],
    ['a number as name', { ...envelope, event: { ...event, name: 5 } }],
    ['a key that is no text', { ...envelope, event: { ...event, keys: { email: 5 } } }],
    ['keys as a list', { ...envelope, event: { ...event, keys: [] } }],
    ['no properties', { ...envelope, event: { ...event, properties: undefined } }],
    ['a time as text', { ...envelope, event: { ...event, timestampMs: '5' } }],
    ['a time beyond all dates', { ...envelope, event: { ...event, timestampMs: -1e20 } }],
    ['a table that is no text', { ...envelope, event: { ...event, table: 5 } }],
    ['a timer without a generation', { ...timer, generation: undefined }],
    ['a list', []],
    ['null', null],
  ])('throws at %s', (_, raw) => {
    expect(() => actor.parse(message(JSON.stringify(raw)))).toThrow();
  });

  it.each(['', 'no json', '{"v":1', '\u0000'])('throws at the text %o', (text) => {
    expect(() => actor.parse(message(text))).toThrow();
  });

  it('throws at bytes that are no text', () => {
    expect(() => actor.parse(message(Uint8Array.of(0xff, 0xfe, 0x80)))).toThrow();
  });
});

describe('a command', () => {
  const fill = (attributes: object) => {
    const command = {
      kind: 'split_fill',
      splitId: 's',
      profileId: 'p',
      attributes,
      fired: {},
      observed: {},
      events: 1,
    };
    const at = new Date(T0).toISOString();
    return message(JSON.stringify({ v: 1, type: 'command', id: 's', by: 'ann', at, command }));
  };

  it.each(['toString', 'constructor', 'valueOf', 'hasOwnProperty', 'counters', ''])(
    'that brings an attribute of the kind %j is none',
    (kind) => {
      expect(() => actor.parse(fill({ views: { kind } }))).toThrow();
    },
  );

  it('that brings a counter is one', () => {
    expect(() => actor.parse(fill({ views: { kind: 'counter', total: 1, windows: {} } }))).not.toThrow();
  });
});

describe('a dead letter', () => {
  const letterOf = (payload: Uint8Array | string) => {
    const entry = actor.deadLetter(message(payload), { code: 'POISON_MESSAGE', message: 'why' });
    return { key: entry.key, body: JSON.parse(Buffer.from(entry.value).toString('utf8')) as DeadLetter };
  };

  it('holds the message as it stood, where it stood, and the reason', () => {
    const { key, body } = letterOf(JSON.stringify(envelope));
    expect(key).toBe(recordKeys.dead(3, 42));
    expect(body).toEqual({
      id: '3.42',
      segment: 'shop',
      shard: 3,
      sequence: 42,
      code: 'POISON_MESSAGE',
      message: 'why',
      envelope: JSON.parse(JSON.stringify(envelope)),
      at: new Date(T0).toISOString(),
    });
  });

  it('holds bytes that are no envelope as base64', () => {
    const bytes = Uint8Array.of(0xff, 0, 1);
    const { body } = letterOf(bytes);
    expect(body.envelope).toBeUndefined();
    expect(Buffer.from(body.payloadBase64!, 'base64')).toEqual(Buffer.from(bytes));
  });
});
