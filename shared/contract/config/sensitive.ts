// What of a profile never leaves by a public service: attributes and columns that are marked, and all that is made of them.
// What an expression names is found exactly; what it may reach by the whole profile or a whole row counts as reached.
import { namedFields, usesWhole } from '../expression.ts';
import type { RawAttribute } from './attribute-schemas.ts';
import type { Withheld } from './personalization-config.ts';
import type { RawColumn, RawSegment } from './schema.ts';

interface Source {
  readonly names: readonly string[];
  readonly isMarked: boolean;
  /** Expressions over the profile that it is made of. */
  readonly reads: readonly string[];
  /** Columns that it begins with, as `table.column`. */
  readonly columns: readonly string[];
}

/** What is withheld by a config. */
export class Sensitive {
  readonly #attributes = new Set<string>();
  readonly #columns: ReadonlySet<string>;
  readonly #tables: ReadonlySet<string>;
  readonly #audiences: ReadonlySet<string>;

  constructor(raw: Pick<RawSegment, 'attributes' | 'batch' | 'journeys' | 'audiences'>) {
    this.#columns = new Set(markedColumns(raw));
    this.#tables = new Set([...this.#columns].map((column) => column.split('.')[0]!));
    this.#spread(sourcesOf(raw));
    const audiences = (raw.audiences ?? []).filter(({ when }) => when !== undefined && this.mayReach(when));
    this.#audiences = new Set(audiences.map(({ name }) => name));
  }

  /** Whatever is made of something withheld is withheld, as far as that goes. */
  #spread(sources: readonly Source[]): void {
    for (let before = -1; before < this.#attributes.size; ) {
      before = this.#attributes.size;
      for (const { names, isMarked, reads, columns } of sources)
        if (
          isMarked ||
          columns.some((each) => this.#columns.has(each)) ||
          reads.some((each) => this.mayReach(each))
        )
          for (const name of names) this.#attributes.add(name);
    }
  }

  get withheld(): Withheld {
    return {
      attributes: [...this.#attributes],
      columns: [...this.#columns],
      audiences: [...this.#audiences],
    };
  }

  /** What an expression names that is withheld, as it names it; undefined: nothing. */
  namedBy(source: string): string | undefined {
    const attribute = namedFields(source, 'profile').find((name) => this.#attributes.has(name));
    if (attribute !== undefined) return `profile.${attribute}`;
    const column = columnsIn(source).find((each) => this.#columns.has(each));
    if (column !== undefined) return `profile.${column}`;
    const audience = namedFields(source, 'audiences').find((name) => this.#audiences.has(name));
    return audience === undefined ? undefined : `audiences.${audience}`;
  }

  /** Whether what an expression gives may come of something withheld. */
  mayReach(source: string): boolean {
    if (this.namedBy(source) !== undefined) return true;
    if (this.#attributes.size + this.#columns.size === 0) return false;
    if (usesWhole(source, 'profile')) return true;
    const named = namedFields(source, 'profile').filter((name) => this.#tables.has(name));
    // A row that is used otherwise than by its columns.
    return named.length > columnsIn(source).filter((each) => this.#tables.has(each.split('.')[0]!)).length;
  }

  hasAudience(name: string): boolean {
    return this.#audiences.has(name);
  }
}

function columnsIn(source: string): readonly string[] {
  const path = /(?<![.\w])profile\s*\.\s*\??\s*(\w+)\s*\.\s*\??\s*(\w+)/g;
  return [...source.matchAll(path)].map(([, table, column]) => `${table}.${column}`);
}

function markedColumns({ batch }: Pick<RawSegment, 'batch'>): readonly string[] {
  const isMarked = (column: RawColumn) => typeof column === 'object' && column.sensitive === true;
  return (batch?.tables ?? []).flatMap(({ name, attributes }) =>
    Object.entries(attributes ?? {}).flatMap(([column, raw]) => (isMarked(raw) ? `${name}.${column}` : [])),
  );
}

function sourcesOf({ attributes, journeys }: Pick<RawSegment, 'attributes' | 'journeys'>): readonly Source[] {
  const set = (journeys ?? []).flatMap(({ steps }) => settingsIn(steps));
  return [
    ...(attributes ?? []).map(sourceOf),
    ...set.map(([name, value]) => ({ names: [name], isMarked: false, reads: [value], columns: [] })),
  ];
}

function sourceOf({ name, type, sensitive, value, aggregate, backfill }: RawAttribute): Source {
  const reads = type === 'computed' && typeof value === 'string' ? [value] : [];
  const columns = backfill === undefined ? [] : [backfill.attribute];
  return { names: [name, ...Object.keys(aggregate ?? {})], isMarked: sensitive === true, reads, columns };
}

/** What the steps of a journey write, however deep they stand. */
function settingsIn(value: unknown): readonly (readonly [string, string])[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, part]) => {
    if (key !== 'set' || typeof part !== 'object' || part === null) return settingsIn(part);
    return Object.entries(part).map(([name, text]) => [name, String(text)] as const);
  });
}
