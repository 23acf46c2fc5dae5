// One shard's reader: a bounded buffer that is fed by the main session of a shared reader, or, while it is behind, by a
// session of its own.
//
//   waiting -placed-> joined -buffer full-> behind -met the main session-> joined      any -log is another one-> faulty
import { isStitchworkError } from '../kernel/errors.ts';
import type { LogMessage, ShardReader } from '../ports/event-log.ts';
import type { PullSession, SessionOptions } from './pull-session.ts';

const LANE_MESSAGES = 2000;
const LANE_BYTES = 4 * 1024 * 1024;
/** Messages of the main session that a lane keeps until its own session has come to them. */
const AHEAD_MESSAGES = 500;
const AHEAD_BYTES = 1024 * 1024;
const RETRY_MS = 200;

export type LogFault = 'LOG_REPLACED' | 'LOG_TRUNCATED';

export interface LaneDeps {
  /** A session for one lane alone. */
  readonly makeSession: (options: SessionOptions) => PullSession;
  /** The fault of the log as the lane knows it, if there is one. Throws LOG_UNAVAILABLE. */
  readonly check: (lane: Lane) => Promise<LogFault | undefined>;
  /** What joined lanes hold has changed by so much. */
  readonly held: (messages: number, bytes: number) => void;
  readonly left: (lane: Lane) => void;
}

export class Lane implements ShardReader {
  readonly shard: number;
  sessions = 0;
  mayHaveGaps = false;
  fault: LogFault | undefined;
  /** Sequence of the last message that was put into the buffer; all of the shard before it were, too. */
  last: number;
  readonly #deps: LaneDeps;
  readonly #onReadable: () => void;
  #state: 'waiting' | 'joined' | 'behind' | 'ended' = 'waiting';
  #buffer: LogMessage[] = [];
  #bytes = 0;
  #mainPending = 0;
  /** What the main session brought while the lane was behind: without a gap from its first message on. */
  #ahead: LogMessage[] = [];
  #aheadBytes = 0;
  #own: { session: PullSession | undefined } | undefined;
  #retry: NodeJS.Timeout | undefined;
  /** What is put into the buffer next may not follow what was there before. */
  #jumped = false;
  /** Told of what is in the buffer, and nothing was taken since. */
  #told = false;

  constructor(deps: LaneDeps, shard: number, afterSequence: number, onReadable: () => void) {
    this.#deps = deps;
    this.shard = shard;
    this.last = afterSequence;
    this.#onReadable = onReadable;
  }

  get buffered(): number {
    return this.#buffer.length;
  }

  get pending(): number {
    return this.#state === 'behind' ? (this.#own?.session?.pending ?? 0) : this.#mainPending;
  }

  /** Not fed yet. */
  get isWaiting(): boolean {
    return this.#state === 'waiting';
  }

  get isJoined(): boolean {
    return this.#state === 'joined';
  }

