// How a row of a file becomes an event: `target=source` pairs, read from flags or a mapping file. Targets are name,
// messageId, timestamp, table, keys.<name> and properties.<path>; a source is a column (or a dotted path in JSON) with an
// optional type, `qty:number`. An empty or missing source leaves the target out.
import { parse as parseYaml } from 'yaml';

export type CellType = 'string' | 'number' | 'boolean' | 'json';
export type Source =
  | { readonly kind: 'column'; readonly column: string; readonly type: CellType | undefined }
  | { readonly kind: 'constant'; readonly value: string | number | boolean };

export interface Rule {
  readonly target: string;
  readonly source: Source;
}

export type Mapping = readonly Rule[];
export type MappedEvent = Record<string, unknown>;
export type MappedRow =
  | { readonly kind: 'event'; readonly event: MappedEvent }
  | { readonly kind: 'broken'; readonly reason: string };

const TYPES: readonly CellType[] = ['string', 'number', 'boolean', 'json'];
const TARGET = /^(name|messageId|timestamp|table|keys\.[^.]+|properties\.[^.]+(\.[^.]+)*)$/;
const FORBIDDEN_STEP = /^(__proto__|constructor|prototype)$/;

/** Reads `--map target=column[:type]` and `--set target=constant`. Problems in words. */
export function parseMappingFlags(
  map: readonly string[],
  set: readonly string[],
): { readonly mapping: Mapping; readonly problems: readonly string[] } {
  const problems: string[] = [];
  const mapping: Rule[] = [];
  for (const [flag, pairs] of [
    ['--map', map],
    ['--set', set],
  ] as const) {
    for (const pair of pairs) {
      const cut = pair.indexOf('=');
      if (cut < 1) problems.push(`${flag} ${JSON.stringify(pair)} must look like target=source`);
      else addRule(mapping, problems, pair.slice(0, cut), sourceOf(flag, pair.slice(cut + 1), problems));
    }
  }
  return { mapping, problems };
}

/** Reads a mapping file (YAML or JSON): `{ map: { name: event, … }, set: { table: web } }`. Problems in words. */
export function parseMappingFile(text: string): {
  readonly mapping: Mapping;
  readonly problems: readonly string[];
} {
  const problems: string[] = [];
  const mapping: Rule[] = [];
  let root: unknown;
  try {
    root = parseYaml(text);
  } catch (error) {
    return { mapping, problems: [error instanceof Error ? error.message : String(error)] };
  }
  if (!isRecord(root)) return { mapping, problems: ['must be a map with `map` and, if wanted, `set`'] };
  for (const section of Object.keys(root)) {
    if (section !== 'map' && section !== 'set') problems.push(`unknown section ${JSON.stringify(section)}`);
  }
  for (const [target, column] of Object.entries(isRecord(root.map) ? root.map : {})) {
    addRule(mapping, problems, target, sourceOf('--map', String(column), problems));
  }
  for (const [target, value] of Object.entries(isRecord(root.set) ? root.set : {})) {
    const plain = typeof value === 'number' || typeof value === 'boolean' ? value : String(value);
    addRule(mapping, problems, target, { kind: 'constant', value: plain });
  }
  return { mapping, problems };
}

/** One row as an event. Without rules the row is taken as an event already. */
export function mapRow(row: Readonly<Record<string, unknown>>, mapping: Mapping): MappedRow {
  if (mapping.length === 0) return { kind: 'event', event: { ...row } };
  const event: MappedEvent = {};
  for (const { target, source } of mapping) {
    const cell = source.kind === 'constant' ? { value: source.value } : readCell(row, source);
    if ('problem' in cell) return { kind: 'broken', reason: cell.problem };
    if (cell.value !== undefined) place(event, target, cell.value);
  }
  return { kind: 'event', event };
}

function addRule(mapping: Rule[], problems: string[], target: string, source: Source): void {
  const known = TARGET.test(target) && !target.split('.').some((step) => FORBIDDEN_STEP.test(step));
  if (known) mapping.push({ target, source });
  else {
    problems.push(
      `${JSON.stringify(target)} is not a target: use name, messageId, timestamp, table, keys.<name> or properties.<name>`,
    );
  }
}

function sourceOf(flag: '--map' | '--set', text: string, problems: string[]): Source {
  if (flag === '--set') return { kind: 'constant', value: text };
  const cut = text.lastIndexOf(':');
  if (cut < 0) return { kind: 'column', column: text, type: undefined };
  const type = TYPES.find((known) => known === text.slice(cut + 1));
  if (type === undefined)
    problems.push(`${JSON.stringify(text)}: the type must be one of ${TYPES.join(', ')}`);
  return { kind: 'column', column: text.slice(0, cut), type };
}

type Cell = { readonly value: unknown } | { readonly problem: string };

function readCell(row: Readonly<Record<string, unknown>>, source: Source & { kind: 'column' }): Cell {
  const raw = lookUp(row, source.column);
  if (raw === undefined || raw === null || raw === '') return { value: undefined };
  switch (source.type) {
    case undefined:
      return { value: raw };
    case 'string':
      return { value: typeof raw === 'object' ? JSON.stringify(raw) : String(raw) };
    case 'number': {
      const value = typeof raw === 'string' ? Number(raw.trim()) : raw;
      return typeof value === 'number' && Number.isFinite(value) ? { value } : unreadable(source, raw);
    }
    case 'boolean':
      if (raw === true || raw === 'true' || raw === '1' || raw === 1) return { value: true };
      return raw === false || raw === 'false' || raw === '0' || raw === 0
        ? { value: false }
        : unreadable(source, raw);
    case 'json':
      try {
        return { value: typeof raw === 'string' ? JSON.parse(raw) : raw };
      } catch {
        return unreadable(source, raw);
      }
  }
}

function unreadable(source: Source & { kind: 'column' }, raw: unknown): Cell {
  return { problem: `column ${source.column}: ${JSON.stringify(raw)} is not a ${source.type}` };
}

/** A column by its whole name first, else by its dotted path. */
function lookUp(row: Readonly<Record<string, unknown>>, column: string): unknown {
  if (Object.hasOwn(row, column)) return row[column];
  let at: unknown = row;
  for (const step of column.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return undefined;
    at = (at as Record<string, unknown>)[step];
  }
  return at;
}

function place(event: MappedEvent, target: string, value: unknown): void {
  const steps = target.split('.');
  const last = steps.pop() ?? target;
  let at = event;
  for (const step of steps) {
    const next = isRecord(at[step]) ? at[step] : {};
    at[step] = next;
    at = next;
  }
  // Stitching keys are text in the API; a file's numbers are meant as such.
  at[last] = target.startsWith('keys.') && typeof value !== 'object' ? String(value) : value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
