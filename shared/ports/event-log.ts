// The event log of one parent segment: an ordered, durable list of messages, each of one shard.
import type { EventSource } from '../contract/names.ts';

export interface LogMessage {
  readonly shard: number;
  readonly source: EventSource;
  readonly sequence: number;
  /** When the log stored it, ms. */
  readonly timeMs: number;
  readonly payload: Uint8Array;
}

export interface LogState {
  /** Creation time of the log, as the server states it: another value means another log. */
  readonly createdAt: string;
  /** First sequence kept; lastSequence + 1 when empty. */
  readonly firstSequence: number;
  readonly lastSequence: number;
  readonly messages: number;
  readonly bytes: number;
  /** -1: no limit. */
  readonly bytesMax: number;
}

export interface ShardReader {
  /** Removes up to `max` messages from the front of the buffer. */
  take(max: number): readonly LogMessage[];
  /**
   * Whether something may be missing between the messages taken last and those before them, because someone removed it
   * from the log. False when the reader saw that the sequences of the log follow one another.
   */
  readonly mayHaveGaps: boolean;
  /** Messages ready to take. */
  readonly buffered: number;
  /** Messages of the shard that the log holds beyond the buffer, as last heard. */
  readonly pending: number;
  /**
   * How often the log was opened: grows with each reconnection. What is read after it grew may come from another log
   * (a restored one): it has to be recognised again before anything is committed.
   */
  readonly sessions: number;
  /** Set when the log is no longer the one that was opened (recreated, or shorter than what was read): no more comes. */
  readonly fault: 'LOG_REPLACED' | 'LOG_TRUNCATED' | undefined;
  close(): void;
}

export interface EventLogReader {
  /**
   * From the leader. One that ends before `atLeast` is given a moment to catch up with what its followers have delivered.
   * Throws LOG_UNAVAILABLE.
   */
  state(atLeast?: number): Promise<LogState>;
  /** The message at a sequence (leader), undefined when it is gone. Throws LOG_UNAVAILABLE. */
  messageAt(sequence: number): Promise<LogMessage | undefined>;
  /** Sequence of the shard's newest message (leader), 0 when it has none. Throws LOG_UNAVAILABLE. */
  lastSequenceOf(shard: number): Promise<number>;
  /** How many messages of the shard are kept after a sequence (leader). Throws LOG_UNAVAILABLE. */
  countAfter(shard: number, afterSequence: number): Promise<number>;
  /**
   * Reads a shard from `afterSequence + 1` on: every message once, in order, through reconnects and server restarts,
   * with a bounded buffer. A shard has one reader at a time. `onReadable` is called when there is something new to take, or a fault.
   */
  open(shard: number, afterSequence: number, onReadable: () => void): ShardReader;
}

export interface LogAppend {
  readonly shard: number;
  readonly source: EventSource;
  readonly payload: Uint8Array;
}

export type AppendOutcome =
  /** All stored, durable, once. */
  | { readonly kind: 'stored' }
  /** Nothing stored: the log is at its size limit. */
  | { readonly kind: 'full' }
  /** Nothing stored: more is waiting than may be held. Try again after `retryAfterMs`. */
  | { readonly kind: 'overloaded'; readonly retryAfterMs: number }
  /** Nothing stored: the log cannot be reached. */
  | { readonly kind: 'unavailable'; readonly reason: string }
  /** It may or may not have been stored: the deadline passed before an answer. Sending the same message ids again is safe. */
  | { readonly kind: 'unknown'; readonly reason: string };

export interface EventLogAppender {
  /**
   * Appends the messages of one request, all or none, next to one another where the log's limits allow. Requests that
   * come within the linger time share a commit. Never throws; resolves within the deadline it was made with.
   */
  append(messages: readonly LogAppend[]): Promise<AppendOutcome>;
  /** False while the log cannot be reached. */
  readonly reachable: boolean;
  /** Waits for what is in flight, then refuses everything. */
  close(): Promise<void>;
}
