// One shard's reader: an ephemeral pull consumer without acks, made again from the last delivered sequence + 1 whenever
// its continuity is in doubt. The client's own ordered consumer can stall for ever after a server crash (CRASH G6).
//
//   opening -created-> running -reconnect, gap, missed heartbeat, consumer gone-> opening
//      \-log recreated or shorter-> faulty (final)
import { createInbox, type Msg, nuid, type Subscription } from 'nats';
import type { SegmentNames } from '../contract/names.ts';
import type { LogMessage, ShardReader } from '../ports/event-log.ts';
import type { NatsDoor } from './connect.ts';
import { logMessage, readLogState } from './event-log-reader.ts';
import { callApi } from './jetstream-api.ts';

/** Messages asked for at a time, and the buffer below which more are asked for. */
const PULL_MESSAGES = 500;
const PULL_BYTES = 4 * 1024 * 1024;
const LOW_WATER = 250;
const LOW_WATER_BYTES = 2 * 1024 * 1024;
const HEARTBEAT_MS = 1000;
const PULL_EXPIRES_MS = 30_000;
const RETRY_MS = 200;
const NS = 1e6;

export class PullReader implements ShardReader {
  pending = 0;
  sessions = 0;
  fault: ShardReader['fault'];
  readonly #door: NatsDoor;
  readonly #names: SegmentNames;
  readonly #shard: number;
  readonly #onReadable: () => void;
  readonly #forget: () => void;
  #buffer: LogMessage[] = [];
  #bufferBytes = 0;
  /** Told of what is in the buffer, and nothing was taken since. */
  #told = false;
  #last: number;
  #createdAt: string | undefined;
  #closed = false;
  /** The consumer in use; another object means that what still arrives for the old one is ignored. */
  #session: Session | undefined;
  #retry: NodeJS.Timeout | undefined;

  constructor(
    door: NatsDoor,
    names: SegmentNames,
    shard: number,
    afterSequence: number,
    onReadable: () => void,
  ) {
    this.#door = door;
    this.#names = names;
    this.#shard = shard;
    this.#last = afterSequence;
    this.#onReadable = onReadable;
    this.#forget = door.onReconnect(() => this.#reopen(0));
    void this.#open();
  }

  get buffered(): number {
    return this.#buffer.length;
  }

  take(max: number): readonly LogMessage[] {
    const taken = max >= this.#buffer.length ? this.#buffer : this.#buffer.slice(0, max);
    this.#buffer = max >= this.#buffer.length ? [] : this.#buffer.slice(max);
    for (const { payload } of taken) this.#bufferBytes -= payload.length;
    this.#told = false;
    this.#pull();
    return taken;
  }

