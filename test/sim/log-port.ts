// The event log as one process sees it: requests to the leader, readers with a bounded buffer that survive restarts,
// and the appender of a gateway.
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type {
  AppendOutcome,
  EventLogAppender,
  EventLogReader,
  LogAppend,
  LogMessage,
  ShardReader,
} from '../../shared/ports/event-log.ts';
import type { SimLog } from './log.ts';
import type { SimProcess } from './process.ts';

const REQUEST_TIMEOUT_MS = 800;
const APPEND_TIMEOUT_MS = 500;
const APPEND_ATTEMPTS_MAX = 6;

export interface ReaderLimits {
  readonly bufferMax: number;
  readonly deliveryMax: number;
}

export function simEventLogReader(
  log: SimLog,
  process: SimProcess,
  limits: ReaderLimits = { bufferMax: 256, deliveryMax: 64 },
): EventLogReader {
  const ask = <T>(label: string, answer: () => T): Promise<T> =>
    process.call<T>({
      label: `log.${label}`,
      timeoutMs: REQUEST_TIMEOUT_MS,
      onTimeout: () => new StitchworkError('LOG_UNAVAILABLE', 'simulated: no reply from the log'),
      serve: (reply) => {
        if (log.world.chance(log.world.faults.logFails)) return log.world.mark('log.request failed');
        reply(answer());
      },
    });
  return {
    state: () => ask('state', () => log.state()),
    messageAt: (sequence) => ask(`messageAt ${sequence}`, () => log.at(sequence)),
    lastSequenceOf: (shard) => ask(`lastSequenceOf ${shard}`, () => log.lastSequenceOf(shard)),
    countAfter: (shard, after) => ask(`countAfter ${shard} ${after}`, () => log.countAfter(shard, after)),
    open: (shard, after, onReadable) => new SimShardReader(log, process, limits, shard, after, onReadable),
  };
}

/** Ordered, each message once: after a break it asks again from the last message that it has. */
class SimShardReader implements ShardReader {
  readonly #log: SimLog;
  readonly #process: SimProcess;
  readonly #limits: ReaderLimits;
  readonly #shard: number;
  readonly #onReadable: () => void;
  readonly #buffer: LogMessage[] = [];
  readonly #createdAt: string;
  readonly #stop: (() => void)[] = [];
  #received: number;
  #fetching = false;
  #closed = false;
  pending = 0;
  sessions = 0;
  readonly mayHaveGaps = true;
  #opened = false;
  fault: 'LOG_REPLACED' | 'LOG_TRUNCATED' | undefined;

  constructor(
    log: SimLog,
    process: SimProcess,
    limits: ReaderLimits,
    shard: number,
    after: number,
    onReadable: () => void,
  ) {
    this.#log = log;
    this.#process = process;
    this.#limits = limits;
    this.#shard = shard;
    this.#received = after;
    this.#onReadable = onReadable;
    this.#createdAt = log.createdAt;
    this.#stop.push(log.onAppend((message) => message.shard === shard && this.#fetch()));
    this.#stop.push(process.onReconnect(() => this.#reopen()));
    this.#fetch();
  }

  get buffered(): number {
    return this.#buffer.length;
  }

  take(max: number): readonly LogMessage[] {
    const taken = this.#buffer.splice(0, max);
    if (taken.length > 0) this.#fetch();
    return taken;
  }

