// One customer's life in words, from the audit entries and activations that tell of it.
import type { Activation, AuditEntry, AuditFact } from '../../shared/contract/outbox.ts';

export interface LifeSources {
  readonly customer: string;
  /** The profile's id and those of all that were merged into it. */
  readonly profileIds: ReadonlySet<string>;
  readonly audit: readonly AuditEntry[];
  readonly activations: readonly Activation[];
}

interface Moment {
  readonly at: string;
  readonly text: string;
}

/** What happened, oldest first. */
export function tellLife(sources: LifeSources): readonly string[] {
  /** Which invoice opened a profile. */
  const invoiceOf = new Map<string, string>();
  const moments: Moment[] = [];
  for (const entry of sources.audit) {
    if (entry.profileId === undefined || !sources.profileIds.has(entry.profileId)) continue;
    for (const text of tellEntry(entry, sources.customer, invoiceOf)) moments.push({ at: entry.at, text });
  }
  for (const activation of sources.activations) {
    if (!sources.profileIds.has(activation.profileId)) continue;
    moments.push({
      at: activation.at,
      text: `activation ${activation.name} fires for profile ${shortId(activation.profileId)}`,
    });
  }
  return moments.sort((a, b) => a.at.localeCompare(b.at)).map(({ text }) => text);
}

/** Enough of an id to recognise it: its random end. */
export function shortId(id: string): string {
  return `…${id.slice(-8)}`;
}

function tellEntry(entry: AuditEntry, customer: string, invoiceOf: Map<string, string>): readonly string[] {
  const profile = shortId(entry.profileId ?? '');
  const keys = new Map(entry.facts.flatMap(({ key }) => (key ? [[key.name, key.value] as const] : [])));
  const invoice = keys.get('invoice');
  const named = keys.has('customer_id');
  if (entry.facts.some((fact) => fact.kind === 'profile_added')) {
    if (invoice !== undefined) invoiceOf.set(entry.profileId ?? '', invoice);
    return [
      `invoice ${invoice} opens profile ${profile}, ${named ? `named customer ${customer} at once` : 'of nobody yet'}`,
    ];
  }
  const merges = entry.facts
    .filter((fact) => fact.kind === 'profiles_merged')
    .map((fact) => tellMerge(fact, customer, invoiceOf));
  if (merges.length > 0) return merges;
  if (named)
    return [
      `the last line of invoice ${invoiceOf.get(entry.profileId ?? '')} names customer ${customer}: profile ${profile} is theirs`,
    ];
  return invoice === undefined ? [] : [`invoice ${invoice} of a single line joins profile ${profile}`];
}

function tellMerge(fact: AuditFact, customer: string, invoiceOf: ReadonlyMap<string, string>): string {
  const from = String(fact.from);
  const into = String(fact.into);
  const invoice = invoiceOf.get(from) ?? invoiceOf.get(into) ?? '?';
  return `the last line of invoice ${invoice} names customer ${customer}: profile ${shortId(from)} becomes part of ${shortId(into)}`;
}
