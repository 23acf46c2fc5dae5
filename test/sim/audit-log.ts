// The audit log in memory: what the copies of the outbox put there, read backwards.
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { AuditLog, AuditMessage } from '../../shared/ports/audit-log.ts';
import type { SimCopies } from './copies.ts';
import type { SimProcess } from './process.ts';

const REQUEST_TIMEOUT_MS = 800;

export function simAuditLog(copies: SimCopies, process: SimProcess): AuditLog {
  const ask = <T>(label: string, answer: () => T): Promise<T> =>
    process.call<T>({
      label: `audit.${label}`,
      timeoutMs: REQUEST_TIMEOUT_MS,
      onTimeout: () => new StitchworkError('STORE_UNAVAILABLE', 'simulated: no reply from the audit log'),
      serve: (reply) => reply(answer()),
    });
  const all = (): readonly AuditMessage[] =>
    copies.copied.audit.map(({ value }, index) => ({
      sequence: index + 1,
      timeMs: copies.auditCopiedAtMs[index]!,
      payload: value!,
    }));
  return {
    end: (beforeMs) =>
      ask(`end ${beforeMs}`, () => {
        const first = all().find(({ timeMs }) => beforeMs !== undefined && timeMs >= beforeMs);
        return first?.sequence ?? all().length + 1;
      }),
    readBack: (before, limits) =>
      ask(`readBack ${before}`, () => {
        const older = all().filter(({ sequence }) => sequence < before);
        const messages: AuditMessage[] = [];
        let bytes = 0;
        for (const message of older.reverse()) {
          bytes += message.payload.length;
          if (messages.length === limits.messages || (bytes > limits.bytes && messages.length > 0)) break;
          messages.push(message);
        }
        const from = messages.at(-1)?.sequence ?? before;
        return { messages, from, isLast: messages.length === 0 || from === 1 };
      }),
  };
}
