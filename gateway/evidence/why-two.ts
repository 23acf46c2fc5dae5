// Two keys that are not of one profile: what kept them apart, and what would happen if an event named both now. The audit log
// tells of the past; the same code that decides events tells the rest, over the records as they are stored.
import { KeyTally } from '../../actors/identity/key-tally.ts';
import { areApart } from '../../actors/identity/resolve.ts';
import type { Profile } from '../../actors/profile/profile.ts';
import { IdentitySimulation } from '../../actors/profile/simulate.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { AuditEntry, AuditFact } from '../../shared/contract/outbox.ts';
import { type NamedKey, profilesOf } from '../audit/match-entry.ts';
import { type AuditFound, type FoundEntry, type SearchBudget, searchAudit } from '../audit/search-audit.ts';
import type { GatewaySegment } from '../deps.ts';
import { loadRecords } from '../profiles/load-records.ts';

/** A key, and the profile that has it, if one does. */
export interface Side {
  readonly key: NamedKey;
  readonly profile: Profile | undefined;
}

/** A fact that kept the two apart, or parted them. */
export interface Separation {
  readonly kind: string;
  readonly reason: string | undefined;
  readonly detail: string | undefined;
  readonly key: NamedKey | undefined;
  /** The profile that the event belongs to. */
  readonly profileId: string | undefined;
  readonly heldBy: string | undefined;
  readonly messageId: string | undefined;
  readonly at: string;
}

export interface IfNamedNow {
  readonly joined: boolean;
  readonly facts: readonly AuditFact[];
}

export interface WhyTwo {
  readonly because: readonly string[];
  readonly refusals: readonly Separation[];
  readonly partings: readonly Separation[];
  readonly apartSince: string | undefined;
  readonly limits: readonly { readonly reason: string; readonly detail: string }[];
  /** Undefined: no event can name two values of one key. */
  readonly ifNamedNow: IfNamedNow | undefined;
  readonly found: AuditFound;
}

type Evidence = Pick<GatewaySegment, 'audit' | 'config' | 'store'>;

const REFUSALS: readonly string[] = ['link_refused', 'key_demoted'];
const PARTINGS: readonly string[] = ['key_evicted', 'profile_split'];
const ENTRIES_MAX = 100;

/** Throws STORE_UNAVAILABLE. */
export async function whyTwo(
  segment: Evidence,
  sides: readonly [Side, Side],
  budget: SearchBudget,
): Promise<WhyTwo> {
  const nowMs = budget.clock.nowMs();
  const config = segment.config();
  const parties = sides.map(partyOf);
  const isSeparation = (entry: AuditEntry, fact: AuditFact) =>
    (REFUSALS.includes(fact.kind) || PARTINGS.includes(fact.kind)) &&
    parties.every((party) => isNamed(party, entry, fact));
  const search = {
    filter: { accepts: (entry: AuditEntry) => entry.facts.some((fact) => isSeparation(entry, fact)) },
    sinceMs: undefined,
    before: await segment.audit.end(),
    limit: ENTRIES_MAX,
  };
  const found = await searchAudit(segment.audit, search, budget);
  const separations = found.entries.flatMap((one) =>
    one.entry.facts.filter((fact) => isSeparation(one.entry, fact)).map((fact) => separationOf(one, fact)),
  );
  const [a, b] = sides.map(({ profile }) => profile);
  const facts = {
    refusals: separations.filter(({ kind }) => REFUSALS.includes(kind)),
    partings: separations.filter(({ kind }) => PARTINGS.includes(kind)),
    apartSince: a && b && apartSince(a, b),
    limits: a && b ? brokenLimits(a, b, config, nowMs) : [],
  };
  const ifNamedNow = await simulate(segment, sides, nowMs);
  return { because: becauseOf(sides, facts), ...facts, ifNamedNow, found };
}

interface Party {
  readonly key: NamedKey;
  readonly ids: ReadonlySet<string>;
}

