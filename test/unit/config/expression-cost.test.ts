// What expressions can do and may cost: the examples of the documentation hold; the worst that a config may ask for, over the
// largest event, ends soon; nothing that can be written throws.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileExpression, type ExpressionContext } from '../../../shared/contract/expression.ts';

const README = readFileSync(new URL('../../../shared/contract/cel/README.md', import.meta.url), 'utf8');

function evaluate(source: string, event: object = {}, bytes = 0) {
  const compiled = compileExpression(source);
  if (compiled.kind !== 'ok') throw new Error(`${source}: ${compiled.reason}`);
  const context: ExpressionContext = {
    event: event as Readonly<Record<string, unknown>>,
    profile: {},
    keys: {},
    keys_all: {},
    now: new Date(0),
    bytes,
  };
  return compiled.expression.evaluate(context);
}

const problemOf = (source: string) => {
  const compiled = compileExpression(source);
  return compiled.kind === 'invalid' ? compiled.reason : undefined;
};

describe('the documented functions', () => {
  const examples = [...README.matchAll(/^\| `.*\| `(.+)` \|$/gm)].map(([, example]) => example!);

  it('have examples', () => {
    expect(examples.length).toBeGreaterThan(12);
  });

  it.each(examples)('%s', (example) => {
    expect(evaluate(example)).toEqual({ kind: 'value', value: true });
  });
});

describe('patterns', () => {
  it('are found anywhere in the text, in linear time', () => {
    expect(evaluate('event.name.matches("(a+)+b")', { name: `x${'a'.repeat(16_000)}` })).toEqual({
      kind: 'value',
      value: false,
    });
    expect(evaluate('event.name.matches("err(or)?")', { name: 'an error' })).toMatchObject({ value: true });
    expect(evaluate('matches(event.name, "^an")', { name: 'an error' })).toMatchObject({ value: true });
  });

  it.each([
    ['event.name.matches("(")', 'the pattern is not a linear-time regular expression'],
    ['event.name.matches("a(?=b)")', 'the pattern is not a linear-time regular expression'],
    ['event.name.matches("((a{1,99}){1,9})")', 'too costly'],
    ['event.name.matches(event.pattern)', 'takes its pattern as a text that stands in the expression'],
  ])('%s is refused', (source, reason) => {
    expect(problemOf(source)).toContain(reason);
  });

  it('says so when the text is too long', () => {
    expect(evaluate('event.name.matches("a")', { name: 'x'.repeat(17_000) })).toMatchObject({
      kind: 'failed',
      reason: expect.stringContaining('16384'),
    });
  });
});

describe('what is wrong', () => {
  it.each([
    ['event.name.startWith("a")', 'did you mean startsWith()?'],
    ['"a".lower()', 'lower'],
    ['[1].summ()', 'did you mean sum()?'],
    ['event.name.matches(1)', 'matches'],
  ])('%s is told in the words of whoever wrote it', (source, words) => {
    const reason = problemOf(source)!;
    expect(reason).toContain(words);
    expect(reason).not.toMatch(/_re2|_bounded|_days/);
  });

  it.each([
    ['[].first()', 'empty list'],
    ['["a", 1].sum()', 'numbers'],
    ['duration("1y") > duration("1d")', 'not a duration'],
    ['now.date("Mars/Base") == ""', 'time zone'],
  ])('%s fails with a reason', (source, words) => {
    expect(evaluate(source)).toMatchObject({ kind: 'failed', reason: expect.stringContaining(words) });
  });
});

describe('the worst', () => {
  const many = { properties: { list: Array.from({ length: 200_000 }, (_, i) => i) } };
  const long = {
    name: 'x'.repeat(1_000_000),
    properties: { list: Array.from({ length: 8_000 }, () => 'y') },
  };
  const some = { properties: { list: Array.from({ length: 4_000 }, (_, i) => i) } };
  const nested =
    'event.properties.list.exists(a, event.properties.list.exists(b, event.properties.list.all(c, a + b == c)))';
  const both = Array.from({ length: 90 }, () => 'event.name.contains("z")').join(' || ');
  const grown = Array.from({ length: 90 }, () => 'event.properties.list').join(' + ');
  const costly = Array.from({ length: 60 }, (_, i) => `event.name.matches("(a{1,30}b?){1,9}c${i}")`).join(
    ' || ',
  );
  const BOUND_MS = 5_000;

  it.each([
    ['nested loops over a long list', nested, many],
    ['nested loops over a middling one', nested, some],
    ['a loop in which all holds', 'event.properties.list.all(a, event.properties.list.all(b, a == a))', many],
    ['many looks through a long text', both, long],
    ['many looks through a long text, in a loop', `event.properties.list.exists(a, ${both})`, long],
    ['a list that grows', `size(${grown}) == 1`, many],
    ['time zones in a loop', 'event.properties.list.exists(a, now.getHours("Europe/Berlin") == 25)', some],
    ['patterns in a loop', 'event.properties.list.exists(a, string(a).matches("(x+x+)+y"))', some],
    ['the costliest patterns on long texts', costly, { name: 'a'.repeat(16_000) }],
  ])('%s ends soon', (what, source, event) => {
    const bytes = JSON.stringify(event).length;
    evaluate(source, event, bytes);
    const begin = performance.now();
    const result = evaluate(source, event, bytes);
    const tookMs = performance.now() - begin;
    console.log(`${what}: ${tookMs.toFixed(1)} ms, ${result.kind}`);
    expect(tookMs).toBeLessThan(BOUND_MS);
  });

  it('a usual condition over a usual event is far from the bound', () => {
    const event = { properties: { items: Array.from({ length: 200 }, (_, i) => ({ price: i })) } };
    const source = 'event.properties.items.filter(x, x.price > 10.0).map(x, x.price).sum() > 100.0';
    expect(evaluate(source, event, JSON.stringify(event).length)).toEqual({ kind: 'value', value: true });
  });
});

describe('what an evaluation costs', () => {
  const nested =
    'event.properties.a.exists(x, event.properties.a.exists(y, now.getHours(event.properties.zone) > 30))';
  const a = Array.from({ length: 60 }, () => 1);

  it('does not depend on evaluations before it, also ones that ended early', () => {
    const compiled = compileExpression(nested);
    if (compiled.kind !== 'ok') throw new Error(compiled.reason);
    const on = (properties: object) =>
      compiled.expression.evaluate({
        event: { properties },
        profile: {},
        keys: {},
        keys_all: {},
        now: new Date(0),
      });
    const costly = { a, zone: 'UTC' };
    const fresh = evaluate(nested, { properties: costly });
    expect(fresh).toMatchObject({ kind: 'failed', reason: expect.stringContaining('costs too much') });
    // Every part is evaluated for the first time where a field is missing.
    for (const missing of [{}, { a }, { a: [1] }]) expect(on(missing).kind).toBe('missing');
    expect(on(costly)).toEqual(fresh);
  });
});

describe('any expression', () => {
  const leaf = fc.constantFrom(
    'event.name',
    'event.properties.n',
    'event.properties.list',
    'event.properties.none',
    'event.properties',
    'now',
    '1',
    '2.5',
    '"a"',
    'true',
    'null',
    '[]',
    '[1, 2]',
    '{"k": 1}',
  );
  const { expression } = fc.letrec<{ expression: string }>((tie) => ({
    expression: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc
        .tuple(
          tie('expression'),
          fc.constantFrom('+', '-', '*', '/', '%', '==', '<', '&&', '||', 'in'),
          tie('expression'),
        )
        .map(([a, operator, b]) => `(${a} ${operator} ${b})`),
      fc
        .tuple(
          tie('expression'),
          fc.constantFrom(
            'size',
            'sum',
            'min',
            'first',
            'distinct',
            'sort',
            'trim',
            'date',
            'flatten',
            'lowerAscii',
          ),
        )
        .map(([a, name]) => `${a}.${name}()`),
      fc
        .tuple(tie('expression'), fc.constantFrom('exists', 'all', 'filter', 'map'), tie('expression'))
        .map(([a, name, b]) => `${a}.${name}(x, ${b})`),
      fc
        .tuple(tie('expression'), tie('expression'), tie('expression'))
        .map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
    ),
  }));

  it('is refused, or gives a value of JSON, a miss or a reason, and the same again', () => {
    const event = { name: 'Viewed', properties: { n: 3, list: [1, 'a', [2], null, { k: 1 }] } };
    fc.assert(
      fc.property(expression, (source) => {
        if (compileExpression(source).kind === 'invalid') return;
        const result = evaluate(source, event);
        expect(['value', 'missing', 'failed']).toContain(result.kind);
        if (result.kind === 'value')
          expect(JSON.parse(JSON.stringify(result.value ?? null))).toEqual(result.value ?? null);
        expect(evaluate(source, event)).toEqual(result);
      }),
      { numRuns: 2_000 },
    );
  });
});
