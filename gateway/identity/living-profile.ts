// The profile that an id stands for now, as the leader has it.
import type { Profile } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';

/** More redirects in a row than merges can leave behind. */
const REDIRECTS_MAX = 32;

/** Undefined when there is none any more. Throws STORE_UNAVAILABLE. */
export async function livingProfile(
  store: Pick<RecordStore, 'read'>,
  profileId: string,
): Promise<Profile | undefined> {
  let id = profileId;
  for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
    const key = recordKeys.profile(id);
    const value = (await store.read([key], 'leader')).get(key)?.value ?? null;
    if (value === null) return undefined;
    const state = decodeRecord(key, value);
    if (state.kind === 'profile') return state;
    if (state.kind !== 'redirect') return undefined;
    id = state.to;
  }
  return undefined;
}
