// Searches decisions and attempts, two logs as one, from the newest entry back. There is no index: a search looks at a
// bounded number of entries for a bounded time, and tells where to go on.
import type { DeliveryEntry } from '../../shared/contract/delivery.ts';
import type { Activation } from '../../shared/contract/outbox.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import type { AuditLog, AuditMessage } from '../../shared/ports/audit-log.ts';

export interface ActivationFilter {
  /** Ids that mean the profile; undefined: any profile. */
  readonly profileIds: readonly string[] | undefined;
  readonly id: string | undefined;
  readonly name: string | undefined;
  readonly destination: string | undefined;
  readonly kinds: readonly string[] | undefined;
  readonly messageId: string | undefined;
}

/** Sequences that the search goes on below. */
export interface Positions {
  readonly decisions: number;
  readonly attempts: number;
}

export type FoundActivation = { readonly writtenAtMs: number } & (
  | { readonly kind: 'decided'; readonly activation: Activation }
  | { readonly kind: 'attempt'; readonly attempt: DeliveryEntry }
);

export interface ActivationsFound {
  /** Newest first. */
  readonly entries: readonly FoundActivation[];
  readonly scanned: number;
  /** Where to go on; undefined: nothing older is asked for. */
  readonly next: Positions | undefined;
}

export interface ActivationSearch {
  readonly filter: ActivationFilter;
  readonly sinceMs: number | undefined;
  readonly untilMs: number | undefined;
  readonly before: Positions;
  readonly limit: number;
}

export interface ActivationLogs {
  readonly decisions: Pick<AuditLog, 'readBack'>;
  readonly attempts: Pick<AuditLog, 'readBack'>;
}

const PAGE = { messages: 500, bytes: 2 * 1024 * 1024 } as const;
const FOUND_BYTES_MAX = 4 * 1024 * 1024;

/** Throws STORE_UNAVAILABLE. */
export async function searchActivations(
  logs: ActivationLogs,
  search: ActivationSearch,
  budget: { readonly clock: Clock; readonly ms: number; readonly entries: number },
): Promise<ActivationsFound> {
  const { filter, sinceMs, untilMs, before, limit } = search;
  const wants = (kind: 'decided' | 'attempt') =>
    !filter.kinds || filter.kinds.some((asked) => (asked === 'decided') === (kind === 'decided'));
  const decisions = new Side(logs.decisions, before.decisions, wants('decided'));
  const attempts = new Side(logs.attempts, before.attempts, wants('attempt'));
  const entries: FoundActivation[] = [];
  const startMs = budget.clock.elapsedMs();
  let scanned = 0;
  let bytes = 0;
  const found = (isOver: boolean): ActivationsFound => ({
    entries,
    scanned,
    next: isOver ? undefined : { decisions: decisions.position, attempts: attempts.position },
  });
  for (;;) {
    // A page is read when a side runs out: that is where time goes.
    const isSpent = scanned >= budget.entries || budget.clock.elapsedMs() - startMs >= budget.ms;
    if (isSpent || entries.length >= limit || bytes >= FOUND_BYTES_MAX)
      return found(decisions.isOver && attempts.isOver);
    const [decision, attempt] = [await decisions.peek(), await attempts.peek()];
    const side = !decision || (attempt && attempt.timeMs >= decision.timeMs) ? attempts : decisions;
    const message = side === attempts ? attempt : decision;
    if (!message || (sinceMs !== undefined && message.timeMs < sinceMs)) return found(true);
    side.take();
    if (untilMs !== undefined && message.timeMs >= untilMs) continue;
    scanned += 1;
    const entry = side === attempts ? attemptOf(message) : decisionOf(message);
    if (!entry || !matches(entry, filter)) continue;
    bytes += message.payload.length;
    entries.push(entry);
  }
}

/** One of the two logs, read page by page. */
class Side {
  readonly #log: Pick<AuditLog, 'readBack'>;
  #before: number;
  #page: AuditMessage[] = [];
  #isLast: boolean;

  constructor(log: Pick<AuditLog, 'readBack'>, before: number, isWanted: boolean) {
    this.#log = log;
    this.#before = before;
    this.#isLast = !isWanted;
  }

  /** The newest that was not taken; undefined: there is none. */
  async peek(): Promise<AuditMessage | undefined> {
    while (this.#page.length === 0 && !this.#isLast) {
      const page = await this.#log.readBack(this.#before, PAGE);
      this.#page = [...page.messages].reverse();
      this.#before = page.from;
      this.#isLast = page.isLast;
    }
    return this.#page.at(-1);
  }

  take(): void {
    this.#page.pop();
  }

  get isOver(): boolean {
    return this.#page.length === 0 && this.#isLast;
  }

  get position(): number {
    const next = this.#page.at(-1);
    return next ? next.sequence + 1 : this.#before;
  }
}

function matches(entry: FoundActivation, filter: ActivationFilter): boolean {
  const { profileIds, id, name, destination, kinds, messageId } = filter;
  const about = entry.kind === 'decided' ? entry.activation : entry.attempt;
  const ownId = entry.kind === 'decided' ? entry.activation.id : entry.attempt.activationId;
  const own = entry.kind === 'decided' ? (entry.activation.to ?? []) : [entry.attempt.destination];
  const kind = entry.kind === 'decided' ? 'decided' : entry.attempt.outcome;
  if (id !== undefined && ownId !== id) return false;
  if (name !== undefined && about.name !== name) return false;
  if (destination !== undefined && !own.includes(destination)) return false;
  if (kinds && !kinds.includes(kind)) return false;
  if (profileIds && !profileIds.includes(about.profileId)) return false;
  return messageId === undefined || about.cause.messageId === messageId;
}

function decisionOf(message: AuditMessage): FoundActivation | undefined {
  const activation = jsonOf(message) as Activation | undefined;
  return activation?.cause && { kind: 'decided', writtenAtMs: message.timeMs, activation };
}

function attemptOf(message: AuditMessage): FoundActivation | undefined {
  const attempt = jsonOf(message) as DeliveryEntry | undefined;
  return attempt?.cause && { kind: 'attempt', writtenAtMs: message.timeMs, attempt };
}

/** Undefined: something else stands there, and matches nothing. */
function jsonOf({ payload }: AuditMessage): unknown {
  try {
    return (
      JSON.parse(Buffer.from(payload.buffer, payload.byteOffset, payload.length).toString()) ?? undefined
    );
  } catch {
    // What cannot be read matches nothing.
    return undefined;
  }
}
