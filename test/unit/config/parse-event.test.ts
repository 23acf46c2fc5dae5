// One event as the API takes it: what is taken, and what is refused with which code.
import { describe, expect, it } from 'vitest';
import { parseEvent } from '../../../shared/contract/parse-event.ts';

const KEY_NAMES = ['customer_id', 'email', 'device'];
const SOUND = { messageId: 'm1', name: 'Viewed', keys: { email: 'ann@x' } };

function parse(raw: unknown) {
  return parseEvent(raw, KEY_NAMES, () => 'made-id');
}

function eventOf(extra: Record<string, unknown>) {
  const parsed = parse({ ...SOUND, ...extra });
  if (parsed.kind === 'rejected') throw new Error(`${parsed.code}: ${parsed.message}`);
  return parsed.event;
}

describe('a sound event', () => {
  it('is taken as it is', () => {
    const properties = { a: 1, deep: { b: [null] } };
    expect(eventOf({ properties, timestamp: 1_700_000_000_000, table: 'web' })).toEqual({
      messageId: 'm1',
      name: 'Viewed',
      keys: { email: 'ann@x' },
      properties,
      timestampMs: 1_700_000_000_000,
      table: 'web',
    });
  });

  it('needs no more than a name and a key', () => {
    expect(parse({ name: 'x', keys: { device: 'd' } })).toEqual({
      kind: 'ok',
      event: {
        messageId: 'made-id',
        name: 'x',
        keys: { device: 'd' },
        properties: {},
        timestampMs: undefined,
        table: undefined,
      },
    });
  });

  it('takes null for what is not there', () => {
    expect(eventOf({ messageId: null, properties: null, timestamp: null, table: null })).toMatchObject({
      messageId: 'made-id',
      properties: {},
      timestampMs: undefined,
      table: undefined,
    });
    expect(eventOf({ keys: { email: null, device: 'd' } }).keys).toEqual({ device: 'd' });
  });

  it.each<[unknown, string]>([
    [7, '7'],
    [0, '0'],
    [-1, '-1'],
    [1.5, '1.5'],
    [9_007_199_254_740_991, '9007199254740991'],
    ['', ''],
    [' a ', ' a '],
  ])('takes the key value %o as %o', (value, text) => {
    expect(eventOf({ keys: { customer_id: value } }).keys).toEqual({ customer_id: text });
  });

  it.each<[unknown, string]>([
    ['2026-01-01T10:00:00Z', '2026-01-01T10:00:00.000Z'],
    ['2026-01-01T10:00:00.123456Z', '2026-01-01T10:00:00.123Z'],
    ['2026-01-01T10:00:00+02:00', '2026-01-01T08:00:00.000Z'],
    ['2026-01-01T10:00:00+0200', '2026-01-01T08:00:00.000Z'],
    ['2026-01-01T10:00:00-05', '2026-01-01T15:00:00.000Z'],
    ['2026-01-01 10:00', '2026-01-01T10:00:00.000Z'],
    ['2026-01-01t10:00:00z', '2026-01-01T10:00:00.000Z'],
    ['2026-01-01', '2026-01-01T00:00:00.000Z'],
    [0, '1970-01-01T00:00:00.000Z'],
    [1_767_261_600_000.9, '2026-01-01T10:00:00.000Z'],
  ])('takes the timestamp %o as %s, wherever the server stands', (timestamp, iso) => {
    expect(new Date(eventOf({ timestamp }).timestampMs!).toISOString()).toBe(iso);
  });

  it('takes ids and names up to 200 characters', () => {
    const text = 'x'.repeat(200);
    expect(eventOf({ messageId: text, name: text })).toMatchObject({ messageId: text, name: text });
  });
});

