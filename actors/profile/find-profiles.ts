// From keys to the profiles that hold them, through redirects, over records that may be stale: what does not fit
// together is asked for again, from the leader.

import { recordKeys } from '../../shared/contract/names.ts';
import type { EventKey } from '../identity/keys.ts';
import type { Candidate } from '../identity/resolve.ts';
import type { Draft } from './draft.ts';
import { holdsKey, type Link, type Profile, type Redirect } from './profile.ts';

export type Need = { readonly kind: 'need'; readonly keys: readonly string[]; readonly fresh?: boolean };

export interface KeyHolder extends Candidate<Profile> {
  readonly linkKey: string;
  readonly link: Link | null;
}

/** Longest chain of redirects; a longer one is a circle. */
const HOPS_MAX = 1000;

type Chase =
  | { readonly kind: 'profile'; readonly profile: Profile }
  | { readonly kind: 'absent'; readonly via: readonly string[] }
  | { readonly kind: 'missing'; readonly key: string };

/** The profile that an id stands for now. */
export function chase(draft: Draft, profileId: string): Chase {
  const via: string[] = [];
  let id = profileId;
  for (let hops = 0; hops < HOPS_MAX; hops++) {
    const key = recordKeys.profile(id);
    const state = draft.get(key) as Profile | Redirect | null | undefined;
    if (state === undefined) return { kind: 'missing', key };
    via.push(key);
    if (state === null) return { kind: 'absent', via };
    if (state.kind === 'profile') return { kind: 'profile', profile: state };
    id = state.to;
  }
  throw new Error(`more than ${HOPS_MAX} redirects from profile ${profileId}`);
}

/** Who holds each key; or what has to be read (again) to know. */
export function findHolders(
  draft: Draft,
  keys: readonly EventKey[],
): { readonly kind: 'found'; readonly holders: readonly KeyHolder[] } | Need {
  const linkKeys = keys.map(({ config, value }) => recordKeys.link(config.name, value));
  const missing = linkKeys.filter((key) => draft.get(key) === undefined);
  if (missing.length > 0) return { kind: 'need', keys: missing };
  const holders: KeyHolder[] = [];
  const needed = new Set<string>();
  const contradicting = new Set<string>();
  keys.forEach((key, index) => {
    const linkKey = linkKeys[index]!;
    const link = draft.get(linkKey) as Link | null;
    if (link === null) {
      holders.push({ key, holder: undefined, linkKey, link });
      return;
    }
    const end = chase(draft, link.profileId);
    if (end.kind === 'missing') needed.add(end.key);
    else if (end.kind === 'absent') for (const stale of [linkKey, ...end.via]) contradicting.add(stale);
    else if (holdsKey(end.profile, key.config.name, key.value)) {
      holders.push({ key, holder: end.profile, linkKey, link });
    } else for (const stale of [linkKey, recordKeys.profile(end.profile.id)]) contradicting.add(stale);
  });
  if (needed.size > 0) return { kind: 'need', keys: [...needed] };
  if (contradicting.size > 0) return { kind: 'need', keys: [...contradicting], fresh: true };
  return { kind: 'found', holders };
}

/** Keys of the links of a profile that are not loaded yet. */
export function missingLinks(draft: Draft, profile: Profile): readonly string[] {
  return linkKeysOf(profile).filter((key) => draft.get(key) === undefined);
}

export function linkKeysOf(profile: Profile): readonly string[] {
  return Object.entries(profile.keys).flatMap(([name, held]) =>
    held.map(({ value }) => recordKeys.link(name, value)),
  );
}
