// Rows of a file as events: flags, mapping files, types, what is missing and what is broken.
import { describe, expect, it } from 'vitest';
import { type Mapping, mapRow, parseMappingFile, parseMappingFlags } from '../../../infra/replay/mapping.ts';

function mappingOf(map: readonly string[], set: readonly string[] = []): Mapping {
  const { mapping, problems } = parseMappingFlags(map, set);
  expect(problems).toEqual([]);
  return mapping;
}

describe('mapping', () => {
  it('maps columns to the event', () => {
    const mapping = mappingOf(
      [
        'name=event',
        'keys.invoice=invoice',
        'properties.qty=qty:number',
        'properties.gift.wrapped=gift:boolean',
        'timestamp=ts',
      ],
      ['table=retail'],
    );
    const row = {
      event: 'purchase',
      invoice: 536365,
      qty: '6',
      gift: 'true',
      ts: '2010-12-01T08:26:00Z',
      other: 'x',
    };
    expect(mapRow(row, mapping)).toEqual({
      kind: 'event',
      event: {
        name: 'purchase',
        keys: { invoice: '536365' },
        properties: { qty: 6, gift: { wrapped: true } },
        timestamp: '2010-12-01T08:26:00Z',
        table: 'retail',
      },
    });
  });

  it('leaves out what is missing or empty', () => {
    const mapping = mappingOf(['name=event', 'keys.customer=customer', 'properties.qty=qty:number']);
    expect(mapRow({ event: 'x', customer: '' }, mapping)).toEqual({ kind: 'event', event: { name: 'x' } });
  });

  it('finds a column by its whole name before its path', () => {
    const mapping = mappingOf(['keys.a=user.id', 'keys.b=user.mail']);
    expect(mapRow({ 'user.id': 'whole', user: { id: 'path', mail: 'm' } }, mapping)).toEqual({
      kind: 'event',
      event: { keys: { a: 'whole', b: 'm' } },
    });
  });

  it('reads JSON columns and keeps zero and false', () => {
    const mapping = mappingOf([
      'properties.items=items:json',
      'properties.n=n:number',
      'properties.f=f:boolean',
    ]);
    expect(mapRow({ items: '[1,2]', n: 0, f: false }, mapping)).toEqual({
      kind: 'event',
      event: { properties: { items: [1, 2], n: 0, f: false } },
    });
  });

  it.each([
    ['number', 'six'],
    ['boolean', 'maybe'],
    ['json', '{'],
  ])('calls a row broken whose cell is not a %s', (type, cell) => {
    const mapped = mapRow({ c: cell }, mappingOf([`properties.c=c:${type}`]));
    expect(mapped).toMatchObject({ kind: 'broken', reason: expect.stringContaining(`is not a ${type}`) });
  });

  it('takes a row as an event when nothing is mapped', () => {
    expect(mapRow({ name: 'x', keys: { a: '1' } }, [])).toEqual({
      kind: 'event',
      event: { name: 'x', keys: { a: '1' } },
    });
  });

  it('tells every wrong pair', () => {
    const { problems } = parseMappingFlags(
      ['nonsense', 'nome=event', 'properties.qty=qty:integer', 'properties.__proto__=x'],
      ['=x'],
    );
    expect(problems).toHaveLength(5);
    for (const part of ['nonsense', '"nome"', 'integer', '__proto__', '"=x"']) {
      expect(problems.filter((problem) => problem.includes(part)).length).toBeGreaterThan(0);
    }
  });

  it('reads a mapping file', () => {
    const { mapping, problems } = parseMappingFile(
      'map:\n  name: event\n  properties.qty: qty:number\nset:\n  properties.bulk: true\n',
    );
    expect(problems).toEqual([]);
    expect(mapRow({ event: 'e', qty: '2' }, mapping)).toEqual({
      kind: 'event',
      event: { name: 'e', properties: { qty: 2, bulk: true } },
    });
    expect(parseMappingFile('maps: {}').problems).toEqual(['unknown section "maps"']);
    expect(parseMappingFile('- a').problems).toHaveLength(1);
  });
});
