// What a profile remembers about what is sent to it: when something was, what is held back, and moments to come. Immutable.
import type { Activation } from '../../shared/contract/outbox.ts';

/** An activation that was decided and waits for the end of quiet hours. */
export interface HeldSend {
  readonly activation: Omit<Activation, 'profileId' | 'keys'>;
  readonly priority: number;
  readonly dueMs: number;
}

/** A moment that a trigger waits for. */
export interface Moment {
  readonly atMs: number;
  /** Moments that have come, or were past when they became known: the present one, and those of a while ago. */
  readonly came: readonly number[];
}

export function isPending({ atMs, came }: Moment): boolean {
  return !came.includes(atMs);
}

export interface Sending {
  /** Log times of what was sent, oldest first, by what is counted: `a:<activation>` or `c:<channel>`. */
  readonly sent: Readonly<Record<string, readonly number[]>>;
  /** In the order in which it was decided. */
  readonly held: readonly HeldSend[];
  /** By trigger. */
  readonly moments: Readonly<Record<string, Moment>>;
}

export const NOTHING_SENT: Sending = { sent: {}, held: [], moments: {} };

/** Activations that wait for a profile, and their size as JSON. */
export const HELD_MAX = 50;
export const HELD_BYTES_MAX = 64 * 1024;
/** Times that are remembered of one count: no cap asks for more. */
export const SENT_MAX = 999;

export function isNothing({ sent, held, moments }: Sending): boolean {
  return held.length === 0 && Object.keys(sent).length === 0 && Object.keys(moments).length === 0;
}

/** Of two profiles that become one: what was sent to either was sent to it, what waits for either waits for it, once. */
export function mergeSending(a: Sending | undefined, b: Sending | undefined): Sending | undefined {
  if (!a || !b) return a ?? b;
  const sent: Record<string, readonly number[]> = { ...a.sent };
  for (const [name, times] of Object.entries(b.sent))
    sent[name] = [...(sent[name] ?? []), ...times].sort((x, y) => x - y).slice(-SENT_MAX);
  const known = new Set(a.held.map(({ activation }) => activation.id));
  const held = [...a.held, ...b.held.filter(({ activation }) => !known.has(activation.id))];
  const moments: Record<string, Moment> = { ...b.moments };
  for (const [name, moment] of Object.entries(a.moments)) moments[name] = joined(moment, moments[name]);
  return { sent, held, moments };
}

/** What has come for either has come; which moment is the present one is looked up with the next message. */
function joined(a: Moment, b: Moment | undefined): Moment {
  if (!b) return a;
  return { atMs: Math.max(a.atMs, b.atMs), came: [...new Set([...a.came, ...b.came])] };
}

/** When something is due by time alone; undefined: never. */
export function nextSendDue({ held, moments }: Sending): number | undefined {
  let next: number | undefined;
  const take = (dueMs: number) => {
    if (next === undefined || dueMs < next) next = dueMs;
  };
  for (const { dueMs } of held) take(dueMs);
  for (const moment of Object.values(moments)) if (isPending(moment)) take(moment.atMs);
  return next;
}