  take(max: number): readonly LogMessage[] {
    if (this.#buffer.length === 0) return [];
    const all = max >= this.#buffer.length;
    const taken = all ? this.#buffer : this.#buffer.slice(0, max);
    this.#buffer = all ? [] : this.#buffer.slice(max);
    const bytes = sizeOf(taken);
    this.mayHaveGaps = this.#jumped;
    if (all) this.#jumped = false;
    this.#bytes -= bytes;
    this.#told = false;
    if (this.#state === 'joined') this.#deps.held(-taken.length, -bytes);
    else this.#own?.session?.more();
    return taken;
  }

  close(): void {
    if (this.#state === 'ended') return;
    this.#leaveMain();
    this.#state = 'ended';
    this.#endOwn();
    this.#buffer = [];
    this.#bytes = 0;
    this.#deps.left(this);
  }

  /** From now on fed by the main session, which brings everything after `last`. */
  join(): void {
    if (this.#state === 'joined' || this.#state === 'ended') return;
    this.#endOwn();
    this.#state = 'joined';
    this.#deps.held(this.#buffer.length, this.#bytes);
    const ahead = this.#ahead;
    this.#clearAhead();
    for (const message of ahead) this.#push(message);
  }

  /** From now on fed by a session of its own, until that has met the main session. */
  fallBehind(): void {
    if (this.#state === 'behind' || this.#state === 'ended') return;
    this.#leaveMain();
    this.#state = 'behind';
    void this.#openOwn();
  }

  /** Messages before the next one are missing from the main session: they may have been of this shard. */
  jumped(): void {
    this.#jumped = true;
  }

  fromMain(message: LogMessage, pending: number): void {
    this.#mainPending = pending;
    if (message.sequence <= this.last) return;
    if (this.#state === 'joined') {
      if (this.#buffer.length < LANE_MESSAGES && this.#bytes < LANE_BYTES) {
        this.#push(message);
        return;
      }
      this.fallBehind();
    }
    this.#keepAhead(message);
  }

  /** The main session has ended: what it brought ahead need not be all any more. */
  mainEnded(): void {
    this.#clearAhead();
  }

  /** The connection was lost: the own session, if there is one, begins anew. */
  reconnected(): void {
    if (this.#state !== 'behind') return;
    this.#endOwn();
    void this.#openOwn();
  }

  broken(fault: LogFault): void {
    if (this.#state === 'ended') return;
    this.fault = fault;
    this.#leaveMain();
    this.#state = 'ended';
    this.#endOwn();
    this.#onReadable();
  }

  async #openOwn(): Promise<void> {
    const own: { session: PullSession | undefined } = { session: undefined };
    this.#own = own;
    const again = (afterMs: number) => {
      if (this.#own !== own) return;
      this.#endOwn();
      this.#retry = setTimeout(() => void this.#openOwn(), afterMs);
    };
    try {
      const fault = await this.#deps.check(this);
      if (this.#own !== own) return;
      if (fault) return this.broken(fault);
    } catch (error) {
      // The log cannot be reached: again until it can, or the lane is closed.
      if (!isStitchworkError(error)) throw error;
      return again(RETRY_MS);
    }
    own.session = this.#deps.makeSession({
      afterSequence: this.last,
      shards: [this.shard],
      onMessage: (message) => {
        if (this.#own === own) this.#fromOwn(message);
      },
      onJump: () => this.jumped(),
      onEnd: () => again(0),
      isWanted: () => this.#buffer.length < LANE_MESSAGES / 2 && this.#bytes < LANE_BYTES / 2,
    });
    if (await own.session.open()) this.sessions += 1;
    else again(RETRY_MS);
  }

  #fromOwn(message: LogMessage): void {
    if (message.sequence > this.last) this.#push(message);
    const first = this.#ahead[0];
    if (first && this.last >= first.sequence) this.join();
  }

  #keepAhead(message: LogMessage): void {
    if (this.#ahead.length >= AHEAD_MESSAGES || this.#aheadBytes >= AHEAD_BYTES) this.#clearAhead();
    this.#ahead.push(message);
    this.#aheadBytes += message.payload.length;
  }

  #clearAhead(): void {
    this.#ahead = [];
    this.#aheadBytes = 0;
  }

  #push(message: LogMessage): void {
    if (message.sequence <= this.last) return;
    this.last = message.sequence;
    this.#buffer.push(message);
    this.#bytes += message.payload.length;
    if (this.#state === 'joined') this.#deps.held(1, message.payload.length);
    if (this.#told) return;
    this.#told = true;
    this.#onReadable();
  }

  #leaveMain(): void {
    if (this.#state === 'joined') this.#deps.held(-this.#buffer.length, -this.#bytes);
    this.#clearAhead();
  }

  #endOwn(): void {
    clearTimeout(this.#retry);
    this.#own?.session?.close();
    this.#own = undefined;
  }
}

function sizeOf(messages: readonly LogMessage[]): number {
  let bytes = 0;
  for (const { payload } of messages) bytes += payload.length;
  return bytes;
}
