// Two keys of one profile: what made them so. The record tells which event brought a key; the audit log tells of merges and
// of events that added a key, and where they stand in the event log, which has all the keys that they named.
import { linkedKeysOf } from '../../actors/identity/keys.ts';
import { readEnvelope } from '../../actors/profile/parse-message.ts';
import type { Profile } from '../../actors/profile/profile.ts';
import type { LogEnvelope } from '../../shared/contract/event.ts';
import type { AuditFact } from '../../shared/contract/outbox.ts';
import type { NamedKey } from '../audit/match-entry.ts';
import { type AuditFound, type FoundEntry, type SearchBudget, searchAudit } from '../audit/search-audit.ts';
import type { GatewaySegment } from '../deps.ts';
import { type ChainNode, type ChainStep, type Connection, shortestChain } from './link-chain.ts';

type Evidence = Pick<GatewaySegment, 'audit' | 'log' | 'config'>;

/** Entries that are followed to their events. */
const EVENTS_MAX = 200;
const READ_AT_ONCE = 20;

export interface WhyOne {
  readonly chain: readonly ChainStep[];
  /** The part of the audit log that was searched; undefined: the record says it all. */
  readonly found: AuditFound | undefined;
}

/** Throws STORE_UNAVAILABLE, LOG_UNAVAILABLE. */
export async function whyOne(
  segment: Evidence,
  profile: Profile,
  [a, b]: readonly [NamedKey, NamedKey],
  budget: SearchBudget,
): Promise<WhyOne> {
  const bySource = fromSources(profile);
  const direct = shortestChain(a, b, bySource);
  if (direct?.length === 1) return { chain: direct, found: undefined };
  const search = {
    filter: { profileIds: [profile.id, ...profile.mergedFrom], kinds: ['key_attached', 'profiles_merged'] },
    sinceMs: undefined,
    before: await segment.audit.end(),
    limit: EVENTS_MAX,
  };
  const found = await searchAudit(segment.audit, search, budget);
  // Oldest first: of chains of one length, the one that was there first.
  const entries = [...found.entries].reverse();
  const events = await eventsOf(segment, entries);
  const exact = [...events, ...bySource];
  const chain =
    shortestChain(a, b, exact) ??
    shortestChain(a, b, [...exact, ...entries.flatMap(fromFacts)]) ??
    shortestChain(a, b, fromHolding(profile));
  return { chain: chain ?? [], found };
}

/** Keys that one event brought to the profile. */
function fromSources(profile: Profile): readonly Connection[] {
  const bySource = new Map<string, { at: number; nodes: ChainNode[] }>();
  for (const [name, held] of Object.entries(profile.keys)) {
    for (const { value, source, firstSeenMs } of held) {
      const known = bySource.get(source) ?? { at: firstSeenMs, nodes: [] };
      known.nodes.push({ name, value });
      bySource.set(source, known);
    }
  }
  return [...bySource].map(([messageId, { at, nodes }]) => {
    return { by: 'event', messageId, at: new Date(at).toISOString(), nodes };
  });
}

async function eventsOf(segment: Evidence, entries: readonly FoundEntry[]): Promise<readonly Connection[]> {
  const connections: Connection[] = [];
  for (let i = 0; i < entries.length; i += READ_AT_ONCE) {
    const some = entries.slice(i, i + READ_AT_ONCE);
    const read = await Promise.all(some.map((found) => eventOf(segment, found)));
    for (const connection of read) if (connection) connections.push(connection);
  }
  return connections;
}

/** The keys that the event or link named, without those that were left out of it; undefined when the log no longer has it. */
async function eventOf(
  { log, config }: Evidence,
  { entry, logSequence }: FoundEntry,
): Promise<Connection | undefined> {
  if (logSequence === undefined) return undefined;
  const message = await log.messageAt(logSequence);
  const envelope = message && readEnvelope(message.payload);
  const keys = envelope && keysSaid(envelope, entry.messageId);
  if (!keys) return undefined;
  const left = entry.facts.filter(({ kind }) => kind === 'link_refused' || kind === 'key_demoted');
  const usable = linkedKeysOf(config(), keys).usable.map(({ config: { name }, value }) => ({ name, value }));
  const nodes = usable.filter(
    ({ name, value }) => !left.some(({ key }) => key?.name === name && key.value === value),
  );
  return { by: 'event', messageId: entry.messageId, at: entry.at, nodes };
}

/** The keys of the event or link of this id. */
function keysSaid(envelope: LogEnvelope, messageId: string | undefined): readonly NamedKey[] | undefined {
  if (envelope.type === 'link') return envelope.id === messageId ? envelope.keys : undefined;
  if (envelope.type !== 'event' || envelope.event.messageId !== messageId) return undefined;
  return Object.entries(envelope.event.keys).map(([name, value]) => ({ name, value }));
}

/** What an entry says by itself: keys that came to profiles, and profiles that became part of others. */
function fromFacts({ entry }: FoundEntry): readonly Connection[] {
  const { messageId, at } = entry;
  return entry.facts.flatMap((fact): Connection[] => {
    const { key, profileId, into, from } = fact;
    if (fact.kind === 'key_attached' && key && typeof profileId === 'string')
      return [{ by: 'attached', messageId, at, nodes: [key, { profileId }] }];
    if (fact.kind !== 'profiles_merged' || typeof into !== 'string' || typeof from !== 'string') return [];
    const by = isByHand(fact) ? 'merged_by_hand' : 'merged';
    const keys = Object.entries((fact.keys ?? {}) as Record<string, readonly string[]>);
    const held = keys.flatMap(([name, values]) => values.map((value) => ({ name, value })));
    return [
      { by, messageId, at, nodes: [{ profileId: from }, { profileId: into }] },
      ...held.map((node): Connection => {
        return { by: 'held', messageId: undefined, at: undefined, nodes: [node, { profileId: from }] };
      }),
    ];
  });
}

function isByHand({ by }: AuditFact): boolean {
  return by !== undefined;
}

/** What is left when nothing else is known: the profile holds both. */
function fromHolding({ id, keys }: Profile): readonly Connection[] {
  return Object.entries(keys).flatMap(([name, held]) =>
    held.map(({ value, source, firstSeenMs }): Connection => {
      const at = new Date(firstSeenMs).toISOString();
      return { by: 'held', messageId: source, at, nodes: [{ name, value }, { profileId: id }] };
    }),
  );
}
