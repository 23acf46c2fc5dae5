// Under which ids the audit log may tell of a profile: the one asked for and those that it became part of, one after
// another.
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';

/** More redirects in a row than merges can leave behind. */
const REDIRECTS_MAX = 32;

/** The id that was asked for first, the living profile last. Throws STORE_UNAVAILABLE. */
export async function idsOfProfile(
  store: Pick<RecordStore, 'read'>,
  profileId: string,
): Promise<readonly string[]> {
  const ids = [profileId];
  while (ids.length <= REDIRECTS_MAX) {
    const key = recordKeys.profile(ids.at(-1)!);
    const value = (await store.read([key], 'replica')).get(key)?.value ?? null;
    // The log also remembers profiles that are no more.
    if (value === null) return ids;
    const state = decodeRecord(key, value);
    if (state.kind !== 'redirect' || ids.includes(state.to)) return ids;
    ids.push(state.to);
  }
  return ids;
}
