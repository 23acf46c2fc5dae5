// From the keys of a call to the profile that an event with them would belong to, as it was last committed. Nothing is
// written, and nobody is made.
import type { EventKey } from '../../actors/identity/keys.ts';
import { holdsKey, type Profile } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';
import { readProfile } from '../profiles/read-profile.ts';

/**
 * The profile of the strongest key that one has. Two reads: all links, then the profile; more only when what they say does
 * not fit together. Undefined: nobody has any of them. Throws STORE_UNAVAILABLE, RECORD_DAMAGED.
 */
export async function findVisitor(
  store: Pick<RecordStore, 'read'>,
  keys: readonly EventKey[],
): Promise<Profile | undefined> {
  if (keys.length === 0) return undefined;
  const linkKeys = keys.map(({ config: { name }, value }) => recordKeys.link(name, value));
  const links = await store.read(linkKeys, 'replica');
  for (const [i, { config, value }] of keys.entries()) {
    const stored = links.get(linkKeys[i]!)?.value;
    const link = stored ? decodeRecord(linkKeys[i]!, stored) : undefined;
    if (link?.kind !== 'link' || link.profileId === null) continue;
    const profile = await readProfile(store, { kind: 'id', profileId: link.profileId });
    if (profile && holdsKey(profile, config.name, value)) return profile;
    // Something is older than the rest: the careful way tells.
    const found = await readProfile(store, { kind: 'key', keyName: config.name, value });
    if (found) return found;
  }
  return undefined;
}
