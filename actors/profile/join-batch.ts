// Snapshot tables joined into a profile: at its first event after a refresh, and when its keys change, it takes the row of
// the run in force, and keeps it. It never goes back to an older run.
import type { BatchTableConfig, SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { foldedBehind } from '../attributes/backfill.ts';
import { combineRows } from './combine-rows.ts';
import type { JoinedRow, Profile, SnapshotRow } from './profile.ts';

/** The run of a table that is in force. */
export interface CurrentRun {
  readonly run: number;
  /** When the snapshot was made, ms. */
  readonly atMs: number;
}

/** By table. */
export type CurrentRuns = Readonly<Record<string, CurrentRun>>;

export type Joined =
  | { readonly kind: 'joined'; readonly profile: Profile }
  | { readonly kind: 'need'; readonly keys: readonly string[] };

/** Values of the key that are looked up, of those with most: the newest. */
const LOOKED_UP_MAX = 20;

/** `get`: a row by its record key; null when there is none, undefined when it was not read. */
export function joinBatch(
  profile: Profile,
  tables: readonly BatchTableConfig[],
  runs: CurrentRuns,
  get: (key: string) => SnapshotRow | null | undefined,
): Joined {
  const missing: string[] = [];
  const changed: Record<string, JoinedRow> = {};
  for (const table of tables) {
    const current = runs[table.name];
    const before = profile.batch?.[table.name];
    if (!current || (before && before.run > current.run)) continue;
    const of = valuesOf(profile, table);
    if (before?.run === current.run && sameValues(before.of, of)) continue;
    if (!before && of.length === 0) continue;
    const rows = of.map((value) => recordKeys.row(table.name, current.run, value));
    const unread = rows.filter((key) => get(key) === undefined);
    missing.push(...unread);
    if (unread.length > 0) continue;
    const values = combineRows(
      rows.flatMap((key) => {
        const row = get(key);
        return row ? [row.values] : [];
      }),
      table,
    );
    changed[table.name] = { run: current.run, atMs: current.atMs, of, values };
  }
  if (missing.length > 0) return { kind: 'need', keys: missing };
  if (Object.keys(changed).length === 0) return { kind: 'joined', profile };
  return { kind: 'joined', profile: { ...profile, batch: { ...profile.batch, ...changed } } };
}

/** The profile that was joined, without what the rows before had counted: others have taken their place. */
export function withNewRows(before: Profile, joined: Profile, config: SegmentConfig): Profile {
  if (joined === before) return joined;
  const rows = batchValues(before, config.batchTables);
  return { ...joined, attributes: foldedBehind(joined.attributes, config.attributes, rows) };
}

function valuesOf({ keys }: Profile, { key }: BatchTableConfig): readonly string[] {
  const held = (keys[key] ?? []).slice(-LOOKED_UP_MAX).map(({ value }) => value);
  return held.reverse();
}

function sameValues(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

/** Columns by table, of tables that the profile has a row of. */
export function batchValues(
  { batch }: Profile,
  tables: readonly BatchTableConfig[],
): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
  const shown: Record<string, Readonly<Record<string, unknown>>> = {};
  for (const { name, columns } of tables) {
    const values = batch?.[name]?.values;
    if (values)
      shown[name] = Object.fromEntries(Object.entries(values).filter(([column]) => column in columns));
  }
  return shown;
}
