// The result of a job as rows of its table: its columns checked against the table's, each value against the type of its
// column, each key once and in its one form. Pure.
import { normalizeKey } from '../../actors/identity/keys.ts';
import type {
  BatchTableConfig,
  ColumnType,
  SegmentConfig,
} from '../../shared/contract/config/segment-config.ts';
import { didYouMean } from '../../shared/kernel/edit-distance.ts';

/** A value of a result, as JavaScript has it. */
export type Value = unknown;
export type ResultRow = Readonly<Record<string, Value>>;

export interface TableRow {
  readonly key: string;
  readonly values: Readonly<Record<string, unknown>>;
}

const INTEGERS =
  'TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT|UTINYINT|USMALLINT|UINTEGER|UBIGINT|UHUGEINT|BIGNUM';
/** By type of a column: the types of DuckDB that become it, and what to write when it is another. */
const TYPES: Readonly<Record<ColumnType, { readonly from: RegExp; readonly cast: string }>> = {
  string: { from: /^(VARCHAR|UUID|ENUM|"NULL"|SQLNULL)/, cast: 'VARCHAR' },
  number: { from: new RegExp(`^(${INTEGERS}|FLOAT|DOUBLE|DECIMAL|"NULL"|SQLNULL)`), cast: 'DOUBLE' },
  boolean: { from: /^(BOOLEAN|"NULL"|SQLNULL)/, cast: 'BOOLEAN' },
  timestamp: { from: /^(TIMESTAMP|DATE|"NULL"|SQLNULL)/, cast: 'TIMESTAMP' },
  list: { from: /(\]$|^"NULL"|^SQLNULL)/, cast: 'VARCHAR[]' },
};

/** The column with the stitching key may have this name instead: whoever writes a job for any table does not know the key. */
const KEY = 'key';

/** What is wrong with the columns of a result. `types`: of DuckDB, where they are known. */
export function columnProblems(
  given: readonly string[],
  table: BatchTableConfig,
  types?: readonly string[],
): readonly string[] {
  const names = given.map((name) => (name === KEY && !Object.hasOwn(table.columns, KEY) ? table.key : name));
  const wanted = [table.key, ...Object.keys(table.columns)];
  const problems: string[] = [];
  names.forEach((name, index) => {
    if (names.indexOf(name) !== index) problems.push(`column ${name} is there twice`);
    if (!wanted.includes(name)) {
      const meant = didYouMean(name, wanted);
      const hint = meant === undefined ? `it has ${wanted.join(', ')}` : `did you mean ${meant}?`;
      problems.push(`column ${name} is none of the table ${table.name}; ${hint}`);
    }
    const type = table.columns[name];
    const found = types?.[index];
    if (type && found !== undefined && !TYPES[type].from.test(found))
      problems.push(`column ${name} is ${found}, a ${type} is meant: write ${name}::${TYPES[type].cast}`);
  });
  for (const name of wanted)
    if (!names.includes(name)) problems.push(`column ${name} is missing: ${meaning(name, table)}`);
  return problems;
}

function meaning(name: string, table: BatchTableConfig): string {
  return name === table.key ? 'the stitching key by which rows are found' : `an attribute of ${table.name}`;
}

export type CheckedRow =
  | { readonly kind: 'row'; readonly row: TableRow }
  /** The key identifies nobody: the row is left out. */
  | { readonly kind: 'unusable'; readonly reason: string }
  /** The job is wrong. */
  | { readonly kind: 'wrong'; readonly reason: string };

/** One row of a result whose columns are sound. */
export function checkRow(row: ResultRow, table: BatchTableConfig, config: SegmentConfig): CheckedRow {
  const raw = Object.hasOwn(row, table.key) ? row[table.key] : row[KEY];
  if (raw === null || raw === undefined) return { kind: 'unusable', reason: `${table.key} is null` };
  if (!['string', 'number', 'bigint', 'boolean'].includes(typeof raw))
    return { kind: 'wrong', reason: `${table.key} is ${shown(raw)}, a text is meant` };
  const key = normalizeKey(config, table.key, String(raw));
  if (key.kind !== 'ok') {
    const why = key.kind === 'rejected' ? `: ${key.detail}` : '';
    return { kind: 'unusable', reason: `${shown(String(raw))} is no ${table.key}${why}` };
  }
  const values: Record<string, unknown> = {};
  for (const [name, type] of Object.entries(table.columns)) {
    const value = row[name];
    if (value === null || value === undefined) continue;
    const typed = typedValue(value, type);
    if (typed === undefined)
      return { kind: 'wrong', reason: `${name} of ${shown(key.value)} is ${shown(value)}, no ${type}` };
    values[name] = typed;
  }
  return { kind: 'row', row: { key: key.value, values } };
}

/** Undefined: it is not of this type. */
function typedValue(value: Value, type: ColumnType): unknown {
  switch (type) {
    case 'string':
      return typeof value === 'string' ? value : undefined;
    case 'number': {
      const number = typeof value === 'bigint' ? Number(value) : value;
      if (typeof number !== 'number' || !Number.isFinite(number)) return undefined;
      return typeof value === 'bigint' && !Number.isSafeInteger(number) ? undefined : number;
    }
    case 'boolean':
      return typeof value === 'boolean' ? value : undefined;
    case 'timestamp':
      return timestampOf(value);
    case 'list':
      return listOf(value);
  }
}

function timestampOf(value: Value): string | undefined {
  const ms =
    value instanceof Date ? value.getTime() : typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isFinite(ms) ? new Date(ms).toISOString() : undefined;
}

/** Of scalars: what is nested has no place in a condition. */
function listOf(value: Value): unknown {
  if (!Array.isArray(value)) return undefined;
  const items = value.filter((item) => item !== null && item !== undefined).map(scalarOf);
  return items.includes(undefined) ? undefined : items;
}

function scalarOf(item: unknown): unknown {
  if (item instanceof Date) return timestampOf(item);
  if (typeof item === 'bigint') return typedValue(item, 'number');
  if (typeof item === 'number') return Number.isFinite(item) ? item : undefined;
  return typeof item === 'string' || typeof item === 'boolean' ? item : undefined;
}

function shown(value: Value): string {
  const text = typeof value === 'bigint' ? String(value) : (JSON.stringify(value) ?? String(value));
  return text.slice(0, 100);
}
