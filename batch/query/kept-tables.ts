// Activations and audit entries as tables of DuckDB: what of a message has a column, and how one becomes a row. A message
// that cannot be read is left out and counted: one that somebody else wrote must not hide all others.
import type { Activation, AuditEntry } from '../../shared/contract/outbox.ts';
import type { KeptKind, KeptMessage, KeptMessages } from '../../shared/ports/kept-messages.ts';
import type { Duck } from '../duck.ts';
import { TableFiller } from '../jobs/table-filler.ts';

export const KEPT_COLUMNS: Readonly<Record<KeptKind, string>> = {
  activations: `sequence BIGINT, log_time TIMESTAMP, id VARCHAR, name VARCHAR, profile_id VARCHAR, keys JSON, payload JSON,
    cause JSON, config_version INTEGER`,
  audit: `sequence BIGINT, log_time TIMESTAMP, id VARCHAR, kind VARCHAR, profile_id VARCHAR, message_id VARCHAR, facts JSON,
    config_version INTEGER`,
};

/** Makes the table of a kind, of its name. Resolves with how many messages could not be read. */
export async function fillKept(
  { duck, kept, signal }: { readonly duck: Duck; readonly kept: KeptMessages; readonly signal: AbortSignal },
  kind: KeptKind,
): Promise<number> {
  return duck.use(async (connection) => {
    await connection.run(`CREATE TABLE ${kind} (${KEPT_COLUMNS[kind]})`);
    const filler = new TableFiller(duck, connection, kind);
    let broken = 0;
    for await (const batch of kept.read(kind, signal)) {
      for (const message of batch) {
        const row = rowOf(kind, message);
        if (row) await filler.add(row);
        else broken += 1;
      }
    }
    await filler.close();
    return broken;
  });
}

function rowOf(kind: KeptKind, { sequence, payload }: KeptMessage): readonly unknown[] | undefined {
  try {
    const said: unknown = JSON.parse(Buffer.from(payload).toString('utf8'));
    return kind === 'activations'
      ? activationRow(sequence, said as Activation)
      : auditRow(sequence, said as AuditEntry);
  } catch {
    // Not what we write: counted by the caller.
    return undefined;
  }
}

function activationRow(sequence: number, one: Activation): readonly unknown[] {
  const { id, name, profileId, keys, payload, cause, at, configVersion } = one;
  const said = [JSON.stringify(keys), JSON.stringify(payload), JSON.stringify(cause)];
  return [sequence, timeOf(at), id, name, profileId, ...said, configVersion];
}

function auditRow(sequence: number, one: AuditEntry): readonly unknown[] {
  const { id, kind, profileId = null, messageId = null, facts, at, configVersion } = one;
  return [sequence, timeOf(at), id, kind, profileId, messageId, JSON.stringify(facts), configVersion];
}

function timeOf(at: string): Date | null {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? null : date;
}
