// The newest events of a segment's log, for looking at real traffic outside the hot path.
import type { LogMessage } from './event-log.ts';

export interface RecentEvents {
  /**
   * Messages of source `ingest` among the last `messages` of the log, oldest first, as it was when the reading began. A
   * replica may answer, and what is removed meanwhile is left out. Throws LOG_UNAVAILABLE.
   */
  read(messages: number): AsyncIterable<LogMessage>;
}
