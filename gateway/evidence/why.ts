// Why two keys are one profile, or why they are not.
import type { Profile } from '../../actors/profile/profile.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { NamedKey } from '../audit/match-entry.ts';
import type { AuditFound, SearchBudget } from '../audit/search-audit.ts';
import type { GatewaySegment } from '../deps.ts';
import { readProfile } from '../profiles/read-profile.ts';
import { whyOne } from './why-one.ts';
import { type Side, whyTwo } from './why-two.ts';

/**
 * What is known of two keys, as they are stored, that are not the same. Throws PROFILE_NOT_FOUND when neither is anybody's,
 * STORE_UNAVAILABLE, LOG_UNAVAILABLE, RECORD_DAMAGED.
 */
export async function explain(
  segment: GatewaySegment,
  keys: readonly [NamedKey, NamedKey],
  budget: SearchBudget,
): Promise<object> {
  const [a, b] = await Promise.all(keys.map((key) => sideOf(segment, key)));
  const sides = [a!, b!] as const;
  if (!a!.profile && !b!.profile)
    throw new StitchworkError('PROFILE_NOT_FOUND', 'No profile has either of these keys.');
  const told = {
    keys: sides.map(({ key, profile }) => ({ ...key, profileId: profile?.id ?? null })),
  };
  if (a!.profile && a!.profile.id === b!.profile?.id) {
    const { chain, found } = await whyOne(segment, a!.profile, keys, budget);
    return { one: true, ...told, chain, audit: reachOf(found) };
  }
  const { found, ...why } = await whyTwo(segment, sides, budget);
  return { one: false, ...told, ...why, audit: reachOf(found) };
}

async function sideOf({ store }: GatewaySegment, key: NamedKey): Promise<Side> {
  const address = { kind: 'key', keyName: key.name, value: key.value } as const;
  const profile: Profile | undefined = await readProfile(store, address);
  return { key, profile };
}

/** How much of the audit log the answer rests on. */
function reachOf(found: AuditFound | undefined): object | undefined {
  if (!found) return undefined;
  const { scanned, next, oldestMs } = found;
  const reachesBackTo = oldestMs === undefined ? undefined : new Date(oldestMs).toISOString();
  return { scanned, complete: next === undefined, reachesBackTo };
}
