// Sees one activation through one attempt: what it did before, whether it may still go, the attempt, and what is written of
// it before the queue hears that it is done. A crash in between repeats the attempt and loses nothing.
import type { DestinationConfig } from '../../shared/contract/config/destination-config.ts';
import type {
  DeadActivation,
  DeadReason,
  DeliveryEntry,
  PastAttempts,
} from '../../shared/contract/delivery.ts';
import { NO_ATTEMPTS } from '../../shared/contract/delivery.ts';
import type { Activation, AuditEntry } from '../../shared/contract/outbox.ts';
import { errorText } from '../../shared/kernel/errors.ts';
import type { QueuedActivation } from '../../shared/ports/activation-queue.ts';
import type { Destination, Outcome } from './destination.ts';
import type { LaneDeps } from './lane.ts';
import { afterAttempt, type NextStep } from './retry.ts';

export interface Carried extends LaneDeps {
  readonly config: DestinationConfig;
  readonly destination: Destination;
  /** No attempt begins any more. */
  readonly stop: AbortSignal;
  /** Attempts under way end. */
  readonly cut: AbortSignal;
  /** Waits for the pace of the lane; above 0: not now, but after so many ms. */
  ready(): Promise<number>;
  attempted(outcome: Outcome): void;
}

/** What was tried is remembered so much longer than the activation may be tried. */
const REMEMBER_MORE_MS = 3_600_000;
const WRITE_RETRY_MS = 500;
const WRITE_TRIES_MAX = 60;

/** Resolves when the queue was told what to do with it. Rejects when what came of it could not be written. */
export async function carry(message: QueuedActivation, lane: Carried): Promise<void> {
  const { config, clock, telemetry, log, stop } = lane;
  const activation = activationIn(message.payload);
  if (!activation) telemetry.unreadable(config.name, message.sequence);
  if (!activation?.to?.includes(config.name)) {
    message.done();
    return;
  }
  const key = keyOf(activation);
  const past = message.handedOut > 1 ? await log.past(config.name, key) : NO_ATTEMPTS;
  const ageMs = clock.nowMs() - message.storedMs;
  if (message.handedOut === 1) telemetry.taken(config.name, ageMs);
  const subject: Subject = { message, activation, key, past, beganMs: clock.nowMs(), lane };
  if (ageMs > config.retry.maxAgeMs) {
    const outcome: Outcome = { kind: 'unavailable', error: tooOldText(past, config) };
    return settle(subject, outcome, { kind: 'dead', reason: 'too_old' }, past.attempts);
  }
  const waitMs = await lane.ready();
  if (waitMs > 0 || stop.aborted) {
    message.again(stop.aborted ? 0 : waitMs);
    return;
  }
  const beganMs = clock.nowMs();
  const outcome = await attempt(activation, past.attempts + 1, lane);
  if (outcome === 'cut') {
    message.again(0);
    return;
  }
  lane.attempted(outcome);
  const next = afterAttempt(outcome, past, { config: config.retry, ageMs, random: lane.random });
  await settle({ ...subject, beganMs }, outcome, next, past.attempts + 1);
}

interface Subject {
  readonly message: QueuedActivation;
  readonly activation: Activation;
  readonly key: string;
  readonly past: PastAttempts;
  readonly beganMs: number;
  readonly lane: Carried;
}

/** One attempt within its time. `cut`: the process stops, and nobody knows what came of it. */
async function attempt(activation: Activation, number: number, lane: Carried): Promise<Outcome | 'cut'> {
  const { clock, config, destination, cut } = lane;
  const over = new AbortController();
  const ended = new AbortController();
  const deadline = clock.sleep(config.timeoutMs, AbortSignal.any([ended.signal, cut])).then(
    () => over.abort(new Error('no answer in time')),
    () => over.abort(new Error('stopped')),
  );
  try {
    const outcome = await destination.deliver({
      activation,
      attempt: number,
      nowMs: clock.nowMs(),
      signal: over.signal,
    });
    return cut.aborted && outcome.kind !== 'delivered' ? 'cut' : outcome;
  } catch (error) {
    return { kind: 'refused', error: `the destination broke: ${errorText(error)}` };
  } finally {
    ended.abort(new Error('ended'));
    await deadline;
  }
}

