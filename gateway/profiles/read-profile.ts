// From a stitching key or an id to the profile that stands for it now. Replicas are read first, since they are cheap;
// what they say is believed only when it fits together, else the leader is asked.
import { holdsKey, type Profile } from '../../actors/profile/profile.ts';
import { decodeRecord, type RecordState } from '../../actors/profile/record-codec.ts';
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

/** The leader's records never contradict one another, but a key can move between the reads of its link and its profile. */
const LEADER_TRIES = 3;

/** Undefined when there is no such profile. Throws STORE_UNAVAILABLE, RECORD_DAMAGED. */
export async function readProfile(
  store: Pick<RecordStore, 'read'>,
  address: ProfileAddress,
): Promise<Profile | undefined> {
  let found = await findProfile(store, address, 'replica');
  for (let tries = 0; found.kind === 'contradiction' && tries < LEADER_TRIES; tries++)
    found = await findProfile(store, address, 'leader');
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
    const state = await readRecord(store, recordKeys.profile(profileId), from);
    // An id that the caller made up is absent; one that another record names has to be there.
    if (state === undefined && hops === 0 && address.kind === 'id') return { kind: 'absent' };
    if (state?.kind === 'profile') return profileFound(state, address);
    if (state?.kind !== 'redirect')
      return contradiction(`profile ${profileId} is named by another record and is not there`);
    profileId = state.to;
  }
  return contradiction(`more than ${REDIRECTS_MAX} redirects from profile ${start}`);
}

/** A profile answers for a key only when it lists it: else the link is older than the profile. */
function profileFound(profile: Profile, address: ProfileAddress): Found {
  if (address.kind === 'id' || holdsKey(profile, address.keyName, address.value))
    return { kind: 'profile', profile };
  return contradiction(`profile ${profile.id} does not list a key that is linked to it`);
}

function contradiction(reason: string): Found {
  return { kind: 'contradiction', reason };
}

async function startOf(
  store: Pick<RecordStore, 'read'>,
  address: ProfileAddress,
  from: Source,
): Promise<string | undefined> {
  if (address.kind === 'id') return address.profileId;
  const link = await readRecord(store, recordKeys.link(address.keyName, address.value), from);
  return link?.kind === 'link' ? (link.profileId ?? undefined) : undefined;
}

async function readRecord(
  store: Pick<RecordStore, 'read'>,
  key: string,
  from: Source,
): Promise<RecordState | undefined> {
  const value = (await store.read([key], from)).get(key)?.value ?? null;
  if (value === null) return undefined;
  try {
    return decodeRecord(key, value);
  } catch (error) {
    throw new StitchworkError('RECORD_DAMAGED', `record ${key}`, { cause: error });
  }
}
