// The event log as one list, read forward from any place: for those who read it whole, of all shards.
import type { LogMessage } from './event-log.ts';

export interface LogScan {
  /**
   * Every message from sequence `from` to `upTo` that the log still has, each once, in the order of the log, some hundred
   * at a time. What is missing in between was removed from the log. Throws LOG_UNAVAILABLE when that cannot be told.
   */
  scan(from: number, upTo: number, signal: AbortSignal): AsyncIterable<readonly LogMessage[]>;
}
