// Replays events into a shadow segment at their own times: in order, in batches, resumable after the last one that was
// stored. Time never runs backwards: an event that is older than one before it happens at that one's time.
import type { Replayable } from '../../shared/contract/event.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import type { ReplayedEvent, ShadowSegment } from './shadow-segment.ts';

export interface SourceEvent {
  readonly said: Replayable;
  /** Log time that it had, or the time at which it happened. */
  readonly timeMs: number;
  /** Grows from event to event. */
  readonly position: number;
}

export interface ReplayProgress {
  readonly sent: number;
  readonly position: number;
  readonly nowMs: number;
}

export interface ReplayIntoOptions {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Events a second; undefined: as fast as they are taken. */
  readonly ratePerSecond: number | undefined;
  /** The clock is set to this at the end, when it is later than the last event. */
  readonly endMs: number | undefined;
  readonly onProgress: (progress: ReplayProgress) => void;
}

export interface Replayed extends ReplayProgress {
  /** Alarms that rang when time was over. */
  readonly rung: number;
  /** Events that were there from an earlier run. */
  readonly resumedAfter: number | undefined;
}

const BATCH_EVENTS_MAX = 400;

/** Sends everything behind what the shadow has, rings what is due by the end, and waits until all is applied. */
export async function replayInto(
  shadow: ShadowSegment,
  source: AsyncIterable<SourceEvent>,
  { clock, signal, ratePerSecond, endMs, onProgress }: ReplayIntoOptions,
): Promise<Replayed> {
  const before = await shadow.lastMark();
  let progress: ReplayProgress = { sent: 0, position: before?.position ?? 0, nowMs: before?.nowMs ?? 0 };
  let batch: ReplayedEvent[] = [];
  const startedMs = clock.elapsedMs();
  const flush = async () => {
    if (batch.length === 0) return;
    await shadow.append(batch, signal);
    const { position, nowMs } = batch.at(-1)!.mark;
    progress = { sent: progress.sent + batch.length, position, nowMs };
    batch = [];
    onProgress(progress);
    if (ratePerSecond === undefined) return;
    const waitMs = startedMs + (progress.sent / ratePerSecond) * 1000 - clock.elapsedMs();
    if (waitMs > 0) await clock.sleep(waitMs, signal);
  };
  let nowMs = progress.nowMs;
  for await (const { said, timeMs, position } of source) {
    if (before !== undefined && position <= before.position) continue;
    nowMs = Math.max(nowMs, timeMs);
    batch.push({ said, mark: { nowMs, position } });
    if (batch.length >= BATCH_EVENTS_MAX) await flush();
  }
  await flush();
  const end = Math.max(progress.nowMs, endMs ?? 0);
  const rung = await shadow.ringUntil(end, signal);
  await shadow.applied(signal);
  return { ...progress, nowMs: end, rung, resumedAfter: before?.position };
}
