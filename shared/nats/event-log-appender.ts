// Group commit into the event log. Requests that come within the linger time share one atomic batch; at most two
// batches are open. A batch carries one message id, so that the identical batch can be sent again when its answer is
// lost: it is stored once (the log's duplicate window is far longer than the deadline). It is never cut anew.
import type { SegmentNames } from '../contract/names.ts';
import { unreachable } from '../kernel/assert.ts';
import { backoffMs } from '../kernel/backoff.ts';
import { type Clock, systemClock } from '../kernel/clock.ts';
import { type Random, randomToken, systemRandom } from '../kernel/random.ts';
import type { AppendOutcome, EventLogAppender, LogAppend } from '../ports/event-log.ts';
import { type BatchAnswer, type BatchMessage, publishBatch } from './atomic-batch.ts';
import type { HeaderList, NatsDoor } from './connect.ts';
import { readLogState } from './log-state.ts';

export interface AppenderOptions {
  readonly lingerMs?: number;
  /** Bound on what waits or is in flight. */
  readonly waitingBytesMax?: number;
  /** From the call of `append` to its answer. */
  readonly deadlineMs?: number;
  readonly clock?: Clock;
  readonly random?: Random;
}

const GROUP_MESSAGES_MAX = 900;
const GROUP_BYTES_MAX = 4 * 1024 * 1024;
const OPEN_BATCHES_MAX = 2;
const ATTEMPT_TIMEOUT_MS = 3000;
/** Above this share of its size limit the log takes no more events, so that fired timers still find room. */
const FULL_SHARE = 0.95;
const USAGE_INTERVAL_MS = 1000;

const ERROR = { duplicate: 10201, tooManyBatches: 10210, incomplete: 10176 } as const;
/** The same message id is on its way to the replicas: whether it is stored is not known yet. */
const IN_PROCESS = 10158;
/** Maximum messages or bytes of the stream, or of its server, reached. */
const FULL_CODES = new Set([10023, 10028, 10047, 10077, 10122]);

interface Waiting {
  readonly messages: readonly LogAppend[];
  readonly bytes: number;
  readonly deadlineMs: number;
  readonly resolve: (outcome: AppendOutcome) => void;
}

export function createEventLogAppender(
  door: NatsDoor,
  names: SegmentNames,
  options: AppenderOptions = {},
): EventLogAppender {
  return new GroupAppender(door, names, options);
}

class GroupAppender implements EventLogAppender {
  readonly #door: NatsDoor;
  readonly #names: SegmentNames;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #lingerMs: number;
  readonly #waitingBytesMax: number;
  readonly #deadlineMs: number;
  readonly #stop = new AbortController();
  #queue: Waiting[] = [];
  #bytes = 0;
  #open = 0;
  #lingering = false;
  #closed = false;
  #full = false;
  #idle: (() => void) | undefined;

  constructor(door: NatsDoor, names: SegmentNames, options: AppenderOptions) {
    this.#door = door;
    this.#names = names;
    this.#clock = options.clock ?? systemClock;
    this.#random = options.random ?? systemRandom;
    this.#lingerMs = options.lingerMs ?? 1;
    this.#waitingBytesMax = options.waitingBytesMax ?? 64 * 1024 * 1024;
    this.#deadlineMs = options.deadlineMs ?? 10_000;
    void this.#watchUsage();
  }

  get reachable(): boolean {
    return this.#door.connected && !this.#closed;
  }

