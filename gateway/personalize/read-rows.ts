// Rows of catalogs for an answer, of the runs that are in force: those that are not remembered all in one read.
import type { RowKey, RowOf } from '../../actors/personalization/decide.ts';
import type { SnapshotRow } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { GatewaySegment } from '../deps.ts';
import { createLastUsed, type LastUsed } from './last-used.ts';

export type Row = Readonly<Record<string, unknown>>;

/** By record key; null: there is none. */
export type FoundRows = ReadonlyMap<string, Row | null>;

export interface RememberedRows {
  /** Record keys of the rows that have to be read. */
  readonly missing: readonly string[];
  /** What is remembered, with what was read. */
  with(found: FoundRows): RowOf;
}

const NOTHING: FoundRows = new Map();
const REMEMBERED = { entries: 50_000, bytes: 16 * 1024 * 1024 };
/** A row of a run never changes, so that nothing in here is ever stale: another run has other rows. */
const caches = new WeakMap<GatewaySegment['store'], LastUsed<Row | null>>();

/** What is remembered of these rows. */
export function rememberRows(
  { store, runs }: Pick<GatewaySegment, 'store' | 'runs'>,
  rows: readonly RowKey[],
): RememberedRows {
  const inForce = rows.length === 0 ? {} : runs();
  const keyOf = ({ catalog, key }: RowKey) => {
    const current = inForce[catalog];
    return current && recordKeys.row(catalog, current.run, key);
  };
  const cache = cacheOf(store);
  const known = new Map<string, Row | null>();
  const missing = new Set<string>();
  for (const row of rows) {
    const key = keyOf(row);
    if (key === undefined) continue;
    const remembered = cache.get(key);
    if (remembered === undefined) missing.add(key);
    else known.set(key, remembered);
  }
  return {
    missing: [...missing],
    with: (found) => (row) => {
      const key = keyOf(row);
      return key === undefined ? undefined : (known.get(key) ?? found.get(key) ?? undefined);
    },
  };
}

/** Reads rows by their record keys, and remembers them. Throws STORE_UNAVAILABLE, RECORD_DAMAGED. */
export async function readRows(store: GatewaySegment['store'], keys: readonly string[]): Promise<FoundRows> {
  if (keys.length === 0) return NOTHING;
  const cache = cacheOf(store);
  const found = new Map<string, Row | null>();
  for (const [key, { value }] of await store.read(keys, 'replica')) {
    const row = value && (decodeRecord(key, value) as SnapshotRow).values;
    found.set(key, row);
    cache.put(key, row, value?.length ?? 0);
  }
  return found;
}

function cacheOf(store: GatewaySegment['store']): LastUsed<Row | null> {
  const cache = caches.get(store) ?? createLastUsed<Row | null>(REMEMBERED);
  caches.set(store, cache);
  return cache;
}
