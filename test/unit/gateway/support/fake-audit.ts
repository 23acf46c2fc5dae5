// An audit log in memory, with a handle to make it fail, and a note of what was read of it.
import type { AuditEntry, AuditFact } from '../../../../shared/contract/outbox.ts';
import type { AuditLog, AuditMessage, AuditPageLimits } from '../../../../shared/ports/audit-log.ts';

export interface FakeAudit extends AuditLog {
  readonly messages: AuditMessage[];
  /** Set to make reads throw, or hang. */
  failure: (() => Promise<never>) | undefined;
  readonly reads: { readonly before: number; readonly limits: AuditPageLimits }[];
  /** Appends an entry, one ms after the one before it unless it says when. Its kind is that of its first fact. */
  add(entry: Partial<AuditEntry> & { readonly facts: readonly AuditFact[] }, timeMs?: number): void;
}

export function fakeAudit(): FakeAudit {
  const fake: FakeAudit = {
    messages: [],
    failure: undefined,
    reads: [],
    add(entry, timeMs = (fake.messages.at(-1)?.timeMs ?? 0) + 1) {
      const sequence = fake.messages.length + 1;
      const whole: AuditEntry = {
        id: `${sequence}-log`,
        kind: entry.facts[0]!.kind,
        segment: 'shop',
        profileId: undefined,
        messageId: `m${sequence}`,
        at: new Date(timeMs).toISOString(),
        configVersion: 1,
        ...entry,
      };
      fake.messages.push({ sequence, timeMs, payload: Buffer.from(JSON.stringify(whole)) });
    },
    async end(beforeMs) {
      if (fake.failure) return fake.failure();
      const first = fake.messages.find(({ timeMs }) => beforeMs !== undefined && timeMs >= beforeMs);
      return first?.sequence ?? fake.messages.length + 1;
    },
    async readBack(before, limits) {
      fake.reads.push({ before, limits });
      if (fake.failure) return fake.failure();
      const older = fake.messages.filter(({ sequence }) => sequence < before).reverse();
      const messages = older.slice(0, limits.messages);
      return {
        messages,
        from: messages.at(-1)?.sequence ?? before,
        isLast: messages.length === older.length,
      };
    },
  };
  return fake;
}