  append(messages: readonly LogAppend[]): Promise<AppendOutcome> {
    if (this.#closed) return Promise.resolve({ kind: 'unavailable', reason: 'the gateway is stopping' });
    if (!this.#door.connected) return Promise.resolve({ kind: 'unavailable', reason: 'not connected' });
    if (this.#full) return Promise.resolve({ kind: 'full' });
    const bytes = messages.reduce((sum, message) => sum + message.payload.length, 0);
    if (this.#bytes > 0 && this.#bytes + bytes > this.#waitingBytesMax) {
      return Promise.resolve({ kind: 'overloaded', retryAfterMs: 1000 });
    }
    if (messages.length === 0) return Promise.resolve({ kind: 'stored' });
    this.#bytes += bytes;
    return new Promise((resolve) => {
      this.#queue.push({ messages, bytes, deadlineMs: this.#clock.nowMs() + this.#deadlineMs, resolve });
      this.#schedule();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#flush();
    if (this.#bytes > 0) {
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    }
    this.#stop.abort(new Error('closed'));
  }

  #schedule(): void {
    if (this.#lingering || this.#open >= OPEN_BATCHES_MAX) return;
    this.#lingering = true;
    const after = () => {
      this.#lingering = false;
      this.#flush();
    };
    // With nothing under way there is nothing to wait for; else what comes within the linger time goes together.
    if (this.#open === 0) setImmediate(after);
    else void this.#clock.sleep(this.#lingerMs).then(after);
  }

  #flush(): void {
    while (this.#open < OPEN_BATCHES_MAX && this.#queue.length > 0) {
      const group = this.#cut();
      this.#open += 1;
      void this.#send(group).then((outcome) => {
        this.#open -= 1;
        for (const { bytes, resolve } of group) {
          this.#bytes -= bytes;
          resolve(outcome);
        }
        this.#flush();
        if (this.#bytes === 0) this.#idle?.();
      });
    }
  }

  /** The requests of the next batch: whole ones, as many as it holds, at least one. */
  #cut(): readonly Waiting[] {
    let messages = 0;
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#queue) {
      messages += waiting.messages.length;
      bytes += waiting.bytes;
      if (count > 0 && (messages > GROUP_MESSAGES_MAX || bytes > GROUP_BYTES_MAX)) break;
      count += 1;
    }
    return this.#queue.splice(0, count);
  }

  async #send(group: readonly Waiting[]): Promise<AppendOutcome> {
    const batch = this.#batchOf(group);
    const deadlineMs = Math.min(...group.map((waiting) => waiting.deadlineMs));
    let sent = false;
    for (let attempt = 0; ; attempt++) {
      const leftMs = deadlineMs - this.#clock.nowMs();
      if (leftMs <= 0) {
        if (sent) return { kind: 'unknown', reason: 'no answer before the deadline' };
        return { kind: 'unavailable', reason: 'the log could not be reached before the deadline' };
      }
      if (this.#door.connected) {
        const answer = await publishBatch(this.#door, batch, Math.min(leftMs, ATTEMPT_TIMEOUT_MS));
        const outcome = settle(answer, sent);
        if (outcome) return outcome;
        if (answer.kind === 'none') sent = true;
      }
      await this.#clock.sleep(5 + backoffMs(attempt, 10, 250, this.#random));
    }
  }

  #batchOf(group: readonly Waiting[]): readonly BatchMessage[] {
    const id = randomToken(this.#random, 20);
    const all = group.flatMap((waiting) => waiting.messages);
    return all.map(({ shard, source, payload }, index) => {
      const headers: HeaderList = index === 0 ? [['Nats-Msg-Id', id]] : [];
      return { subject: this.#names.eventSubject(shard, source), payload, headers };
    });
  }

  /** Looks at how full the log is, so that it is refused early and as a whole. */
  async #watchUsage(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        const { bytes, bytesMax } = await readLogState(this.#door, this.#names);
        this.#full = bytesMax > 0 && bytes > bytesMax * FULL_SHARE;
      } catch {
        // Out of reach: append() says so itself.
      }
      await this.#clock.sleep(USAGE_INTERVAL_MS, this.#stop.signal).catch(() => {});
    }
  }
}

/** The outcome that an answer settles; undefined: send the same again. */
function settle(answer: BatchAnswer, sentBefore: boolean): AppendOutcome | undefined {
  switch (answer.kind) {
    case 'stored':
      return { kind: 'stored' };
    case 'none':
      return undefined;
    case 'error':
      if (answer.errCode === ERROR.duplicate) return { kind: 'stored' };
      if (answer.errCode === ERROR.tooManyBatches || answer.errCode === ERROR.incomplete) return undefined;
      if (answer.errCode === IN_PROCESS) return undefined;
      if (FULL_CODES.has(answer.errCode)) {
        // What was sent before without an answer may have been stored while there was still room.
        return sentBefore ? { kind: 'unknown', reason: answer.description } : { kind: 'full' };
      }
      if (answer.status === 503 || answer.status === 429) return undefined;
      return sentBefore
        ? { kind: 'unknown', reason: answer.description }
        : { kind: 'unavailable', reason: answer.description };
    default:
      return unreachable(answer);
  }
}
