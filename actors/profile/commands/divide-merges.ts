// Which of the profiles that were merged into one go along when a part of it lives again: those that had become part of
// that part before.
import { recordKeys } from '../../../shared/contract/names.ts';
import type { Draft } from '../draft.ts';
import type { Profile, Redirect } from '../profile.ts';

export interface MergeShares {
  readonly staying: readonly string[];
  /** Without the revived one itself. */
  readonly leaving: readonly string[];
  /** All that leave, the revived one among them. */
  readonly leavingCount: number;
  /** Records to be read first. */
  readonly missing: readonly string[];
}

/** `revivedId`: the retired profile that lives again; undefined: none does. */
export function divideMerges(draft: Draft, whole: Profile, revivedId: string | undefined): MergeShares {
  if (revivedId === undefined)
    return { staying: whole.mergedFrom, leaving: [], leavingCount: 0, missing: [] };
  const missing = new Set<string>();
  const leaving = whole.mergedFrom.filter((id) => passesThrough(draft, id, revivedId, missing));
  return {
    staying: whole.mergedFrom.filter((id) => !leaving.includes(id)),
    leaving: leaving.filter((id) => id !== revivedId),
    leavingCount: leaving.length,
    missing: [...missing],
  };
}

/** Whether the redirects from an id lead through another. They end: chasing any of them has found the profile. */
function passesThrough(draft: Draft, start: string, through: string, missing: Set<string>): boolean {
  let id = start;
  for (;;) {
    if (id === through) return true;
    const key = recordKeys.profile(id);
    const state = draft.get(key) as Profile | Redirect | null | undefined;
    if (state === undefined) missing.add(key);
    if (state?.kind !== 'redirect') return false;
    // Who went along depends on it.
    draft.guard(key);
    id = state.to;
  }
}
