// Everything that the event log ever held, as one list: what the archive has, then what only the log has.
import type { LogMessage } from './event-log.ts';

export interface HistoryQuery {
  /** First sequence; by default the beginning. */
  readonly fromSequence?: number;
  /** Last sequence; by default the end of the log when the reading began. */
  readonly toSequence?: number;
  /** Log time, ms: from this on, and before that. */
  readonly fromTimeMs?: number;
  readonly toTimeMs?: number;
  readonly shards?: readonly number[];
  /** Events that carry one of these stitching keys, as they were sent. */
  readonly keys?: Readonly<Record<string, readonly string[]>>;
}

export interface HistoryBeginning {
  /** Creation time of the log that the sequences count in. */
  readonly logId: string;
  /** The first message that can be read has this sequence or a later one. */
  readonly firstSequence: number;
  /** Log time of the first message; undefined: there is none. */
  readonly keptFromMs: number | undefined;
}

export interface EventHistory {
  /** How far back history reaches. Throws LOG_UNAVAILABLE. */
  beginning(): Promise<HistoryBeginning>;
  /**
   * The messages that match, each once, in the order of the log, some hundred at a time; nothing is missing where the
   * archive ends and the log begins, even when the archive moves on meanwhile. A payload from the archive says the same as
   * the one in the log, but for whom to answer. Throws LOG_UNAVAILABLE, LOG_REPLACED or RECORD_DAMAGED.
   */
  read(query: HistoryQuery, signal: AbortSignal): AsyncIterable<readonly LogMessage[]>;
}
