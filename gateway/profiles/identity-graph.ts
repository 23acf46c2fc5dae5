// Why are these one person: the keys of a profile with their links and times, what was merged into it, what it was parted
// from. Read from the bucket, bounded, and never through the write path.

import type { HeldKey, Link, Profile, Redirect } from '../../actors/profile/profile.ts';
import { decodeRecord, type RecordState } from '../../actors/profile/record-codec.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';

/** Keys and merges that are told, at most; `more` says how many there are beyond. */
const KEYS_MAX = 500;
const MERGES_MAX = 100;

export interface IdentityKey {
  readonly name: string;
  readonly value: string;
  readonly kind: string;
  readonly firstSeenAt: string;
  /** To the minute. */
  readonly lastSeenAt: string;
  /** Message id of the event that attached it. */
  readonly source: string;
  readonly link:
    | {
        readonly since: string;
        readonly source: string;
        readonly past: readonly { readonly profileId: string; readonly until: string }[];
        readonly shared: boolean;
        readonly touches: Readonly<Record<string, readonly string[]>>;
        readonly profiles: readonly string[];
      }
    | undefined;
}

export interface IdentityGraph {
  readonly profileId: string;
  readonly createdAt: string;
  readonly keys: readonly IdentityKey[];
  readonly moreKeys: number;
  readonly observed: Readonly<Record<string, readonly string[]>>;
  readonly merges: readonly {
    readonly from: string;
    readonly at: string | undefined;
    readonly keys: Readonly<Record<string, readonly string[]>> | undefined;
  }[];
  readonly mergedCount: number;
  readonly apart: readonly { readonly profileId: string; readonly at: string }[];
}

const iso = (ms: number) => new Date(ms).toISOString();

/** The identity of a profile. Throws STORE_UNAVAILABLE. */
export async function readIdentity(
  store: Pick<RecordStore, 'read'>,
  profile: Profile,
  config: SegmentConfig,
): Promise<IdentityGraph> {
  const held = Object.entries(profile.keys).flatMap(([name, list]) => list.map((key) => ({ name, key })));
  const shown = held.slice(0, KEYS_MAX);
  const merged = profile.mergedFrom.slice(-MERGES_MAX);
  const records = await readRecords(store, [
    ...shown.map(({ name, key }) => recordKeys.link(name, key.value)),
    ...merged.map(recordKeys.profile),
  ]);
  const kinds = new Map(config.stitching.keys.map(({ name, kind }) => [name, kind]));
  return {
    profileId: profile.id,
    createdAt: iso(profile.createdAtMs),
    keys: shown.map(({ name, key }) => {
      const link = records.get(recordKeys.link(name, key.value));
      return describeKey(name, kinds.get(name) ?? 'unknown', key, link?.kind === 'link' ? link : undefined);
    }),
    moreKeys: held.length - shown.length,
    observed: profile.observed ?? {},
    merges: merged.map((from) => describeMerge(from, records.get(recordKeys.profile(from)))),
    mergedCount: profile.mergedCount,
    apart: (profile.apart ?? []).map(({ profileId, atMs }) => ({ profileId, at: iso(atMs) })),
  };
}

async function readRecords(
  store: Pick<RecordStore, 'read'>,
  keys: readonly string[],
): Promise<ReadonlyMap<string, RecordState>> {
  const found = await store.read(keys, 'replica');
  const records = new Map<string, RecordState>();
  for (const [key, { value }] of found) if (value) records.set(key, decodeRecord(key, value));
  return records;
}

function describeKey(name: string, kind: string, key: HeldKey, link: Link | undefined): IdentityKey {
  return {
    name,
    value: key.value,
    kind,
    firstSeenAt: iso(key.firstSeenMs),
    lastSeenAt: iso(key.lastSeenMs),
    source: key.source,
    link: link && {
      since: iso(link.atMs),
      source: link.source,
      past: (link.past ?? []).map(({ profileId, untilMs }) => ({ profileId, until: iso(untilMs) })),
      shared: link.shared === true,
      touches: link.touches ?? {},
      profiles: link.profiles ?? [],
    },
  };
}

function describeMerge(from: string, record: RecordState | undefined): IdentityGraph['merges'][number] {
  const redirect: Redirect | undefined = record?.kind === 'redirect' ? record : undefined;
  return { from, at: redirect && iso(redirect.atMs), keys: redirect?.was?.keys };
}
