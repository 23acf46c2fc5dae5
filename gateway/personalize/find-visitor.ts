// From the keys of a call to the profile that an event with them would belong to, as it was last committed. Nothing is
// written, and nobody is made. A key stands in its link and on the profile in one commit, so that a link that is remembered is
// believed as long as the profile lists the key.
import type { EventKey } from '../../actors/identity/keys.ts';
import { holdsKey, type Profile } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';
import { readProfile } from '../profiles/read-profile.ts';
import { createLastUsed, type LastUsed } from './last-used.ts';

type Store = Pick<RecordStore, 'read'>;

const REMEMBERED = { entries: 50_000, bytes: 16 * 1024 * 1024 };
/** Profile ids by record key of the link. */
const remembered = new WeakMap<Store, LastUsed<string>>();

/**
 * The profile of the strongest key that one has. One read when the strongest key is remembered, else all links, then the
 * profile; more only when what they say does not fit together. Undefined: nobody has any of them. Throws STORE_UNAVAILABLE,
 * RECORD_DAMAGED.
 */
export async function findVisitor(store: Store, keys: readonly EventKey[]): Promise<Profile | undefined> {
  const [strongest] = keys;
  if (!strongest) return undefined;
  const known = knownTo(store);
  const linkKeys = keys.map(({ config: { name }, value }) => recordKeys.link(name, value));
  const believed = known.get(linkKeys[0]!);
  if (believed !== undefined) {
    const profile = await profileOf(store, believed, strongest);
    if (profile) return profile;
    known.delete(linkKeys[0]!);
  }
  const links = await store.read(linkKeys, 'replica');
  for (const [i, key] of keys.entries()) {
    const linkKey = linkKeys[i]!;
    const stored = links.get(linkKey)?.value;
    const link = stored ? decodeRecord(linkKey, stored) : undefined;
    if (link?.kind !== 'link' || link.profileId === null) continue;
    const found =
      (await profileOf(store, link.profileId, key)) ??
      // Something is older than the rest: the careful way tells.
      (await readProfile(store, { kind: 'key', keyName: key.config.name, value: key.value }));
    if (!found) continue;
    known.put(linkKey, found.id, found.id.length);
    return found;
  }
  return undefined;
}

/** The profile that stands for an id now, when it lists the key. */
async function profileOf(store: Store, profileId: string, key: EventKey): Promise<Profile | undefined> {
  const profile = await readProfile(store, { kind: 'id', profileId });
  return profile && holdsKey(profile, key.config.name, key.value) ? profile : undefined;
}

function knownTo(store: Store): LastUsed<string> {
  const known = remembered.get(store) ?? createLastUsed<string>(REMEMBERED);
  remembered.set(store, known);
  return known;
}
