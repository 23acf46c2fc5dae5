// Rows of a result against the schema of their table.
import { describe, expect, it } from 'vitest';
import { checkRow, columnProblems } from '../../../../batch/jobs/result-rows.ts';
import { parseSegmentConfig } from '../../../../shared/contract/config/parse.ts';

const parsed = parseSegmentConfig(`segment: shop
stitching: { keys: [{ name: email, limit: 1, normalize: [trim, lowercase] }] }
batch:
  tables:
    - { name: crm, key: email, attributes: { tier: string, spend: number, vip: boolean, since: timestamp, tags: list } }
`);
if (parsed.kind === 'invalid') throw new Error(JSON.stringify(parsed.problems));
const { config } = parsed;
const table = config.batchTables[0]!;
const NAMES = ['email', 'tier', 'spend', 'vip', 'since', 'tags'];
const TYPES = ['VARCHAR', 'VARCHAR', 'DECIMAL(10,2)', 'BOOLEAN', 'DATE', 'VARCHAR[]'];
const check = (row: object) => checkRow({ email: 'a@b.c', ...row }, table, config);

describe('columns', () => {
  it('of the table are sound', () => {
    expect(columnProblems(NAMES, table, TYPES)).toEqual([]);
    expect(columnProblems([...NAMES].reverse(), table)).toEqual([]);
    expect(
      columnProblems(
        NAMES,
        table,
        NAMES.map(() => '"NULL"'),
      ),
    ).toEqual([]);
    expect(
      columnProblems(NAMES, table, [
        'UUID',
        'ENUM',
        'HUGEINT',
        'BOOLEAN',
        'TIMESTAMP WITH TIME ZONE',
        'INTEGER[]',
      ]),
    ).toEqual([]);
  });

  it('that are missing, unknown, twice or of another type are all told', () => {
    expect(
      columnProblems(['mail', 'tier', 'tier', 'spend'], table, ['VARCHAR', 'INTEGER', 'VARCHAR', 'VARCHAR']),
    ).toEqual([
      'column mail is none of the table crm; did you mean email?',
      'column tier is INTEGER, a string is meant: write tier::VARCHAR',
      'column tier is there twice',
      'column spend is VARCHAR, a number is meant: write spend::DOUBLE',
      'column email is missing: the stitching key by which rows are found',
      'column vip is missing: an attribute of crm',
      'column since is missing: an attribute of crm',
      'column tags is missing: an attribute of crm',
    ]);
  });
});

describe('a row', () => {
  it('has its key in its one form, and values by type; what is null is absent', () => {
    const since = new Date('2020-05-01T00:00:00Z');
    const row = {
      email: ' A@B.c',
      tier: 'Gold',
      spend: 12n,
      vip: false,
      since,
      tags: ['x', null, 3n, since],
    };
    expect(checkRow(row, table, config)).toEqual({
      kind: 'row',
      row: {
        key: 'a@b.c',
        values: {
          tier: 'Gold',
          spend: 12,
          vip: false,
          since: '2020-05-01T00:00:00.000Z',
          tags: ['x', 3, '2020-05-01T00:00:00.000Z'],
        },
      },
    });
    expect(check({ tier: null })).toEqual({ kind: 'row', row: { key: 'a@b.c', values: {} } });
  });

  it('whose key identifies nobody is left out', () => {
    expect(checkRow({ email: null }, table, config)).toEqual({ kind: 'unusable', reason: 'email is null' });
    expect(checkRow({ email: 'null' }, table, config)).toMatchObject({ kind: 'unusable' });
  });

  it('with a value that is none of its column is wrong', () => {
    for (const row of [
      { tier: 1 },
      { spend: '12' },
      { spend: Number.NaN },
      { spend: 2n ** 60n },
      { vip: 1 },
      { since: 'yesterday' },
      { tags: 'a' },
      { tags: [{ a: 1 }] },
    ])
      expect(
        check(row),
        JSON.stringify(row, (_, v) => (typeof v === 'bigint' ? String(v) : v)),
      ).toMatchObject({ kind: 'wrong' });
    expect(check({ spend: 'much' })).toEqual({
      kind: 'wrong',
      reason: 'spend of "a@b.c" is "much", no number',
    });
    expect(checkRow({ email: {} }, table, config)).toMatchObject({ kind: 'wrong' });
  });
});