function partyOf({ key, profile }: Side): Party {
  return { key, ids: new Set(profile ? [profile.id, ...profile.mergedFrom] : []) };
}

/** Whether a fact is about the key, or one of the profiles that it names is the one that has it. */
function isNamed({ key, ids }: Party, entry: AuditEntry, fact: AuditFact): boolean {
  if (fact.key?.name === key.name && fact.key.value === key.value) return true;
  return [entry.profileId, ...profilesOf(fact)].some((id) => id !== undefined && ids.has(id));
}

function separationOf({ entry }: FoundEntry, { kind, reason, detail, key, heldBy }: AuditFact): Separation {
  const { profileId, messageId, at } = entry;
  return {
    kind,
    reason,
    detail,
    key,
    profileId,
    heldBy: typeof heldBy === 'string' ? heldBy : undefined,
    messageId,
    at,
  };
}

function apartSince(a: Profile, b: Profile): string | undefined {
  if (!areApart(a, b)) return undefined;
  const names = ({ apart = [] }: Profile, { id, mergedFrom }: Profile) =>
    apart.filter(({ profileId }) => profileId === id || mergedFrom.includes(profileId));
  const times = [...names(a, b), ...names(b, a)].map(({ atMs }) => atMs);
  return new Date(Math.max(...times)).toISOString();
}

/** Every limit that the two together would break, one key at a time. */
function brokenLimits(
  a: Profile,
  b: Profile,
  config: SegmentConfig,
  nowMs: number,
): readonly { readonly reason: string; readonly detail: string }[] {
  const broken: { reason: string; detail: string }[] = [];
  const { keys } = config.stitching;
  for (const { name } of keys) {
    const [ofA, ofB] = [a, b].map((profile) => ({ [name]: profile.keys[name] ?? [] }));
    const before = new KeyTally().withValues(ofA!);
    const found = before.withValues(ofB!).broken(config, nowMs, before);
    if (found?.reason === 'limit') broken.push({ reason: found.reason, detail: found.detail });
  }
  const before = new KeyTally().withValues(a.keys);
  const all = before.withValues(b.keys);
  const { maxKeysPerProfile } = config.stitching;
  if (all.size > maxKeysPerProfile && all.size > before.size)
    broken.push({ reason: 'max_keys', detail: `limit of ${maxKeysPerProfile} keys a profile` });
  return broken;
}

/** One event that names both, decided over what is stored now; nothing is written. */
async function simulate(
  { config, store }: Evidence,
  [a, b]: readonly [Side, Side],
  nowMs: number,
): Promise<IfNamedNow | undefined> {
  if (a.key.name === b.key.name) return undefined;
  const simulation = new IdentitySimulation(config(), nowMs, (keys) => loadRecords(store, keys));
  const keys = { [a.key.name]: a.key.value, [b.key.name]: b.key.value };
  const event = { messageId: 'if-named-now', name: '', keys, properties: {}, timestampMs: nowMs, table: '' };
  const { facts } = await simulation.apply(event);
  const joined = simulation
    .profiles()
    .some((profile) =>
      [a, b].every(({ key: { name, value } }) => profile.keys[name]?.includes(value) === true),
    );
  return { joined, facts };
}

function becauseOf(
  sides: readonly [Side, Side],
  { refusals, partings, apartSince, limits }: Omit<WhyTwo, 'because' | 'ifNamedNow' | 'found'>,
): readonly string[] {
  const because: string[] = [];
  if (apartSince !== undefined) because.push('parted_by_hand');
  if (refusals.length > 0) because.push('refused');
  if (partings.some(({ kind }) => kind === 'key_evicted')) because.push('key_left');
  if (limits.length > 0) because.push('limit');
  if (sides.some(({ profile }) => profile === undefined)) because.push('key_of_nobody');
  if (refusals.length + partings.length === 0 && apartSince === undefined)
    because.push('never_named_together');
  return because;
}
