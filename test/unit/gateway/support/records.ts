// Records of the profile bucket, as small as a gateway test needs them.
import type { Link, Profile, Redirect } from '../../../../actors/profile/profile.ts';

export function makeProfile(id: string, keys: Readonly<Record<string, readonly string[]>>): Profile {
  const held = Object.entries(keys).map(([name, values]) => [
    name,
    values.map((value) => ({ value, firstSeenMs: 1_000, lastSeenMs: 1_000, source: 'm1' })),
  ]);
  return {
    kind: 'profile',
    id,
    createdAtMs: 1_000,
    updatedAtMs: 2_000,
    lastEventAtMs: 2_000,
    keys: Object.fromEntries(held) as Profile['keys'],
    attributes: { last_category: { kind: 'single', value: 'yoga', atMs: 2_000, messageId: 'm1' } },
    seen: [],
    timers: {},
    generation: 0,
    fired: {},
    mergedFrom: [],
    mergedCount: 0,
    configVersion: 1,
  };
}

export function makeRedirect(to: string): Redirect {
  return { kind: 'redirect', to, atMs: 1_000, generation: 0 };
}

export function makeLink(profileId: string): Link {
  return { kind: 'link', profileId, atMs: 1_000, source: 'm1' };
}
