// Snapshot tables of a checked config file, and what is wrong with their columns.
import type { MeaningCheck } from './check-meaning.ts';
import type { RawColumn, RawSegment } from './schema.ts';
import type { BatchTableConfig, CatalogConfig, ColumnType, CombineRule } from './segment-config.ts';

type RawTable = NonNullable<RawSegment['batch']>['tables'][number];
type RawCatalog = NonNullable<RawSegment['catalogs']>[number];

/** What can be made of the values of several keys, by type. */
const COMBINES: Readonly<Record<ColumnType, readonly CombineRule[]>> = {
  string: ['newest', 'oldest', 'min', 'max'],
  number: ['newest', 'oldest', 'min', 'max', 'sum'],
  boolean: ['newest', 'oldest', 'any', 'all'],
  timestamp: ['newest', 'oldest', 'min', 'max'],
  list: ['newest', 'oldest', 'union'],
};

export function typeOfColumn(column: RawColumn): ColumnType {
  return typeof column === 'string' ? column : column.type;
}

export function readTable({ name, key, attributes, join }: RawTable): BatchTableConfig {
  const columns: Record<string, ColumnType> = {};
  const combine: Record<string, CombineRule> = {};
  for (const [column, raw] of Object.entries(attributes)) {
    columns[column] = typeOfColumn(raw);
    if (typeof raw === 'object' && raw.combine !== undefined) combine[column] = raw.combine;
  }
  return { name, key, columns, combine, atOnce: join === 'at_once' };
}

export function readCatalog({ name, key, attributes }: RawCatalog): CatalogConfig {
  return { name, key, columns: attributes };
}

/** Tables and catalogs are loaded by their names alike. */
export function checkCatalogs(
  catalogs: readonly RawCatalog[],
  tables: readonly RawTable[],
  check: MeaningCheck,
): void {
  check.unique(catalogs, ['catalogs']);
  catalogs.forEach(({ name }, i) => {
    if (tables.some((table) => table.name === name))
      check.at(['catalogs', i, 'name'], 'DUPLICATE', `'${name}' is the name of a batch table already`);
  });
}

export function checkTables(tables: readonly RawTable[], keys: readonly string[], check: MeaningCheck): void {
  tables.forEach(({ key, attributes }, i) => {
    check.reference(key, keys, 'stitching key', ['batch', 'tables', i, 'key']);
    for (const [column, raw] of Object.entries(attributes)) {
      if (typeof raw === 'string' || raw.combine === undefined) continue;
      const allowed = COMBINES[raw.type];
      if (!allowed.includes(raw.combine))
        check.at(
          ['batch', 'tables', i, 'attributes', column, 'combine'],
          'SHAPE',
          `a ${raw.type} of several keys is one of ${allowed.join(', ')}, not ${raw.combine}`,
        );
    }
  });
}
