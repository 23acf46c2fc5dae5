// A profile with the rows of the snapshots that are in force: what the worker joins at the next event, a reader sees at once.
import { joinBatch } from '../../actors/profile/join-batch.ts';
import type { Profile, SnapshotRow } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import type { GatewaySegment } from '../deps.ts';

/** Throws STORE_UNAVAILABLE or RECORD_DAMAGED. */
export async function withNewestRows(
  profile: Profile,
  { store, runs, config }: Pick<GatewaySegment, 'store' | 'runs' | 'config'>,
): Promise<Profile> {
  const { batchTables } = config();
  const rows = new Map<string, SnapshotRow | null>();
  const inForce = runs();
  const first = joinBatch(profile, batchTables, inForce, () => undefined);
  if (first.kind === 'joined') return first.profile;
  for (const [key, { value }] of await store.read(first.keys, 'replica'))
    rows.set(key, value && (decodeRecord(key, value) as SnapshotRow));
  const joined = joinBatch(profile, batchTables, inForce, (key) => rows.get(key) ?? null);
  return joined.kind === 'joined' ? joined.profile : profile;
}
