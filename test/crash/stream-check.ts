// The end state as the streams tell it, read with the bare NATS client and none of the product's readers: activations,
// audit entries, dead letters, and whether every copy of the outbox is complete.
import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import type { NatsConnection } from 'nats';
import { until } from './fleet.ts';
import type { Expected, ExpectedProfile } from './oracle.ts';

export const SEGMENT = 'crash';
export const BUCKET_STREAM = `KV_profiles_${SEGMENT}`;
const COPIES = [
  { target: `ACTIVATIONS_${SEGMENT}`, outbox: `$KV.profiles_${SEGMENT}.o.activation.>` },
  { target: `AUDIT_${SEGMENT}`, outbox: `$KV.profiles_${SEGMENT}.o.audit.>` },
  { target: `DEAD_${SEGMENT}`, outbox: `$KV.profiles_${SEGMENT}.o.dead.>` },
];
const COPIES_DEADLINE_MS = 90_000;

export interface StreamEntry {
  readonly subject: string;
  readonly sequence: number;
  readonly data: Uint8Array;
}

/** Everything that a stream holds now. */
export async function readAll(nc: NatsConnection, stream: string): Promise<StreamEntry[]> {
  const manager = await jetstreamManager(nc);
  const { state } = await manager.streams.info(stream);
  const entries: StreamEntry[] = [];
  if (state.messages === 0) return entries;
  const consumer = await jetstream(nc).consumers.get(stream);
  const messages = await consumer.consume({ max_messages: 1000, idle_heartbeat: 1000 });
  for await (const message of messages) {
    entries.push({ subject: message.subject, sequence: message.seq, data: Uint8Array.from(message.data) });
    if (message.info.pending === 0) break;
  }
  return entries;
}

/** Waits until the newest outbox message of each kind has been copied. */
export async function untilCopied(nc: NatsConnection): Promise<void> {
  const manager = await jetstreamManager(nc);
  for (const { target, outbox } of COPIES) {
    await until(
      `all of ${outbox} is copied into ${target}`,
      COPIES_DEADLINE_MS,
      async () => {
        const newest = await manager.streams.getMessage(BUCKET_STREAM, { last_by_subj: outbox });
        if (!newest) return true;
        const { state } = await manager.streams.info(target);
        if (state.messages === 0) return false;
        const last = await manager.streams.getMessage(target, { seq: state.last_seq });
        return Number(last?.header.get('Nats-Stream-Source').split(' ')[1] ?? 0) >= newest.seq;
      },
      200,
    );
  }
}

interface ActivationBody {
  readonly id: string;
  readonly name: string;
  readonly profileId: string;
  readonly cause: { readonly trigger?: string; readonly messageId: string };
}

export interface ActivationFindings {
  readonly violations: string[];
  /** Which profile each activation named, and whose it should be. */
  readonly named: readonly { readonly profileId: string; readonly expected: ExpectedProfile }[];
  readonly count: number;
}

/** Each id once; one order note for every order, one welcome for every customer who signed up. */
export async function checkActivations(nc: NatsConnection, expected: Expected): Promise<ActivationFindings> {
  const violations: string[] = [];
  const bodies = (await readAll(nc, `ACTIVATIONS_${SEGMENT}`)).map(
    ({ data }) => JSON.parse(Buffer.from(data).toString()) as ActivationBody,
  );
  violations.push(
    ...repeated(bodies.map(({ id }) => id)).map((id) => `activation ${id} is in the stream twice`),
  );
  const notes = bodies.filter(({ name }) => name === 'order_note').map(({ cause }) => cause.messageId);
  const orders = expected.profiles.flatMap((profile) => [...profile.orders]);
  violations.push(...differences('order note', notes, orders));
  const welcomes = bodies.filter(({ name }) => name === 'welcome').map(({ cause }) => cause.messageId);
  violations.push(...checkWelcomes(welcomes, expected));
  const known = bodies.filter(({ cause }) => expected.profileByMessage.has(cause.messageId));
  const named = known.map(({ profileId, cause }) => ({
    profileId,
    expected: expected.profileByMessage.get(cause.messageId)!,
  }));
  return { violations, named, count: bodies.length };
}

function checkWelcomes(welcomes: readonly string[], expected: Expected): string[] {
  const violations: string[] = [];
  const counts = new Map<ExpectedProfile, number>();
  for (const messageId of welcomes) {
    const profile = expected.profileByMessage.get(messageId);
    if (!profile?.signups.has(messageId)) violations.push(`welcome for ${messageId}, which is no sign-up`);
    else counts.set(profile, (counts.get(profile) ?? 0) + 1);
  }
  for (const profile of expected.profiles) {
    const due = profile.signups.size > 0 ? 1 : 0;
    const found = counts.get(profile) ?? 0;
    if (found !== due) violations.push(`${profile.keys[0]}: ${found} welcomes, ${due} were due`);
  }
  return violations;
}

/** At most one audit entry for one message of the log. Its id is made of what identifies that message. */
export async function checkAudit(nc: NatsConnection): Promise<{ violations: string[]; count: number }> {
  const all = (await readAll(nc, `AUDIT_${SEGMENT}`)).map(
    ({ data }) => JSON.parse(Buffer.from(data).toString()) as { id: string; kind: string },
  );
  // Deliveries may be repeated, and are told as often.
  const bodies = all.filter(({ kind }) => kind !== 'activation_delivered');
  const violations = repeated(bodies.map(({ id }) => id)).map((id) => `audit entry ${id} is there twice`);
  return { violations, count: bodies.length };
}

export async function checkDeadLetters(nc: NatsConnection): Promise<string[]> {
  const letters = await readAll(nc, `DEAD_${SEGMENT}`);
  return letters.map(({ data }) => `dead letter: ${Buffer.from(data).toString().slice(0, 500)}`);
}

function repeated(ids: readonly string[]): string[] {
  const seen = new Set<string>();
  return ids.filter((id) => {
    const again = seen.has(id);
    seen.add(id);
    return again;
  });
}

function differences(what: string, found: readonly string[], due: readonly string[]): string[] {
  const foundSet = new Set(found);
  const dueSet = new Set(due);
  return [
    ...repeated(found).map((id) => `${what} for ${id} twice`),
    ...[...dueSet].filter((id) => !foundSet.has(id)).map((id) => `${what} for ${id} is missing`),
    ...[...foundSet].filter((id) => !dueSet.has(id)).map((id) => `${what} for ${id} was not due`),
  ];
}
