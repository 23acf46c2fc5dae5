// One ephemeral pull consumer of the event log, without acks, from a sequence on: messages in order and without a gap, or
// an end. It is never repaired: whoever holds it makes another one, from the last delivered sequence + 1. The client's own
// ordered consumer can stall for ever after a server crash (CRASH G6).
//
//   opening -created-> running -gap, missed heartbeat, consumer gone, lost connection-> ended
import { createInbox, type Msg, nuid, type Subscription } from 'nats';
import type { SegmentNames } from '../contract/names.ts';
import type { LogMessage } from '../ports/event-log.ts';
import type { NatsDoor } from './connect.ts';
import { callApi, LEADER_TIMEOUT_MS } from './jetstream-api.ts';
import { logMessage } from './log-state.ts';

/** Messages and bytes of one pull; the next one goes out when half of it has come. */
const PULL_MESSAGES = 1000;
const PULL_BYTES = 4 * 1024 * 1024;
const HEARTBEAT_MS = 1000;
const PULL_EXPIRES_MS = 30_000;
const NS = 1e6;

export interface SessionOptions {
  readonly afterSequence: number;
  /** Shards to read; undefined: all of them. */
  readonly shards: readonly number[] | undefined;
  readonly onMessage: (message: LogMessage) => void;
  /** Called before a message that does not follow the one before it: removed messages, or those of other shards. */
  readonly onJump: () => void;
  /** Nothing more comes. */
  readonly onEnd: () => void;
  /** Whether more is wanted now; asked again by `more()`. */
  readonly isWanted: () => boolean;
}

export class PullSession {
  /** Messages beyond what was delivered, as last heard. */
  pending = 0;
  /** Sequence that the log has next, if nothing was removed and everything is read. */
  #next: number;
  readonly #door: NatsDoor;
  readonly #names: SegmentNames;
  readonly #options: SessionOptions;
  readonly #inbox = createInbox();
  readonly #consumer = nuid.next();
  #delivered = 0;
  #asked = 0;
  #heardAtMs = 0;
  #state: 'opening' | 'running' | 'ended' = 'opening';
  #subscription: Subscription | undefined;
  #watchdog: NodeJS.Timeout | undefined;

  constructor(door: NatsDoor, names: SegmentNames, options: SessionOptions) {
    this.#door = door;
    this.#names = names;
    this.#options = options;
    this.#next = options.afterSequence + 1;
  }

  /** Makes the consumer and begins to pull. False when that failed, or the session was closed meanwhile. */
  async open(): Promise<boolean> {
    this.#subscription = this.#door.nc.subscribe(this.#inbox, {
      callback: (error, msg) => {
        if (!error && this.#state === 'running') this.#receive(msg);
      },
    });
    const { eventsStream } = this.#names;
    const request = { stream_name: eventsStream, config: this.#config(), action: 'create' };
    const subject = `CONSUMER.CREATE.${eventsStream}.${this.#consumer}`;
    const made = await callApi(this.#door, subject, request, LEADER_TIMEOUT_MS);
    if (this.#state !== 'opening') return false;
    if (made.kind !== 'ok') {
      this.close();
      return false;
    }
    this.#state = 'running';
    this.pending = Number(made.body.num_pending ?? 0);
    this.#heardAtMs = performance.now();
    this.#watchdog = setInterval(() => this.#checkHeartbeat(), HEARTBEAT_MS);
    this.#watchdog.unref();
    this.more();
    return true;
  }

  /** Asks for more, if it is wanted and little is under way. */
  more(): void {
    if (this.#state !== 'running' || this.#asked > PULL_MESSAGES / 2 || !this.#door.connected) return;
    if (!this.#options.isWanted()) return;
    this.#asked += PULL_MESSAGES;
    const request = {
      batch: PULL_MESSAGES,
      max_bytes: PULL_BYTES,
      expires: PULL_EXPIRES_MS * NS,
      idle_heartbeat: HEARTBEAT_MS * NS,
    };
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${this.#names.eventsStream}.${this.#consumer}`;
    this.#door.nc.publish(subject, JSON.stringify(request), { reply: this.#inbox });
  }

  /** Ends it without telling. */
  close(): void {
    const made = this.#state === 'running';
    this.#state = 'ended';
    clearInterval(this.#watchdog);
    this.#subscription?.unsubscribe();
    if (made && this.#door.connected) {
      this.#door.publish(`$JS.API.CONSUMER.DELETE.${this.#names.eventsStream}.${this.#consumer}`, '');
    }
  }

  #config() {
    const { shards, afterSequence } = this.#options;
    return {
      name: this.#consumer,
      deliver_policy: 'by_start_sequence',
      opt_start_seq: afterSequence + 1,
      ...(shards && { filter_subjects: shards.map((shard) => this.#names.shardFilter(shard)) }),
      ack_policy: 'none',
      replay_policy: 'instant',
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: 60_000 * NS,
      max_waiting: 8,
    };
  }

  #receive(msg: Msg): void {
    this.#heardAtMs = performance.now();
    if (!msg.reply?.startsWith('$JS.ACK.')) {
      this.#receiveStatus(msg);
      return;
    }
    const place = parseAckSubject(msg.reply);
    if (place.consumerSequence !== this.#delivered + 1) {
      this.#end();
      return;
    }
    this.#delivered = place.consumerSequence;
    this.#asked = Math.max(0, this.#asked - 1);
    this.pending = place.pending;
    if (place.streamSequence !== this.#next) this.#options.onJump();
    this.#next = place.streamSequence + 1;
    // The client's buffer is reused for what comes next: the payload must be a copy. Small ones share slabs, which live
    // as long as the messages next to one another do.
    const payload = Buffer.from(msg.data);
    this.#options.onMessage(
      logMessage(this.#names, msg.subject, place.streamSequence, place.timeMs, payload),
    );
    this.more();
  }

  #receiveStatus(msg: Msg): void {
    const code = msg.headers?.code ?? 0;
    if (code === 100) return;
    // 404 and 408: a pull ended without (more) messages; 409: it ended early, or the consumer is gone.
    const isEnd = code === 503 || (code === 409 && !/max.?bytes/i.test(msg.headers?.description ?? ''));
    if (isEnd) {
      this.#end();
      return;
    }
    const left = msg.headers?.get('Nats-Pending-Messages');
    this.#asked = left ? Math.max(0, this.#asked - Number(left)) : 0;
    this.more();
  }

  #checkHeartbeat(): void {
    if (this.#asked > 0 && performance.now() - this.#heardAtMs > 2.5 * HEARTBEAT_MS) this.#end();
  }

  #end(): void {
    this.close();
    this.#options.onEnd();
  }
}

/**
 * `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time ns>.<pending>`; with a domain and account
 * hash, two more tokens stand after `$JS.ACK` and one at the end (NATS ADR-15).
 */
export function parseAckSubject(reply: string) {
  const tokens = reply.split('.');
  const at = tokens.length >= 11 ? 4 : 2;
  return {
    delivered: Number(tokens[at + 2]),
    streamSequence: Number(tokens[at + 3]),
    consumerSequence: Number(tokens[at + 4]),
    timeMs: Math.floor(Number(tokens[at + 5]!.slice(0, -3)) / 1000),
    pending: Number(tokens[at + 6]),
  };
}
