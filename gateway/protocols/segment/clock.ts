// When a call happened, by our clock. A client says when it made the call and when it sent it, both by its own clock, which
// may be wrong by days: what passed between the two is right all the same.
import { isoMs } from '../../../shared/contract/parse-event.ts';

/** Clocks that differ by less are taken to agree: it is mostly the way, and calls keep the order that the client gave them. */
export const CLOCK_TOLERANCE_MS = 5_000;
/** Years 1970 to 2200. */
const TIME_MAX_MS = 7_258_118_400_000;

export interface ClientTimes {
  /** When the call was made: ISO 8601 or epoch ms. */
  readonly timestamp: unknown;
  /** When it was sent, likewise. */
  readonly sentAt: unknown;
}

/** In ms; undefined, which means now, when the client does not say or it cannot be read. */
export function correctedMs({ timestamp, sentAt }: ClientTimes, receivedMs: number): number | undefined {
  const saidMs = timeOf(timestamp);
  const sentMs = timeOf(sentAt);
  if (saidMs === undefined || sentMs === undefined) return saidMs;
  const aheadMs = sentMs - receivedMs;
  if (Math.abs(aheadMs) < CLOCK_TOLERANCE_MS) return saidMs;
  return timeOf(saidMs - aheadMs);
}

function timeOf(raw: unknown): number | undefined {
  const ms = typeof raw === 'number' ? raw : isoMs(raw);
  return ms !== undefined && ms >= 0 && ms <= TIME_MAX_MS ? Math.floor(ms) : undefined;
}