  close(): void {
    this.#closed = true;
    this.#buffer.length = 0;
    for (const stop of this.#stop.splice(0)) stop();
  }

  #reopen(): void {
    if (this.#closed) return;
    this.#log.world.mark('log.reader opened again');
    this.#fetching = false;
    this.#opened = false;
    this.#fetch();
  }

  /** At most one delivery is on its way; the server sends what it has when the delivery leaves. */
  #fetch(): void {
    if (this.#fetching || this.#closed || this.fault || this.#buffer.length >= this.#limits.bufferMax) return;
    this.#fetching = true;
    const { world, server } = this.#log;
    const { incarnation } = server;
    const stalls = world.chance(world.faults.readerStalls);
    if (stalls) world.mark('log.reader stalled');
    world.after(
      this.#process.latencyMs() + (stalls ? world.between(100, 2000) : 0),
      '',
      () => {
        if (!this.#process.reachesServer || server.incarnation !== incarnation) return;
        const room = this.#limits.bufferMax - this.#buffer.length;
        const most = Math.min(room, world.between(1, this.#limits.deliveryMax));
        const messages = this.#log.after(this.#shard, this.#received, most);
        const pending = this.#log.countAfter(this.#shard, this.#received) - messages.length;
        this.#process.deliver(this.#process.latencyMs(), '', () => {
          if (this.#process.receives && server.incarnation === incarnation) this.#arrive(messages, pending);
        });
      },
      false,
    );
  }

  #arrive(messages: readonly LogMessage[], pending: number): void {
    if (this.#closed || this.fault) return;
    this.#fetching = false;
    this.fault = this.#faultOf();
    if (!this.#opened) this.sessions += 1;
    this.#opened = true;
    if (!this.fault) this.#accept(messages, pending);
    if (this.fault || messages.length > 0) this.#onReadable();
    if (this.pending > 0) this.#fetch();
  }

  #accept(messages: readonly LogMessage[], pending: number): void {
    const fresh = messages.filter((message) => message.sequence > this.#received);
    this.#buffer.push(...fresh);
    this.#received = fresh.at(-1)?.sequence ?? this.#received;
    this.pending = pending;
    if (fresh.length > 0)
      this.#log.world.trace(`${this.#process.name} reads ${this.#shard} to ${this.#received}`);
    // What was appended while the delivery was on its way announced itself in vain.
    if (this.#log.lastSequenceOf(this.#shard) > this.#received) this.pending = Math.max(1, pending);
  }

  #faultOf(): 'LOG_REPLACED' | 'LOG_TRUNCATED' | undefined {
    if (this.#log.createdAt !== this.#createdAt) return 'LOG_REPLACED';
    return this.#log.lastSequence < this.#received ? 'LOG_TRUNCATED' : undefined;
  }
}

/** A gateway's appender: a lost reply is followed by the same messages under the same id. */
export function simEventLogAppender(
  log: SimLog,
  process: SimProcess,
  limits: { readonly waitingMax: number } = { waitingMax: 1000 },
): EventLogAppender {
  let waiting = 0;
  let closed = false;
  let batches = 0;
  const append = async (messages: readonly LogAppend[]): Promise<AppendOutcome> => {
    if (closed) return { kind: 'unavailable', reason: 'closed' };
    if (waiting + messages.length > limits.waitingMax) return { kind: 'overloaded', retryAfterMs: 1000 };
    if (messages.length === 0) return { kind: 'stored' };
    waiting += messages.length;
    try {
      return await appendUntilTold(log, process, messages, `${process.name}.${++batches}`);
    } finally {
      waiting -= messages.length;
    }
  };
  return {
    append,
    get reachable() {
      return process.connected;
    },
    async close() {
      closed = true;
      while (waiting > 0) await process.clock.sleep(1);
    },
  };
}

async function appendUntilTold(
  log: SimLog,
  process: SimProcess,
  messages: readonly LogAppend[],
  batchId: string,
): Promise<AppendOutcome> {
  if (!process.connected) return { kind: 'unavailable', reason: 'simulated: not connected' };
  for (let attempt = 0; attempt < APPEND_ATTEMPTS_MAX; attempt++) {
    const answer = await process.call<'stored' | 'duplicate' | 'full' | 'silence'>({
      label: `log.append ${messages.length} as ${batchId}`,
      timeoutMs: APPEND_TIMEOUT_MS,
      onTimeout: () => 'silence',
      serve: (reply) => {
        const stored = log.append(messages, batchId);
        if (log.world.chance(log.world.faults.appendRepeated)) return log.world.mark('log.append repeated');
        reply(stored);
      },
    });
    if (answer === 'full') return { kind: 'full' };
    if (answer !== 'silence') return { kind: 'stored' };
  }
  return { kind: 'unknown', reason: 'simulated: no reply' };
}
