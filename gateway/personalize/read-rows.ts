// Rows of catalogs for an answer, of the runs that are in force, all in one read.
import type { RowKey, RowOf } from '../../actors/personalization/decide.ts';
import type { SnapshotRow } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { GatewaySegment } from '../deps.ts';

/** No row at all. */
export const NO_ROWS: RowOf = () => undefined;

/** Rows that are there. Throws STORE_UNAVAILABLE, RECORD_DAMAGED. */
export async function readRows(
  { store, runs }: Pick<GatewaySegment, 'store' | 'runs'>,
  rows: readonly RowKey[],
): Promise<RowOf> {
  const inForce = runs();
  const keyOf = ({ catalog, key }: RowKey) => {
    const current = inForce[catalog];
    return current && recordKeys.row(catalog, current.run, key);
  };
  const wanted = [...new Set(rows.flatMap((row) => keyOf(row) ?? []))];
  if (wanted.length === 0) return NO_ROWS;
  const found = await store.read(wanted, 'replica');
  return (row) => {
    const key = keyOf(row);
    const value = key === undefined ? undefined : found.get(key)?.value;
    return value ? (decodeRecord(key!, value) as SnapshotRow).values : undefined;
  };
}
