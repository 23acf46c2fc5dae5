// The key that an SDK presents. Where several segments are deployed, `<key>@<segment>` says for which one it sends, since an
// SDK lets its user set a key and a host, and little else.
import type { Authenticator } from '../http/auth.ts';

export interface PresentedKey {
  readonly key: string | undefined;
  /** The segment that the key names. */
  readonly segment: string | undefined;
}

/** A key that is known as it stands names no segment, whatever it looks like. */
export function readPresented(presented: string | undefined, auth: Authenticator): PresentedKey {
  const at = presented?.lastIndexOf('@') ?? -1;
  if (presented === undefined || at < 1 || auth.isKnown(presented))
    return { key: presented, segment: undefined };
  return { key: presented.slice(0, at), segment: presented.slice(at + 1) };
}
