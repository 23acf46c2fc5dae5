// Templates of destinations: values with their types, escaped for where they go, within limits.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compileLiquid, LiquidFailure } from '../../../shared/contract/liquid.ts';

function compiled(source: string, escaping?: Parameters<typeof compileLiquid>[1]) {
  const result = compileLiquid(source, escaping);
  if (result.kind !== 'ok') throw new Error(result.reason);
  return result.text;
}

describe('a template', () => {
  it('that is one output keeps the type of its value', () => {
    const payload = { n: 3, list: [1, { a: 2 }], t: true, s: 'x' };
    for (const [name, value] of Object.entries(payload))
      expect(compiled(`{{ payload.${name} }}`).value({ payload })).toEqual(value);
    expect(compiled('{{ payload.n | plus: 1 }}').value({ payload })).toBe(4);
    expect(compiled('{{ payload.none }}').value({ payload })).toBeNull();
    expect(compiled('{{ payload.n }}{{ payload.s }}').value({ payload })).toBe('3x');
  });

  it('knows what it names', () => {
    const names = compiled('{% for i in payload.items %}{{ i.a }}{% endfor %}{{ keys["email"] }}').names;
    expect(names).toEqual([
      ['payload', 'items'],
      ['keys', 'email'],
    ]);
  });

  it('in JSON gives JSON whatever the values are', () => {
    const text = compiled('{"s": "{{ s }}", "n": {{ n }}, "o": {{ o }}}', 'json');
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.integer(), fc.jsonValue(), (s, n, o) => {
        // A text is a text also where data is meant.
        const data = typeof o === 'string' ? { text: o } : o;
        expect(JSON.parse(text.render({ s, n, o: data }))).toEqual(
          JSON.parse(JSON.stringify({ s, n, o: data })),
        );
      }),
    );
  });

  it('in a URL gives one segment whatever the value is', () => {
    const text = compiled('https://a.example/{{ s }}/end', 'url');
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (s) => {
        const parts = text.render({ s }).split('/');
        expect(parts).toHaveLength(5);
        expect(decodeURIComponent(parts[3]!)).toBe(s.toWellFormed());
      }),
    );
  });

  it('sees nothing but what it is given', () => {
    for (const source of [
      '{{ payload.constructor }}',
      '{{ payload.__proto__ }}',
      '{{ process }}',
      '{{ payload.toString }}',
    ])
      expect(compiled(source).render({ payload: {} })).toBe('');
    for (const source of ["{% include 'x' %}", "{% render 'x' %}", "{% layout 'x' %}"])
      expect(compileLiquid(source).kind).toBe('invalid');
  });

  it('that would never end fails', () => {
    const loops = '{% for i in (1..9999) %}{% for j in (1..9999) %}x{% endfor %}{% endfor %}';
    expect(() => compiled(loops).render({})).toThrow(LiquidFailure);
    expect(() => compiled('{% for i in (1..99999999) %}x{% endfor %}').render({})).toThrow(LiquidFailure);
  });
});
