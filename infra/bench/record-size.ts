// The mean size of the profile records that are stored: of those that a sample of keys leads to.
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import type { Rig } from './rig.ts';
import { keysOf, SHOP_KEYS } from './workload.ts';

const SAMPLE = 500;

/** Throws when not one profile of the bench is found. */
export async function meanRecordBytes(rig: Rig, profiles: number): Promise<number> {
  const store = createRecordStore(rig.door, rig.names);
  const step = Math.max(1, Math.floor(profiles / SAMPLE));
  const links: string[] = [];
  for (let profile = 0; profile < profiles && links.length < SAMPLE; profile += step) {
    const { customer_id } = keysOf(SHOP_KEYS, profile);
    links.push(recordKeys.link('customer_id', customer_id ?? ''));
  }
  const records: string[] = [];
  for (const { key, value } of (await store.read(links, 'replica')).values()) {
    if (value === null) continue;
    const link = decodeRecord(key, value);
    if (link.kind === 'link' && link.profileId) records.push(recordKeys.profile(link.profileId));
  }
  const sizes: number[] = [];
  for (const { value } of (await store.read(records, 'replica')).values())
    if (value) sizes.push(value.length);
  if (sizes.length === 0) throw new Error('no profile of the bench is stored');
  return Math.round(sizes.reduce((sum, size) => sum + size, 0) / sizes.length);
}
