// What a batch found and the live graph does not have: sets of keys that do not all stand on one profile. Found sets are put
// into one form each and compared in the database of the run; what differs is given in the order in which it happened.
import { linkedKeysOf } from '../../actors/identity/keys.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { LinkedKey } from '../../shared/contract/event.ts';
import type { Duck } from '../duck.ts';
import { TableFiller } from '../jobs/table-filler.ts';
import type { QueryViews } from '../query/query-views.ts';
import type { FoundRow, FoundSet } from './link-source.ts';

export interface Compared {
  /** Rows or sets that were read. */
  readonly found: number;
  /** Different sets of two usable keys or more. */
  readonly sets: number;
  /** Of these: all keys stand on one profile. */
  readonly inPlace: number;
  readonly differing: number;
  /** What could not be used, by reason. */
  readonly unusable: Readonly<Record<string, number>>;
}

/** Keys that were seen together at a time. */
export interface Sighting {
  /** The one form of the set: the same for the same keys, however they were written. */
  readonly canonical: string;
  /** As they were sent. */
  readonly keys: readonly LinkedKey[];
  /** Undefined: nobody knows when. */
  readonly atMs: number | undefined;
}

export interface ComparingDeps {
  readonly duck: Duck;
  readonly views: QueryViews;
  readonly config: SegmentConfig;
  readonly signal: AbortSignal;
  /** Hears of rows that cannot be read, some of them. */
  readonly onBroken: (reason: string) => void;
}

/** Times of one set are told apart when so far apart: first and last use of keys are kept to the minute. */
const APART_MS = 60_000;
const TOLD_MAX = 20;

/** Makes the tables that `sightings` reads. Once a database. Throws what the source throws, and the signal's reason. */
export async function compareSets(deps: ComparingDeps, source: AsyncIterable<FoundRow>): Promise<Compared> {
  const { duck, views } = deps;
  const { found, unusable } = await fill(deps, source);
  await views.prepare('links');
  return duck.use(async (connection) => {
    await connection.run(`CREATE TABLE link_sets AS SELECT row_number() OVER () AS id, canonical, min(raw) AS raw,
      min(first_ms) AS first_ms, max(last_ms) AS last_ms FROM found_sets GROUP BY canonical`);
    await connection.run('DROP TABLE found_sets');
    await connection.run(`CREATE TABLE differing AS SELECT id FROM
      (SELECT id, pair->>0 AS key_name, pair->>1 AS value FROM (SELECT id, unnest(canonical::JSON[]) AS pair FROM link_sets))
      LEFT JOIN links USING (key_name, value)
      GROUP BY id HAVING count(DISTINCT profile_id) <> 1 OR count(*) > count(profile_id)`);
    const counted = await connection.runAndReadAll(
      'SELECT (SELECT count(*) FROM link_sets), (SELECT count(*) FROM differing)',
    );
    const [sets = 0, differing = 0] = (counted.getRows()[0] ?? []).map(Number);
    return { found, sets, inPlace: sets - differing, differing, unusable };
  });
}

async function fill(
  { duck, config, signal, onBroken }: ComparingDeps,
  source: AsyncIterable<FoundRow>,
): Promise<Pick<Compared, 'found' | 'unusable'>> {
  const unusable: Record<string, number> = {};
  let found = 0;
  let broken = 0;
  await duck.use(async (connection) => {
    await connection.run(
      'CREATE TABLE found_sets (canonical VARCHAR, raw VARCHAR, first_ms BIGINT, last_ms BIGINT)',
    );
    const filler = new TableFiller(duck, connection, 'found_sets');
    for await (const row of source) {
      signal.throwIfAborted();
      found += 1;
      if (row.kind === 'broken') {
        broken += 1;
        if (broken <= TOLD_MAX) onBroken(row.reason);
        unusable.broken = broken;
        continue;
      }
      const set = inOneForm(row.set, config, unusable);
      if (set) await filler.add([set.canonical, set.raw, row.set.firstMs, row.set.lastMs]);
    }
    await filler.close();
  });
  return { found, unusable };
}

/** Undefined when fewer than two keys are left. */
function inOneForm(
  { keys }: FoundSet,
  config: SegmentConfig,
  unusable: Record<string, number>,
): { readonly canonical: string; readonly raw: string } | undefined {
  const forms = new Map<string, LinkedKey>();
  const { usable, rejected } = linkedKeysOf(config, keys);
  if (usable.length < 2) {
    const reason = rejected[0]?.reason ?? 'one_key';
    unusable[reason] = (unusable[reason] ?? 0) + 1;
    return undefined;
  }
  for (const key of keys)
    for (const { config: of, value } of linkedKeysOf(config, [key]).usable)
      forms.set(JSON.stringify([of.name, value]), key);
  const sorted = [...forms].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    canonical: `[${sorted.map(([form]) => form).join(',')}]`,
    raw: JSON.stringify(sorted.map(([, key]) => key)),
  };
}

/** What differs: the first time of each set and, where it is another, the last, oldest first; those of no time at the end. */
export async function* sightings(
  duck: Duck,
  signal: AbortSignal,
  atOnce: number,
): AsyncGenerator<readonly Sighting[]> {
  const connection = await duck.open();
  let batch: Sighting[] = [];
  try {
    const result = await connection.stream(`SELECT canonical, raw, at_ms::DOUBLE FROM (
        SELECT canonical, raw, first_ms AS at_ms FROM link_sets JOIN differing USING (id)
        UNION ALL
        SELECT canonical, raw, last_ms FROM link_sets JOIN differing USING (id) WHERE last_ms - first_ms >= ${APART_MS})
      ORDER BY at_ms NULLS LAST, canonical`);
    for (;;) {
      signal.throwIfAborted();
      const chunk = await result.fetchChunk();
      if (!chunk || chunk.rowCount === 0) break;
      for (const [canonical, raw, atMs] of chunk.getRows() as [string, string, number | null][]) {
        batch.push({ canonical, keys: JSON.parse(raw) as LinkedKey[], atMs: atMs ?? undefined });
        if (batch.length < atOnce) continue;
        yield batch;
        batch = [];
      }
    }
    if (batch.length > 0) yield batch;
  } finally {
    connection.closeSync();
  }
}
