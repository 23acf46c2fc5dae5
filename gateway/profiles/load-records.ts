// Records for a simulation that decides over what is stored now.
import { decodeRecord, type RecordState } from '../../actors/profile/record-codec.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';

/** Records as they are stored, null for those that are not. */
export async function loadRecords(
  store: Pick<RecordStore, 'read'>,
  keys: readonly string[],
): Promise<ReadonlyMap<string, RecordState | null>> {
  const found = await store.read(keys, 'replica');
  const records = new Map<string, RecordState | null>();
  for (const [key, { value }] of found) records.set(key, value ? decodeRecord(key, value) : null);
  return records;
}
