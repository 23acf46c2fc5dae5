// What another config would have made of the newest events: read from the log, stitched by both configs in this process,
// nothing stored. One at a time, and with a pause every few events, so that requests are answered meanwhile.
import {
  compareStitching,
  type LoggedEvent,
  type StitchingComparison,
} from '../../actors/profile/compare-stitching.ts';
import { readEnvelope } from '../../actors/profile/parse-message.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { GatewaySegment } from '../deps.ts';

export const TRY_EVENTS_DEFAULT = 10_000;
export const TRY_EVENTS_MAX = 50_000;

export interface StitchingTrial {
  /** Over the events among so many messages of the log, the newest ones. */
  run(
    segment: GatewaySegment,
    before: SegmentConfig,
    after: SegmentConfig,
    messages: number,
  ): Promise<StitchingComparison>;
}

export function createStitchingTrial(clock: Clock): StitchingTrial {
  let isRunning = false;
  return {
    async run(segment, before, after, messages) {
      if (isRunning)
        throw new StitchworkError(
          'OVERLOADED',
          'Another comparison over events is running here; try again when it is done.',
        );
      isRunning = true;
      try {
        const events = await readEvents(segment, messages);
        return await compareStitching(before, after, events, () => clock.sleep(0));
      } finally {
        isRunning = false;
      }
    },
  };
}

/** Without their properties, which stitch nothing and may be large. */
async function readEvents(segment: GatewaySegment, messages: number): Promise<readonly LoggedEvent[]> {
  const events: LoggedEvent[] = [];
  for await (const { payload, timeMs } of segment.recentEvents.read(messages)) {
    const envelope = readEnvelope(payload);
    if (envelope?.type !== 'event') continue;
    events.push({ event: { ...envelope.event, properties: {} }, nowMs: timeMs });
  }
  return events;
}
