// The end state as the profile bucket holds it, read record by record with the bare NATS client: a second path beside
// the API. Only the decoder of single records is the product's.
import type { NatsConnection } from 'nats';
import type { Profile } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import type { Expected, ExpectedProfile } from './oracle.ts';
import { readAll, SEGMENT } from './stream-check.ts';

const PREFIX = `$KV.profiles_${SEGMENT}.`;
const REDIRECTS_MAX = 200;

export interface BucketFindings {
  readonly violations: string[];
  readonly links: number;
  readonly redirects: number;
}

interface Bucket {
  readonly live: ReadonlyMap<string, Profile>;
  readonly redirects: ReadonlyMap<string, string>;
  /** `<keyName>:<value>` to profile id. */
  readonly links: ReadonlyMap<string, string>;
}

export async function checkBucket(
  nc: NatsConnection,
  expected: Expected,
  idOf: ReadonlyMap<ExpectedProfile, string>,
): Promise<BucketFindings> {
  const bucket = await readBucket(nc);
  const violations = [
    ...checkKeys(bucket),
    ...checkLinks(bucket, expected, idOf),
    ...checkLive(bucket, expected, idOf),
  ];
  return { violations, links: bucket.links.size, redirects: bucket.redirects.size };
}

async function readBucket(nc: NatsConnection): Promise<Bucket> {
  const live = new Map<string, Profile>();
  const redirects = new Map<string, string>();
  const links = new Map<string, string>();
  for (const { subject, data } of await readAll(nc, `KV_profiles_${SEGMENT}`)) {
    const key = subject.slice(PREFIX.length);
    if (data.length === 0 || !/^[pk]\./.test(key)) continue;
    const record = decodeRecord(key, data);
    if (record.kind === 'profile') live.set(record.id, record);
    else if (record.kind === 'redirect') redirects.set(key.slice(2), record.to);
    else if (record.kind === 'link' && record.profileId) links.set(plainKey(key), record.profileId);
  }
  return { live, redirects, links };
}

/** `k.<keyName>.<base64url>` as `<keyName>:<value>`. */
function plainKey(key: string): string {
  const [, name, encoded = ''] = key.split('.');
  return `${name}:${Buffer.from(encoded, 'base64url').toString('utf8')}`;
}

/** No key is on two live profiles, and every key of a profile has a link that leads to it. */
function checkKeys(bucket: Bucket): string[] {
  const violations: string[] = [];
  const holders = new Map<string, string>();
  for (const profile of bucket.live.values()) {
    for (const key of keysOf(profile)) {
      const other = holders.get(key);
      if (other !== undefined) violations.push(`${key} is held by ${other} and by ${profile.id}`);
      holders.set(key, profile.id);
      const link = bucket.links.get(key);
      if (link === undefined) violations.push(`${key} of ${profile.id} has no link`);
      else if (follow(bucket, link) !== profile.id)
        violations.push(`${key} of ${profile.id} leads to ${link}`);
    }
  }
  return violations;
}

/** Every link is of a key that was sent, and leads to the live profile that the API answers with. */
function checkLinks(
  bucket: Bucket,
  expected: Expected,
  idOf: ReadonlyMap<ExpectedProfile, string>,
): string[] {
  const violations: string[] = [];
  for (const [key, profileId] of bucket.links) {
    const profile = expected.profileByKey.get(key);
    const found = follow(bucket, profileId);
    if (!profile) violations.push(`there is a link for ${key}, which nobody sent`);
    else if (found !== idOf.get(profile))
      violations.push(`link ${key} leads to ${found}, the API to another`);
  }
  return violations;
}

/** The live profiles are those of the oracle, no more and no fewer, and hold every event between them. */
function checkLive(bucket: Bucket, expected: Expected, idOf: ReadonlyMap<ExpectedProfile, string>): string[] {
  const violations: string[] = [];
  const due = new Set(idOf.values());
  for (const id of bucket.live.keys()) if (!due.has(id)) violations.push(`live profile ${id} is nobody's`);
  for (const id of due) if (!bucket.live.has(id)) violations.push(`profile ${id} has no live record`);
  let total = 0;
  for (const { attributes } of bucket.live.values()) {
    const { events } = attributes;
    if (events?.kind === 'counter') total += Math.round(events.total / 1e6);
  }
  if (total !== expected.events)
    violations.push(`profiles count ${total} events, ${expected.events} were sent`);
  return violations;
}

function keysOf(profile: Profile): string[] {
  return Object.entries(profile.keys).flatMap(([name, held]) => held.map(({ value }) => `${name}:${value}`));
}

function follow(bucket: Bucket, id: string): string {
  let at = id;
  for (let steps = 0; steps < REDIRECTS_MAX; steps++) {
    const to = bucket.redirects.get(at);
    if (to === undefined) return bucket.live.has(at) ? at : `nothing (${at})`;
    at = to;
  }
  return `a circle from ${id}`;
}