describe('refused', () => {
  it.each<[string, unknown, string]>([
    ['null', null, 'INVALID_EVENT'],
    ['a list', [], 'INVALID_EVENT'],
    ['a text', 'x', 'INVALID_EVENT'],
    ['no name', { keys: { email: 'a' } }, 'INVALID_EVENT'],
    ['an empty name', { ...SOUND, name: '' }, 'INVALID_EVENT'],
    ['a long name', { ...SOUND, name: 'x'.repeat(201) }, 'INVALID_EVENT'],
    ['a number as name', { ...SOUND, name: 5 }, 'INVALID_EVENT'],
    ['an empty messageId', { ...SOUND, messageId: '' }, 'INVALID_EVENT'],
    ['a long messageId', { ...SOUND, messageId: 'x'.repeat(201) }, 'INVALID_EVENT'],
    ['a number as messageId', { ...SOUND, messageId: 5 }, 'INVALID_EVENT'],
    ['no keys', { name: 'x' }, 'NO_KEYS'],
    ['empty keys', { ...SOUND, keys: {} }, 'NO_KEYS'],
    ['keys without values', { ...SOUND, keys: { email: null } }, 'NO_KEYS'],
    ['keys as a list', { ...SOUND, keys: ['a'] }, 'INVALID_EVENT'],
    ['a list as key value', { ...SOUND, keys: { email: ['a'] } }, 'INVALID_EVENT'],
    ['true as key value', { ...SOUND, keys: { email: true } }, 'INVALID_EVENT'],
    ['a very long key value', { ...SOUND, keys: { email: 'x'.repeat(1025) } }, 'INVALID_KEY_VALUE'],
    ['an unknown key', { ...SOUND, keys: { mail: 'a' } }, 'UNKNOWN_KEY_NAME'],
    ['properties as a list', { ...SOUND, properties: [] }, 'INVALID_EVENT'],
    ['an unknown field', { ...SOUND, property: {} }, 'INVALID_EVENT'],
    ['a timestamp in words', { ...SOUND, timestamp: 'yesterday' }, 'INVALID_EVENT'],
    ['a timestamp of another calendar', { ...SOUND, timestamp: '01/02/2026' }, 'INVALID_EVENT'],
    ['a month that there is not', { ...SOUND, timestamp: '2026-13-01' }, 'INVALID_EVENT'],
    ['a day that there is not', { ...SOUND, timestamp: '2026-02-30T00:00:00Z' }, 'INVALID_EVENT'],
    ['an hour that there is not', { ...SOUND, timestamp: '2026-01-01T25:00:00Z' }, 'INVALID_EVENT'],
    ['a negative timestamp', { ...SOUND, timestamp: -1 }, 'INVALID_EVENT'],
    ['a timestamp in microseconds', { ...SOUND, timestamp: 1_700_000_000_000_000 }, 'INVALID_EVENT'],
    ['a timestamp as true', { ...SOUND, timestamp: true }, 'INVALID_EVENT'],
    ['a number as table', { ...SOUND, table: 5 }, 'INVALID_EVENT'],
  ])('%s', (_, raw, code) => {
    expect(parse(raw)).toMatchObject({ kind: 'rejected', code });
  });

  it('with what was meant', () => {
    expect(parse({ ...SOUND, keys: { emal: 'a' } })).toMatchObject({
      message: expect.stringContaining("'email'"),
    });
    expect(parse({ ...SOUND, propertys: {} })).toMatchObject({
      message: expect.stringContaining("'properties'"),
    });
  });

  it('numbers that JSON has rounded already: two customers would become one', () => {
    const one = JSON.parse('{ "customer_id": 12345678901234567890 }');
    const other = JSON.parse('{ "customer_id": 12345678901234567891 }');
    expect(one).toEqual(other);
    expect(parse({ ...SOUND, keys: one })).toMatchObject({ kind: 'rejected', code: 'INVALID_KEY_VALUE' });
  });

  it('names of what objects inherit are no keys', () => {
    expect(parse({ ...SOUND, keys: { constructor: 'a' } })).toMatchObject({ code: 'UNKNOWN_KEY_NAME' });
  });
});
