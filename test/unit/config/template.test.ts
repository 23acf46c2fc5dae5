// Payload templates: types are kept where one expression stands alone, and nothing that is missing breaks a payload.
import { describe, expect, it } from 'vitest';
import type { ExpressionContext } from '../../../shared/contract/expression.ts';
import { compileTemplate } from '../../../shared/contract/template.ts';

const CONTEXT: ExpressionContext = {
  event: { properties: { items: ['a', 'b'], total: 12.5, paid: true } },
  profile: { spend: 7 },
  keys: { email: 'ann@x' },
  keys_all: {},
  now: new Date(0),
};

function render(source: unknown): unknown {
  const compiled = compileTemplate(source);
  if (compiled.kind === 'invalid') throw new Error(compiled.reason);
  return compiled.template.render(CONTEXT);
}

describe('rendering', () => {
  it.each<[unknown, unknown]>([
    ['{{ profile.spend }}', 7],
    ['{{profile.spend}}', 7],
    ['{{ event.properties.items }}', ['a', 'b']],
    ['{{ event.properties.paid }}', true],
    ['{{ event.properties.total * 2 }}', 25],
    ['Dear {{ keys.email }}!', 'Dear ann@x!'],
    ['{{ keys.email }}{{ profile.spend }}', 'ann@x7'],
    ['{{ keys.phone }}', null],
    ['Call {{ keys.phone }} now', 'Call  now'],
    ['items: {{ event.properties.items }}', 'items: ["a","b"]'],
    ['plain', 'plain'],
    ['', ''],
    [5, 5],
    [null, null],
    [
      { a: ['{{ profile.spend }}', { b: '{{ keys.email }}' }], c: false },
      { a: [7, { b: 'ann@x' }], c: false },
    ],
    ['{{ "}" }}', '}'],
    ['{{ {"a": {"b": 1}} }}', { a: { b: 1 } }],
  ])('%j', (source, expected) => {
    expect(render(source)).toEqual(expected);
  });

  it('does not evaluate what an expression gives', () => {
    const context = { ...CONTEXT, keys: { email: '{{ profile.spend }}' } };
    const compiled = compileTemplate('{{ keys.email }}');
    expect(compiled.kind === 'ok' && compiled.template.render(context)).toBe('{{ profile.spend }}');
  });
});

describe('compiling refuses', () => {
  it.each(['{{ keys. }}', '{{ }}', 'a {{ nope.x }} b', ['{{ 1 + }}'], { a: { b: '{{ }}' } }])(
    '%j',
    (source) => {
      expect(compileTemplate(source)).toMatchObject({ kind: 'invalid', reason: expect.stringMatching(/./) });
    },
  );
});