  close(): void {
    this.#closed = true;
    this.#forget();
    clearTimeout(this.#retry);
    this.#endSession();
    this.#buffer = [];
    this.#bufferBytes = 0;
  }

  async #open(): Promise<void> {
    const session: Session = {
      inbox: createInbox(),
      name: nuid.next(),
      delivered: 0,
      asked: 0,
      heardAtMs: performance.now(),
    };
    this.#session = session;
    try {
      const state = await readLogState(this.#door, this.#names);
      if (this.#session !== session) return;
      this.#createdAt ??= state.createdAt;
      if (this.#createdAt !== state.createdAt) return this.#broken('LOG_REPLACED');
      if (state.lastSequence < this.#last) return this.#broken('LOG_TRUNCATED');
    } catch {
      // The log cannot be reached: try again until it can, or the reader is closed. A newer session goes on as it is.
      if (this.#session === session) this.#reopen(RETRY_MS);
      return;
    }
    session.subscription = this.#door.nc.subscribe(session.inbox, {
      callback: (error, msg) => {
        if (!error && this.#session === session) this.#receive(session, msg);
      },
    });
    const made = await callApi(
      this.#door,
      `CONSUMER.CREATE.${this.#names.eventsStream}.${session.name}.${this.#names.shardFilter(this.#shard)}`,
      this.#consumerConfig(session),
    );
    if (this.#session !== session) return;
    if (made.kind !== 'ok') return this.#reopen(RETRY_MS);
    this.pending = Number(made.body.num_pending ?? 0);
    session.ready = true;
    this.sessions += 1;
    session.heardAtMs = performance.now();
    session.watchdog = setInterval(() => this.#checkHeartbeat(session), HEARTBEAT_MS);
    session.watchdog.unref();
    this.#pull();
  }

  #consumerConfig(session: Session) {
    return {
      stream_name: this.#names.eventsStream,
      config: {
        name: session.name,
        deliver_policy: 'by_start_sequence',
        opt_start_seq: this.#last + 1,
        filter_subject: this.#names.shardFilter(this.#shard),
        ack_policy: 'none',
        replay_policy: 'instant',
        mem_storage: true,
        num_replicas: 1,
        inactive_threshold: 60_000 * NS,
        max_waiting: 8,
      },
      action: 'create',
    };
  }

  /** Asks for more when little is left and nothing is under way. */
  #pull(): void {
    const session = this.#session;
    if (!session?.ready || session.asked > 0 || this.#isFull || this.#closed) return;
    session.asked = PULL_MESSAGES;
    const request = {
      batch: PULL_MESSAGES,
      max_bytes: PULL_BYTES,
      expires: PULL_EXPIRES_MS * NS,
      idle_heartbeat: HEARTBEAT_MS * NS,
    };
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${this.#names.eventsStream}.${session.name}`;
    if (!this.#door.connected) return;
    this.#door.nc.publish(subject, JSON.stringify(request), { reply: session.inbox });
  }

  get #isFull(): boolean {
    return this.#buffer.length >= LOW_WATER || this.#bufferBytes >= LOW_WATER_BYTES;
  }

  #receive(session: Session, msg: Msg): void {
    session.heardAtMs = performance.now();
    if (!msg.reply?.startsWith('$JS.ACK.')) {
      this.#receiveStatus(session, msg);
      return;
    }
    const place = parseAckSubject(msg.reply);
    if (place.consumerSequence !== session.delivered + 1) {
      this.#reopen(0);
      return;
    }
    session.delivered = place.consumerSequence;
    session.asked -= 1;
    this.pending = place.pending;
    // The client's buffer is reused for what comes next: the payload must be a copy.
    const payload = Uint8Array.from(msg.data);
    this.#last = place.streamSequence;
    this.#buffer.push(logMessage(msg.subject, place.streamSequence, place.timeMs, payload));
    this.#bufferBytes += payload.length;
    if (session.asked === 0) this.#pull();
    if (this.#told) return;
    this.#told = true;
    this.#onReadable();
  }

  #receiveStatus(session: Session, msg: Msg): void {
    const code = msg.headers?.code ?? 0;
    if (code === 100) return;
    // 404 and 408: the pull ended without (more) messages; 409: it ended early, or the consumer is gone.
    if (code === 409 && !/max.?bytes/i.test(msg.headers?.description ?? '')) this.#reopen(RETRY_MS);
    else if (code === 503) this.#reopen(RETRY_MS);
    else {
      session.asked = 0;
      this.#pull();
    }
  }

  #checkHeartbeat(session: Session): void {
    if (this.#session !== session || session.asked === 0) return;
    if (performance.now() - session.heardAtMs > 2.5 * HEARTBEAT_MS) this.#reopen(0);
  }

  #reopen(afterMs: number): void {
    this.#endSession();
    if (this.#closed || this.fault) return;
    clearTimeout(this.#retry);
    if (afterMs === 0) void this.#open();
    else this.#retry = setTimeout(() => void this.#open(), afterMs);
  }

  #broken(fault: 'LOG_REPLACED' | 'LOG_TRUNCATED'): void {
    this.fault = fault;
    this.#endSession();
    this.#onReadable();
  }

  #endSession(): void {
    const session = this.#session;
    this.#session = undefined;
    if (!session) return;
    clearInterval(session.watchdog);
    session.subscription?.unsubscribe();
    if (session.ready && this.#door.connected) {
      this.#door.publish(`$JS.API.CONSUMER.DELETE.${this.#names.eventsStream}.${session.name}`, '');
    }
  }
}

interface Session {
  readonly inbox: string;
  readonly name: string;
  delivered: number;
  asked: number;
  heardAtMs: number;
  ready?: boolean;
  subscription?: Subscription;
  watchdog?: NodeJS.Timeout;
}

/**
 * `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time ns>.<pending>`; with a domain and account
 * hash, two more tokens stand after `$JS.ACK` and one at the end (NATS ADR-15).
 */
function parseAckSubject(reply: string) {
  const tokens = reply.split('.');
  const at = tokens.length >= 11 ? 4 : 2;
  return {
    streamSequence: Number(tokens[at + 3]),
    consumerSequence: Number(tokens[at + 4]),
    timeMs: Math.floor(Number(tokens[at + 5]!.slice(0, -3)) / 1000),
    pending: Number(tokens[at + 6]),
  };
}
