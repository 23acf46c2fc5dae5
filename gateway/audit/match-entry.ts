// Whether an audit entry is one that was asked for. What is asked of a fact must hold of one fact; the profile and the
// message are the entry's.
import type { AuditEntry, AuditFact } from '../../shared/contract/outbox.ts';

export interface NamedKey {
  readonly name: string;
  readonly value: string;
}

export interface AuditFilter {
  /** Ids that mean the profile; undefined: any profile. */
  readonly profileIds?: readonly string[] | undefined;
  /** Forms of the key: as it is stored, and as it was sent when no profile may have it. */
  readonly keys?: readonly NamedKey[] | undefined;
  readonly kinds?: readonly string[] | undefined;
  readonly reasons?: readonly string[] | undefined;
  readonly messageId?: string | undefined;
  /** What more must hold of the entry. */
  readonly accepts?: ((entry: AuditEntry) => boolean) | undefined;
}

/** Fields of facts that name profiles. */
const PROFILE_FIELDS = ['profileId', 'into', 'from', 'heldBy'] as const;

/** Nothing is asked for: every entry is one. */
export function asksNothing(filter: AuditFilter): boolean {
  return Object.values(filter).every((part) => part === undefined);
}

export function matchesEntry(entry: AuditEntry, filter: AuditFilter): boolean {
  const { profileIds, messageId, kinds, reasons, keys, accepts } = filter;
  if (messageId !== undefined && entry.messageId !== messageId) return false;
  if (profileIds && !namesProfile(entry, profileIds)) return false;
  if (accepts && !accepts(entry)) return false;
  if (!kinds && !reasons && !keys) return true;
  return entry.facts.some(
    (fact) =>
      (!kinds || kinds.includes(fact.kind)) &&
      (!reasons || (fact.reason !== undefined && reasons.includes(fact.reason))) &&
      (!keys || keys.some((key) => namesKey(fact, key))),
  );
}

/** Whether the entry is of one of the profiles, or a fact of it names one. */
export function namesProfile(entry: AuditEntry, ids: readonly string[]): boolean {
  if (entry.profileId !== undefined && ids.includes(entry.profileId)) return true;
  return entry.facts.some((fact) => profilesOf(fact).some((id) => ids.includes(id)));
}

/** Ids of the profiles that a fact names. */
export function profilesOf(fact: AuditFact): readonly string[] {
  return PROFILE_FIELDS.flatMap((field) => {
    const id = fact[field];
    return typeof id === 'string' ? [id] : [];
  });
}

/** Whether a fact is about a key, alone or as one of a profile that was merged or split. */
export function namesKey(fact: AuditFact, { name, value }: NamedKey): boolean {
  if (fact.key) return fact.key.name === name && fact.key.value === value;
  return keyListsOf(fact)[name]?.includes(value) === true;
}

function keyListsOf({ keys }: AuditFact): Readonly<Record<string, readonly string[]>> {
  return typeof keys === 'object' && keys !== null ? (keys as Record<string, readonly string[]>) : {};
}
