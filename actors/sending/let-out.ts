// Lets out what is to be sent, holds it back, or suppresses it: consent first, then quiet hours, then caps, those of the highest
// priority before the others. Pure.
import type { ExpressionContext } from '../../shared/contract/expression.ts';
import type { Activation, AuditFact } from '../../shared/contract/outbox.ts';
import { momentOutside } from '../../shared/kernel/time-zone.ts';
import { isTrue } from '../attributes/evaluate.ts';
import type { CompiledSendRules, SendRule } from './rules.ts';
import { HELD_BYTES_MAX, HELD_MAX, type HeldSend, type Sending } from './states.ts';

export type Sent = Omit<Activation, 'profileId' | 'keys'>;

export interface SendRequest {
  readonly activation: Sent;
  readonly priority: number;
}

export interface LetOut {
  readonly sending: Sending;
  readonly out: readonly Sent[];
}

export interface SendWorld {
  readonly rules: CompiledSendRules;
  /** Where activations of the config in force go; one that is not there is not sent any more. */
  readonly activations: ReadonlyMap<string, { readonly to: readonly string[] }>;
  readonly nowMs: number;
  readonly context: () => ExpressionContext;
  readonly facts: AuditFact[];
}

interface Candidate extends SendRequest {
  /** It was held back until now. */
  readonly wasHeld: boolean;
}

/** Quiet hours may follow one another: of an activation and of its channel. */
const QUIET_ROUNDS_MAX = 4;

export function letOut(sending: Sending, requests: readonly SendRequest[], world: SendWorld): LetOut {
  const { nowMs } = world;
  const waiting = sending.held.filter(({ dueMs }) => dueMs > nowMs);
  const due = sending.held.filter(({ dueMs }) => dueMs <= nowMs);
  const candidates: readonly Candidate[] = [
    ...due.map(({ activation, priority }) => ({ activation, priority, wasHeld: true })),
    ...requests.map((request) => ({ ...request, wasHeld: false })),
  ].sort((a, b) => b.priority - a.priority);
  const held = [...waiting];
  const sent: Record<string, readonly number[]> = { ...sending.sent };
  const out: Sent[] = [];
  for (const { activation, priority, wasHeld } of candidates) {
    const { name } = activation;
    const suppress = (reason: string, detail?: string) =>
      void world.facts.push(suppressed(activation, reason, detail));
    const target = world.activations.get(name);
    if (wasHeld && !target) {
      suppress('config');
      continue;
    }
    const rule = world.rules.byActivation.get(name);
    const denied = rule?.consent.find(
      ({ when, where }) => !isTrue(when, world.context(), world.facts, where),
    );
    if (denied) {
      suppress('no_consent', denied.where);
      continue;
    }
    const untilMs = rule ? quietUntil(rule, world) : nowMs;
    if (untilMs > nowMs) {
      hold(held, { activation, priority, dueMs: untilMs }, world.facts);
      continue;
    }
    const full = rule?.caps.find(({ counts, count, ms }) => within(sent[counts], nowMs - ms) >= count);
    if (full) {
      suppress('capped', `${full.count} in ${full.ms / 1000} s, counted as ${full.counts}`);
      continue;
    }
    for (const counts of new Set(rule?.caps.map((cap) => cap.counts)))
      sent[counts] = [...(sent[counts] ?? []), nowMs];
    out.push(wasHeld ? released(activation, target?.to ?? [], nowMs) : activation);
  }
  return { sending: { ...sending, sent: pruned(sent, world), held }, out };
}

/** Sent now, decided then. */
function released(activation: Sent, to: readonly string[], nowMs: number): Sent {
  const { to: _, ...rest } = activation;
  return {
    ...rest,
    ...(to.length > 0 && { to }),
    at: new Date(nowMs).toISOString(),
    decidedAt: activation.at,
  };
}

/** What is beyond the bounds goes: of the lowest priority the newest. */
function hold(held: HeldSend[], send: HeldSend, facts: AuditFact[]): void {
  const { activation, dueMs } = send;
  const until = new Date(dueMs).toISOString();
  const { name, id, cause } = activation;
  facts.push({ kind: 'activation_held', activation: name, activationId: id, cause, until });
  held.push(send);
  let bytes = held.reduce((sum, each) => sum + JSON.stringify(each.activation).length, 0);
  while (held.length > HELD_MAX || bytes > HELD_BYTES_MAX) {
    let lowest = 0;
    for (let i = 1; i < held.length; i++) if (held[i]!.priority <= held[lowest]!.priority) lowest = i;
    const [gone] = held.splice(lowest, 1);
    bytes -= JSON.stringify(gone!.activation).length;
    facts.push(suppressed(gone!.activation, 'too_many_held'));
  }
}

/** When nothing is quiet any more; `nowMs` when nothing is. */
function quietUntil({ quiet }: SendRule, { nowMs, context }: SendWorld): number {
  let atMs = nowMs;
  for (let round = 0; round < QUIET_ROUNDS_MAX; round++) {
    const before = atMs;
    for (const { from, to, zone } of quiet) atMs = momentOutside(from, to, zone(context), atMs);
    if (atMs === before) break;
  }
  return atMs;
}

function within(times: readonly number[] | undefined, afterMs: number): number {
  return times?.filter((time) => time > afterMs).length ?? 0;
}

/** Without what no cap counts any more. */
function pruned(sent: Sending['sent'], { rules, nowMs }: SendWorld): Sending['sent'] {
  const kept: Record<string, readonly number[]> = {};
  for (const [counts, times] of Object.entries(sent)) {
    const known = rules.counted.get(counts);
    if (!known) continue;
    const left = times.filter((time) => time > nowMs - known.ms).slice(-known.count);
    if (left.length > 0) kept[counts] = left;
  }
  return kept;
}

export function suppressed({ name, id, cause }: Sent, reason: string, detail?: string): AuditFact {
  const fact = { kind: 'activation_suppressed', activation: name, activationId: id, cause, reason } as const;
  return detail === undefined ? fact : { ...fact, detail };
}
