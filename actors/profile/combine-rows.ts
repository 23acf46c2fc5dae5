// The rows of several values of a key as one row: each column by its rule.
import type { BatchTableConfig, CombineRule } from '../../shared/contract/config/segment-config.ts';

type Row = Readonly<Record<string, unknown>>;

/** Of rows in the order of their keys, newest first; null: there is none. A column that is empty in a row is not counted. */
export function combineRows(
  rows: readonly Row[],
  { columns, combine }: Pick<BatchTableConfig, 'columns' | 'combine'>,
): Row | null {
  const [newest] = rows;
  if (!newest) return null;
  if (rows.length === 1 || Object.keys(combine).length === 0) return newest;
  const combined: Record<string, unknown> = { ...newest };
  for (const [column, rule] of Object.entries(combine)) {
    if (!(column in columns)) continue;
    const values = rows.map((row) => row[column]).filter((value) => value !== null && value !== undefined);
    if (values.length > 0) combined[column] = combineValues(values, rule);
    else delete combined[column];
  }
  return combined;
}

function combineValues(values: readonly unknown[], rule: CombineRule): unknown {
  switch (rule) {
    case 'newest':
      return values[0];
    case 'oldest':
      return values.at(-1);
    case 'min':
      return values.reduce((a, b) => (isLess(b, a) ? b : a));
    case 'max':
      return values.reduce((a, b) => (isLess(a, b) ? b : a));
    case 'sum':
      return (values as readonly number[]).reduce((a, b) => a + b, 0);
    case 'any':
      return values.includes(true);
    case 'all':
      return values.every((value) => value === true);
    case 'union':
      return unionOf(values as readonly (readonly unknown[])[]);
  }
}

/** Of one type each: numbers by size, text and times (ISO 8601) by code point. */
function isLess(a: unknown, b: unknown): boolean {
  return (a as number) < (b as number);
}

function unionOf(lists: readonly (readonly unknown[])[]): readonly unknown[] {
  const found = new Map<string, unknown>();
  for (const item of lists.flat()) found.set(JSON.stringify(item), item);
  return [...found.values()];
}
