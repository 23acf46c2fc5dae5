// CEL as conditions and values see it: numbers of JSON, missing fields, and that nothing is ever thrown.
import { describe, expect, it } from 'vitest';
import {
  compileExpression,
  type ExpressionContext,
  namedFields,
  requiredEventName,
} from '../../../shared/contract/expression.ts';

const CONTEXT: ExpressionContext = {
  event: {
    name: 'Order Completed',
    timestamp: new Date('2026-01-01T12:00:00Z'),
    properties: { qty: 3, price: 1.5, code: 'x', none: null, yes: true, tags: ['a', 'b'], deep: { n: 1 } },
  },
  profile: { spend: 1000, views: { '1h': 3 } },
  keys: { email: 'ann@x' },
  keys_all: { email: ['bob@x', 'ann@x'] },
  now: new Date('2026-01-02T12:00:00Z'),
};

function evaluate(source: string): unknown {
  const compiled = compileExpression(source);
  if (compiled.kind === 'invalid') return `invalid: ${compiled.reason}`;
  const result = compiled.expression.evaluate(CONTEXT);
  return result.kind === 'value' ? result.value : result.kind;
}

describe('values', () => {
  it.each<[string, unknown]>([
    ['event.name', 'Order Completed'],
    ['event.properties.qty', 3],
    ['1 + 1', 2],
    ['event.properties.tags', ['a', 'b']],
    ['event.properties.deep.n', 1],
    ['event.properties.none', null],
    ['event.timestamp', '2026-01-01T12:00:00.000Z'],
    ['keys.email', 'ann@x'],
    ['size(keys_all.email)', 2],
    ['profile.views["1h"]', 3],
  ])('%s', (source, value) => {
    expect(evaluate(source)).toEqual(value);
  });
});

describe('whole numbers of JSON and literals mix', () => {
  it.each<[string, unknown]>([
    ['event.properties.qty * event.properties.price', 4.5],
    ['event.properties.qty + 1', 4],
    ['10 - event.properties.qty', 7],
    ['event.properties.qty * 2 == 6', true],
    ['event.properties.qty / 2 == 1.5', true],
    ['event.properties.qty % 2 == 1', true],
    ['event.properties.qty == 3 && event.properties.qty >= 3 && event.properties.qty < 4', true],
    ['event.properties.qty in [1, 2, 3]', true],
    ['profile.spend >= 1000', true],
  ])('%s', (source, value) => {
    expect(evaluate(source)).toBe(value);
  });
});

describe('what is not there', () => {
  it.each([
    'event.properties.nope',
    'event.properties.nope > 1',
    'event.nope.deeper == "a"',
    'profile.nope >= 1',
    'keys.phone == "1"',
    'event.properties.tags[7] == "a"',
    'has(event.nope.deeper)',
    'event.properties.nope == 1 && true',
  ])('makes %s missing, not failed', (source) => {
    expect(evaluate(source)).toBe('missing');
  });

  it.each<[string, unknown]>([
    ['has(keys.email) && !has(keys.phone)', true],
    ['event.properties.nope == 1 || event.name == "Order Completed"', true],
    ['false && event.properties.nope == 1', false],
    ['event.properties.none == null', true],
  ])('can be asked for: %s', (source, value) => {
    expect(evaluate(source)).toBe(value);
  });

  it.each(['event.constructor', 'event.properties.__proto__', 'event.toString', 'profile.hasOwnProperty'])(
    'includes what objects inherit: %s',
    (source) => {
      expect(evaluate(source)).toBe('missing');
    },
  );
});

describe('what cannot be evaluated', () => {
  it.each([
    'event.properties.code > 1',
    'event.properties.none > 1',
    'int(event.properties.code) == 1',
    '1 / (size(event.properties.tags) - 2) == 1',
    'timestamp(event.properties.code) < now',
  ])('%s fails with a reason', (source) => {
    const compiled = compileExpression(source);
    expect(compiled.kind).toBe('ok');
    const result = compiled.kind === 'ok' && compiled.expression.evaluate(CONTEXT);
    expect(result).toMatchObject({ kind: 'failed', reason: expect.stringMatching(/./) });
  });

  it('comparing different types is false, not a failure', () => {
    expect(evaluate('event.properties.qty == "3"')).toBe(false);
  });
});

describe('time', () => {
  it.each([
    'now - event.timestamp == duration("24h")',
    'event.timestamp > timestamp("2025-12-31T00:00:00Z")',
    'event.timestamp.getHours() == 12',
  ])('%s', (source) => {
    expect(evaluate(source)).toBe(true);
  });
});

describe('results are plain JSON, or a failure', () => {
  it.each<[string, unknown]>([
    ['{"a": 1}', { a: 1 }],
    ['[{"a": 1}]', [{ a: 1 }]],
    ['{"a": {"b": [1, 2]}}', { a: { b: [1, 2] } }],
    ['{"at": event.timestamp}', { at: '2026-01-01T12:00:00.000Z' }],
  ])('%s', (source, value) => {
    expect(evaluate(source)).toEqual(value);
  });

  it.each([
    'now - event.timestamp',
    'b"abc"',
    '2u',
    'type(1)',
    'event.?properties',
    'event.properties.qty / 0',
  ])('%s can be stored and read again as it is, or fails', (source) => {
    const value = evaluate(source);
    expect(JSON.parse(JSON.stringify({ value }))).toEqual({ value });
  });
});

describe('compiling refuses', () => {
  it.each(['', 'event.', 'nope.x', 'event.name == ', '1 + "a"', 'unknown(1)', '"a" && true'])(
    '%o',
    (source) => {
      expect(compileExpression(source)).toMatchObject({
        kind: 'invalid',
        reason: expect.stringMatching(/./),
      });
    },
  );

  it('expressions without bounds', () => {
    expect(compileExpression(Array(2000).fill('true').join(' && ')).kind).toBe('invalid');
    expect(compileExpression(`${'('.repeat(200)}true${')'.repeat(200)}`).kind).toBe('invalid');
  });
});

describe('what an expression names', () => {
  it.each([
    String.raw`keys.x == """a\"""" || profile.views >= 3.0 || 'b' == """c"""`,
    String.raw`keys.x == '''a\'''' || profile.views >= 3.0 || "b" == '''c'''`,
    String.raw`keys.x == "it's" || profile.views >= 3.0 || "it's" == 'a'`,
    String.raw`keys.x == 'a\'b' || profile.views >= 3.0 || 'profile.spend' == r'\d'`,
  ])('is what stands outside of its texts: %s', (source) => {
    expect(compileExpression(source)).toMatchObject({ kind: 'ok' });
    expect(namedFields(source, 'profile')).toEqual(['views']);
  });

  it('a key event that may be of any name is never tied to one', () => {
    const source = String.raw`event.name == "x" && event.table == """a\"""" || event.table == """b"""`;
    expect(compileExpression(source)).toMatchObject({ kind: 'ok' });
    expect(requiredEventName(source)).toBeUndefined();
  });
});
