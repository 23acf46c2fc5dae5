// From a stitching key or an id to the profile that stands for it now. Replicas are read first, since they are cheap;
// what they say is believed only when it fits together, else the leader is asked, once.
import type { Link, Profile, Redirect } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';

export type ProfileAddress =
  | { readonly kind: 'key'; readonly keyName: string; readonly value: string }
  | { readonly kind: 'id'; readonly profileId: string };

type Source = 'replica' | 'leader';

type Found =
  | { readonly kind: 'profile'; readonly profile: Profile }
  | { readonly kind: 'absent' }
  /** The records read do not fit together: some are stale, or (from the leader) damaged. */
  | { readonly kind: 'contradiction'; readonly reason: string };

/** More redirects in a row than merges can leave behind; a longer chain is a circle. */
const REDIRECTS_MAX = 32;

/** Undefined when there is no such profile. Throws STORE_UNAVAILABLE, RECORD_DAMAGED. */
export async function readProfile(
  store: Pick<RecordStore, 'read'>,
  address: ProfileAddress,
): Promise<Profile | undefined> {
  let found = await findProfile(store, address, 'replica');
  if (found.kind === 'contradiction') found = await findProfile(store, address, 'leader');
  if (found.kind === 'contradiction') throw new StitchworkError('RECORD_DAMAGED', found.reason);
  return found.kind === 'profile' ? found.profile : undefined;
}

async function findProfile(
  store: Pick<RecordStore, 'read'>,
  address: ProfileAddress,
  from: Source,
): Promise<Found> {
  const start = await startOf(store, address, from);
  if (start === undefined) return { kind: 'absent' };
  let profileId = start;
  for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
    const state = (await readRecord(store, recordKeys.profile(profileId), from)) as
      | Profile
      | Redirect
      | undefined;
    if (state === undefined) {
      // An id that the caller made up is absent; one that another record names has to be there.
      if (hops === 0 && address.kind === 'id') return { kind: 'absent' };
      return {
        kind: 'contradiction',
        reason: `profile ${profileId} is named by another record and is not there`,
      };
    }
    if (state.kind === 'profile') return { kind: 'profile', profile: state };
    profileId = state.to;
  }
  return { kind: 'contradiction', reason: `more than ${REDIRECTS_MAX} redirects from profile ${start}` };
}

async function startOf(
  store: Pick<RecordStore, 'read'>,
  address: ProfileAddress,
  from: Source,
): Promise<string | undefined> {
  if (address.kind === 'id') return address.profileId;
  const link = (await readRecord(store, recordKeys.link(address.keyName, address.value), from)) as
    | Link
    | undefined;
  return link?.profileId;
}

async function readRecord(store: Pick<RecordStore, 'read'>, key: string, from: Source): Promise<unknown> {
  const value = (await store.read([key], from)).get(key)?.value ?? null;
  if (value === null) return undefined;
  try {
    return decodeRecord(key, value);
  } catch (error) {
    throw new StitchworkError('RECORD_DAMAGED', `record ${key}`, { cause: error });
  }
}
