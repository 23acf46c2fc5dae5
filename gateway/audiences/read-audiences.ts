// How many profiles are in each audience, and some of them: what the shards have counted, each in its own record.
import type { Members } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { GatewaySegment } from '../deps.ts';

export interface AudienceStatus {
  readonly name: string;
  /** Profiles that are in it; as exact as the last commit of every shard. */
  readonly size: number;
  /** Ids of a few that came in lately; another shard may have decided since that one is out. */
  readonly sample: readonly string[];
}

const SAMPLE_MAX = 20;

/** In the order of the config. Throws STORE_UNAVAILABLE or RECORD_DAMAGED. */
export async function readAudiences(
  segment: Pick<GatewaySegment, 'store' | 'shards' | 'config'>,
): Promise<readonly AudienceStatus[]> {
  const { audiences } = segment.config();
  if (audiences.length === 0) return [];
  const keys = Array.from({ length: segment.shards }, (_, shard) => recordKeys.members(shard));
  const found = await segment.store.read(keys, 'replica');
  const shards = [...found].flatMap(([key, { value }]) => (value ? [membersOf(key, value)] : []));
  return audiences.map(({ name }) => {
    const parts = shards.flatMap((members) => members.audiences[name] ?? []);
    const counted = shards.map((members) => members.audiences[name] ?? ([0] as const));
    const size = counted.reduce((sum, [count]) => sum + count, 0);
    const sample = parts.filter((part): part is string => typeof part === 'string').reverse();
    return { name, size, sample: sample.slice(0, SAMPLE_MAX) };
  });
}

function membersOf(key: string, value: Uint8Array): Members {
  const state = decodeRecord(key, value);
  if (state.kind !== 'members') throw new StitchworkError('RECORD_DAMAGED', `record ${key}`);
  return state;
}
