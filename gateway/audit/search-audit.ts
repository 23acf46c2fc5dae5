// Searches the audit log from the newest entry back. There is no index: a search looks at a bounded number of entries for a
// bounded time, and tells where to go on.
import type { AuditEntry } from '../../shared/contract/outbox.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import type { AuditLog, AuditMessage } from '../../shared/ports/audit-log.ts';
import { type AuditFilter, asksNothing, matchesEntry } from './match-entry.ts';

export interface AuditSearch {
  readonly filter: AuditFilter;
  /** Entries copied before this are not asked for. */
  readonly sinceMs: number | undefined;
  /** Entries copied then or later are not asked for. */
  readonly untilMs?: number | undefined;
  /** Entries from this sequence on are not asked for. */
  readonly before: number;
  readonly limit: number;
}

export interface FoundEntry {
  readonly sequence: number;
  readonly writtenAtMs: number;
  /** Where the message stands in the event log that the entry tells of; undefined when the entry does not say. */
  readonly logSequence: number | undefined;
  readonly entry: AuditEntry;
}

export interface AuditFound {
  /** Newest first. */
  readonly entries: readonly FoundEntry[];
  /** Entries that were looked at. */
  readonly scanned: number;
  /** When the oldest of them was written; undefined: none was looked at. */
  readonly oldestMs: number | undefined;
  /** The `before` to go on with; undefined: nothing older is asked for. */
  readonly next: number | undefined;
}

export interface SearchBudget {
  readonly clock: Clock;
  /** No page is begun after so long. */
  readonly ms: number;
  /** Entries looked at, at most. */
  readonly entries: number;
}

export const SCANNED_MAX = 100_000;
const PAGE = { messages: 1000, bytes: 4 * 1024 * 1024 } as const;
/** Bytes of entries that are answered at once. */
const FOUND_BYTES_MAX = 4 * 1024 * 1024;

/** Throws STORE_UNAVAILABLE. */
export async function searchAudit(
  log: Pick<AuditLog, 'readBack'>,
  search: AuditSearch,
  budget: SearchBudget,
): Promise<AuditFound> {
  const startMs = budget.clock.elapsedMs();
  const scan = new Scan(search);
  let { before } = search;
  for (;;) {
    const left = budget.entries - scan.scanned;
    const wanted = asksNothing(search.filter) ? search.limit - scan.entries.length : PAGE.messages;
    const messages = Math.min(PAGE.messages, left, wanted);
    const page = await log.readBack(before, { messages, bytes: PAGE.bytes });
    for (const [index, message] of page.messages.entries()) {
      const step = scan.take(message);
      if (step === 'over') return scan.found(undefined);
      if (step === 'more') continue;
      const isLast = page.isLast && index === page.messages.length - 1;
      return scan.found(isLast ? undefined : message.sequence);
    }
    if (page.isLast) return scan.found(undefined);
    before = page.from;
    const isSpent = scan.scanned >= budget.entries || budget.clock.elapsedMs() - startMs >= budget.ms;
    if (isSpent) return scan.found(before);
  }
}

class Scan {
  readonly entries: FoundEntry[] = [];
  scanned = 0;
  readonly #search: AuditSearch;
  #bytes = 0;
  #oldestMs: number | undefined;

  constructor(search: AuditSearch) {
    this.#search = search;
  }

  /** `over`: this one and all before it are too old; `full`: this one was the last to be answered. */
  take({ sequence, timeMs, payload }: AuditMessage): 'more' | 'full' | 'over' {
    const { sinceMs, untilMs, filter, limit } = this.#search;
    if (sinceMs !== undefined && timeMs < sinceMs) return 'over';
    // The reading begins there, as far as the replica that was asked knew.
    if (untilMs !== undefined && timeMs >= untilMs) return 'more';
    this.scanned += 1;
    this.#oldestMs = timeMs;
    const entry = entryOf(payload);
    if (!entry || !matchesEntry(entry, filter)) return 'more';
    this.#bytes += payload.length;
    this.entries.push({ sequence, writtenAtMs: timeMs, logSequence: logSequenceOf(entry), entry });
    return this.entries.length >= limit || this.#bytes >= FOUND_BYTES_MAX ? 'full' : 'more';
  }

  found(next: number | undefined): AuditFound {
    return { entries: this.entries, scanned: this.scanned, oldestMs: this.#oldestMs, next };
  }
}

/** Undefined: something else than an audit entry stands there. */
function entryOf(payload: Uint8Array): AuditEntry | undefined {
  try {
    const entry = JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString());
    return Array.isArray(entry?.facts) ? (entry as AuditEntry) : undefined;
  } catch {
    // What cannot be read matches nothing.
    return undefined;
  }
}

/** The id of an entry begins with the sequence of its message. */
function logSequenceOf({ id }: AuditEntry): number | undefined {
  const match = /^(\d+)-/.exec(String(id));
  return match ? Number(match[1]) : undefined;
}
