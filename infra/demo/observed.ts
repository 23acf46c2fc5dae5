// What the system says after the demo's events: every profile through the API, activations and audit from their streams.
import type { SegmentNames } from '../../shared/contract/names.ts';
import type { Activation, AuditEntry } from '../../shared/contract/outbox.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import { readStream } from '../../shared/nats/stream-reader.ts';
import { type ApiTarget, apiGet } from '../cli/api-client.ts';

export interface ProfileAnswer {
  readonly id: string;
  readonly keys: Readonly<Record<string, readonly string[]>>;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly mergedFrom?: readonly string[];
}

const READS_AT_ONCE = 16;

/** The profile of each value of a key. Throws when one has none. */
export async function readProfiles(
  target: ApiTarget,
  keyName: string,
  values: Iterable<string>,
): Promise<ReadonlyMap<string, ProfileAnswer>> {
  const found = new Map<string, ProfileAnswer>();
  const waiting = [...values];
  const reader = async () => {
    for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
      const path = `/v1/profiles/${keyName}/${encodeURIComponent(value)}`;
      found.set(value, (await apiGet(target, path)) as ProfileAnswer);
    }
  };
  await Promise.all(Array.from({ length: READS_AT_ONCE }, reader));
  return found;
}

export async function readActivations(door: NatsDoor, names: SegmentNames): Promise<readonly Activation[]> {
  return (await readBodies(door, names.activationsStream)) as Activation[];
}

export async function readAudit(door: NatsDoor, names: SegmentNames): Promise<readonly AuditEntry[]> {
  return (await readBodies(door, names.auditStream)) as AuditEntry[];
}

async function readBodies(door: NatsDoor, stream: string): Promise<readonly unknown[]> {
  const bodies: unknown[] = [];
  for await (const { payload } of readStream(door, stream, {})) {
    if (payload.length > 0) bodies.push(JSON.parse(Buffer.from(payload).toString('utf8')));
  }
  return bodies;
}

/** How many facts of a kind the audit entries hold. */
export function countFacts(audit: readonly AuditEntry[], kind: string): number {
  return audit.reduce((sum, entry) => sum + entry.facts.filter((fact) => fact.kind === kind).length, 0);
}
