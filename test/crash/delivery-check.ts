// What was decided against what arrived: every activation that goes to the receiver came there at least once, and nothing else
// did; whoever came into a journey left it, and whoever came to its end was told, once.
import type { NatsConnection } from 'nats';
import { ADMIN_KEY, type Fleet, until } from './fleet.ts';
import type { Receiver } from './receiver.ts';
import { readAll, SEGMENT, untilCopied } from './stream-check.ts';

const DEADLINE_MS = 120_000;

export interface DeliveryFindings {
  readonly violations: string[];
  readonly figures: Readonly<Record<string, unknown>>;
}

export async function checkDeliveries(
  nc: NatsConnection,
  fleet: Fleet,
  receiver: Receiver,
): Promise<DeliveryFindings> {
  await until('nobody is inside of a journey', DEADLINE_MS, () => isEmpty(fleet.gateways[0]!.url));
  await untilCopied(nc);
  const decided = new Map<string, string>();
  for (const { data } of await readAll(nc, `ACTIVATIONS_${SEGMENT}`)) {
    const { id, name } = JSON.parse(Buffer.from(data).toString()) as { id: string; name: string };
    decided.set(id, name);
  }
  const violations = [...receiver.strange];
  const missing = () => [...decided.keys()].filter((id) => !receiver.answered.has(id));
  await until('every activation has arrived', DEADLINE_MS, async () => missing().length === 0, 200).catch(
    () => {},
  );
  violations.push(...missing().map((id) => `${decided.get(id)} ${id} never arrived`));
  for (const id of receiver.answered.keys())
    if (!decided.has(id)) violations.push(`${id} arrived, and nobody decided it`);
  let entries: readonly Entry[] = [];
  const told = async () => {
    entries = (await readAll(nc, `AUDIT_${SEGMENT}`)).map(
      ({ data }) => JSON.parse(Buffer.from(data).toString()) as Entry,
    );
    return checkTold(entries, receiver).length === 0;
  };
  // A delivery is told after it was answered, by whoever made it or by whoever repeats it.
  await until('every delivery is told', DEADLINE_MS, told, 500).catch(() => {});
  violations.push(...checkTold(entries, receiver));
  const facts = entries.flatMap((entry) => entry.facts ?? []);
  const came = facts.filter(({ kind }) => kind === 'journey_entered').length;
  const left = facts.filter(({ kind }) => kind === 'journey_left');
  const through = left.filter(({ reason }) => reason === 'end').length;
  const nudges = [...decided.values()].filter((name) => name === 'nudge').length;
  if (came !== left.length) violations.push(`${came} came into the journey, ${left.length} left it`);
  if (through !== nudges) violations.push(`${through} came to the end of the journey, ${nudges} were told`);
  const answered = [...receiver.answered.values()];
  return {
    violations,
    figures: {
      activations: decided.size,
      arrivedAgain: answered.filter((times) => times > 1).length,
      mostOften: Math.max(0, ...answered),
      journeysEntered: came,
      journeysMerged: left.filter(({ reason }) => reason === 'merged').length,
      refusedByReceiver: receiver.failed,
    },
  };
}

interface Entry {
  readonly id: string;
  readonly kind: string;
  readonly facts?: readonly { readonly kind: string; readonly reason?: string }[];
}

/** A delivery is told once, or again when it was repeated; what nobody answered is not told as delivered. */
function checkTold(entries: readonly Entry[], receiver: Receiver): string[] {
  const told = new Map<string, number>();
  for (const { id, kind } of entries) {
    if (kind !== 'activation_delivered') continue;
    const activation = id.slice('hook_'.length);
    told.set(activation, (told.get(activation) ?? 0) + 1);
  }
  const violations: string[] = [];
  for (const [id, times] of told)
    if (times > (receiver.answered.get(id) ?? 0))
      violations.push(
        `${id} is told as delivered ${times} times, and was answered ${receiver.answered.get(id)}`,
      );
  for (const id of receiver.answered.keys())
    if (!told.has(id)) violations.push(`${id} was delivered, and nobody tells`);
  return violations;
}

async function isEmpty(gateway: string): Promise<boolean> {
  const response = await fetch(`${gateway}/v1/journeys`, {
    headers: { authorization: `Bearer ${ADMIN_KEY}` },
  });
  if (response.status !== 200) return false;
  const { journeys } = (await response.json()) as { journeys: readonly { inside: number }[] };
  return journeys.every(({ inside }) => inside === 0);
}
