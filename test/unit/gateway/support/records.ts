// Stored records of the profile bucket, as small as a gateway test needs them.

export function makeProfile(id: string, keys: Record<string, string[]>): unknown {
  return { kind: 'profile', id, keys };
}
export function makeRedirect(to: string): unknown {
  return { kind: 'redirect', to };
}
export function makeLink(profileId: string): unknown {
  return { profileId };
}