/** Writes what came of it, then tells the queue. */
async function settle(subject: Subject, outcome: Outcome, next: NextStep, attempts: number): Promise<void> {
  const { message, activation, key, past, lane } = subject;
  const { config, log, telemetry } = lane;
  const entry = entryOf(subject, outcome, next, attempts);
  telemetry.attempt(entry);
  if (next.kind === 'again') {
    const keepMs = config.retry.maxAgeMs + REMEMBER_MORE_MS;
    await written(lane, () => log.add(entry));
    await written(lane, () => log.remember(config.name, key, next.past, keepMs));
    message.again(next.afterMs);
    return;
  }
  const dead = next.kind === 'dead' ? deadOf(entry, activation, next.reason) : undefined;
  const audit = auditOf(entry, activation, key);
  await Promise.all([written(lane, () => log.add(entry)), written(lane, () => log.end(audit, dead))]);
  message.done();
  if (past.attempts > 0) await log.forget(config.name, key).catch(() => {});
}

/** Tries again for a while: an attempt that is not written would be repeated. */
async function written(
  { clock, telemetry, config, cut }: Carried,
  write: () => Promise<void>,
): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      await write();
      return;
    } catch (error) {
      telemetry.failed(config.name, error);
      if (tries >= WRITE_TRIES_MAX || cut.aborted) throw error;
      await clock.sleep(WRITE_RETRY_MS, cut).catch(() => {});
    }
  }
}

function entryOf(
  { activation, beganMs, lane }: Subject,
  outcome: Outcome,
  next: NextStep,
  attempts: number,
): DeliveryEntry {
  const { clock, config, segment, owner } = lane;
  const { id, name, profileId, cause, at } = activation;
  const { status, answer } = outcome;
  const nowMs = clock.nowMs();
  return {
    activationId: id,
    name,
    segment,
    destination: config.name,
    profileId,
    cause,
    outcome: next.kind === 'done' ? 'delivered' : next.kind === 'again' ? 'retrying' : 'failed',
    ...(next.kind === 'dead' && { reason: next.reason }),
    attempt: attempts,
    ...(status !== undefined && { status }),
    ...(answer !== undefined && answer !== '' && { answer }),
    ...(outcome.kind !== 'delivered' && { error: outcome.error }),
    latencyMs: Math.max(0, nowMs - beganMs),
    at: new Date(beganMs).toISOString(),
    ...(next.kind === 'again' && { nextAt: new Date(nowMs + next.afterMs).toISOString() }),
    decidedAt: at,
    by: owner,
  };
}

function deadOf(entry: DeliveryEntry, activation: Activation, code: DeadReason): DeadActivation {
  const { segment, destination, attempt: attempts, error = '' } = entry;
  const id = `${destination}.${activation.id}`;
  return {
    kind: 'activation',
    id,
    segment,
    destination,
    code,
    message: error,
    attempts,
    activation,
    at: entry.at,
  };
}

function auditOf(entry: DeliveryEntry, activation: Activation, key: string): AuditEntry {
  const kind = entry.outcome === 'delivered' ? 'activation_delivered' : 'activation_failed';
  const {
    activationId,
    name,
    destination,
    attempt: attempts,
    status,
    error,
    reason,
    segment,
    profileId,
    at,
  } = entry;
  return {
    id: `${destination}_${key}`,
    kind,
    segment,
    profileId,
    messageId: activation.cause.messageId,
    facts: [
      {
        kind,
        ...(reason !== undefined && { reason }),
        ...(error !== undefined && { detail: error }),
        activation: name,
        activationId,
        destination,
        attempts,
        ...(status !== undefined && { status }),
      },
    ],
    at,
    configVersion: activation.configVersion,
  };
}

/** Unique to the activation and how often it was sent again by hand. */
function keyOf({ id, redriven }: Activation): string {
  return redriven === undefined ? id : `${id}_${redriven}`;
}

function tooOldText({ attempts }: PastAttempts, { retry }: DestinationConfig): string {
  const hours = Math.round(retry.maxAgeMs / 36_000) / 100;
  return attempts === 0
    ? `waited longer than max_age (${hours} h)`
    : `not delivered within max_age (${hours} h)`;
}

/** Undefined: something else stands there. */
function activationIn(payload: Uint8Array): Activation | undefined {
  try {
    const parsed = JSON.parse(Buffer.from(payload).toString('utf8')) as Partial<Activation> | null;
    const isOne =
      typeof parsed?.id === 'string' && typeof parsed.name === 'string' && parsed.cause !== undefined;
    return isOne ? (parsed as Activation) : undefined;
  } catch {
    // No JSON: told by the caller.
    return undefined;
  }
}
