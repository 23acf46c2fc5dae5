// From keys to the profiles that hold them, through redirects, over records that may be stale: what does not fit
// together is asked for again, from the leader.

import type { RecordView } from '../../shared/contract/actor.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { EventKey } from '../identity/keys.ts';
import type { Candidate } from '../identity/resolve.ts';
import type { Draft } from './draft.ts';
import { holdsKey, type Link, type Profile, type Redirect } from './profile.ts';

export type Need = { readonly kind: 'need'; readonly keys: readonly string[]; readonly fresh?: boolean };

export interface KeyHolder extends Candidate<Profile> {
  readonly linkKey: string;
  /** Undefined when there was no need to read it: the profile that the stronger keys lead to lists the key. */
  readonly link: Link | null | undefined;
  /**
   * Another profile than the holder that knows which events with this key have been applied, to whomever: who has the key
   * now, of an event of the past; who had it last, of a key that is nobody's.
   */
  readonly knower: Profile | undefined;
}

const NO_TOUCHES = {};

function heldBy(
  key: EventKey,
  linkKey: string,
  link: Link | null | undefined,
  holder: Profile | undefined,
  isPast = false,
): KeyHolder {
  const isShared = link?.shared === true;
  const touches = link?.touches ?? NO_TOUCHES;
  return { key, linkKey, link, holder, isPast, isShared, touches, knower: undefined };
}

/** The owner that the key had when the event happened, if it has changed since. */
export function pastOwner(link: Link, atMs: number): string | undefined {
  if (!link.past || atMs >= link.atMs) return undefined;
  return link.past.find(({ untilMs }) => atMs < untilMs)?.profileId;
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

/**
 * Who holds each key; or what has to be read (again) to know. Links are followed from the strongest key on. A key that a
 * living profile lists is that profile's (link and list are written by one commit, and the profile's revision is checked
 * by ours), so its link need not be read: the usual event reads one link and one profile.
 */
export function findHolders(
  draft: Draft,
  keys: readonly EventKey[],
  linkKeys: readonly string[],
  atMs: number,
): { readonly kind: 'found'; readonly holders: readonly KeyHolder[] } | Need {
  const holders: KeyHolder[] = [];
  const needed: string[] = [];
  const contradicting = new Set<string>();
  for (let index = 0; index < keys.length; index++) {
    const key = keys[index]!;
    const linkKey = linkKeys[index]!;
    const known = hasLinkRules(key) ? undefined : listedBy(holders, key);
    if (known) {
      holders.push(heldBy(key, linkKey, undefined, known));
      continue;
    }
    const link = draft.get(linkKey) as Link | null | undefined;
    const past = link ? pastOwner(link, atMs) : undefined;
    if (link === undefined) needed.push(linkKey);
    else if (past !== undefined || !link?.profileId) {
      const found = outsideHolders(draft, link, past);
      if (found.kind === 'need') needed.push(...found.keys);
      else holders.push({ ...heldBy(key, linkKey, link, found.holder, past !== undefined), ...found.knower });
    } else {
      const end = chase(draft, link.profileId);
      if (end.kind === 'missing') needed.push(end.key);
      else if (end.kind === 'absent') for (const stale of [linkKey, ...end.via]) contradicting.add(stale);
      else if (holdsKey(end.profile, key.config.name, key.value)) {
        holders.push(heldBy(key, linkKey, link, end.profile));
      } else for (const stale of [linkKey, recordKeys.profile(end.profile.id)]) contradicting.add(stale);
    }
    // Weaker keys wait for what the strongest one leads to: most likely the profile lists them all.
    if (needed.length > 0 && index === 0) break;
  }
  if (needed.length > 0) return { kind: 'need', keys: needed };
  if (contradicting.size > 0) return { kind: 'need', keys: [...contradicting], fresh: true };
  return { kind: 'found', holders };
}

/** Of a key that is nobody's, or was another's when the event happened: that owner, and who knows what was applied. */
function outsideHolders(
  draft: Draft,
  link: Link | null,
  past: string | undefined,
):
  | { readonly kind: 'found'; readonly holder: Profile | undefined; readonly knower: { knower?: Profile } }
  | { readonly kind: 'need'; readonly keys: readonly string[] } {
  const profiles = [past, link?.profileId ?? link?.past?.at(-1)?.profileId].map(
    (id) => id && chase(draft, id),
  );
  const missing = profiles.flatMap((end) => (end && end.kind === 'missing' ? [end.key] : []));
  if (missing.length > 0) return { kind: 'need', keys: missing };
  const [holder, knower] = profiles.map((end) => (end && end.kind === 'profile' ? end.profile : undefined));
  return { kind: 'found', holder, knower: knower ? { knower } : {} };
}

/** What the key was seen with stands on its link. */
function hasLinkRules({ config }: EventKey): boolean {
  return Object.keys(config.links).length > 0;
}

function listedBy(holders: readonly KeyHolder[], key: EventKey): Profile | undefined {
  for (const { holder } of holders) if (holder && holdsKey(holder, key.config.name, key.value)) return holder;
  return undefined;
}

/** The records that `findHolders` is likely to ask for next; none when it has what it needs. */
export function foreseeHolders(
  view: RecordView,
  keys: readonly EventKey[],
  linkKeys: readonly string[],
): readonly string[] {
  const strongest = linkKeys[0];
  if (strongest === undefined) return [];
  const link = view.get(strongest) as Link | null | undefined;
  if (link === undefined) return [strongest];
  if (!link?.profileId) return linkKeys.filter((key) => view.get(key) === undefined);
  const profileKey = recordKeys.profile(link.profileId);
  const profile = view.get(profileKey) as Profile | Redirect | null | undefined;
  if (profile === undefined) return [profileKey];
  if (profile?.kind !== 'profile') return [];
  return linkKeys.filter(
    (linkKey, index) =>
      (hasLinkRules(keys[index]!) || !holdsKey(profile, keys[index]!.config.name, keys[index]!.value)) &&
      view.get(linkKey) === undefined,
  );
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
