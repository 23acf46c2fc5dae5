// The event log as a whole, as its leader sees it.
import type { SegmentNames } from '../contract/names.ts';
import { StitchworkError } from '../kernel/errors.ts';
import type { LogState } from '../ports/event-log.ts';
import type { NatsDoor } from './connect.ts';
import { LEADER_TIMEOUT_MS, streamInfo } from './jetstream-api.ts';
import { whileBehind } from './leader-lag.ts';

/** Waits a moment for a log that ends before `atLeast`. Throws LOG_UNAVAILABLE. */
export function readLogState(door: NatsDoor, names: SegmentNames, atLeast = 0): Promise<LogState> {
  return whileBehind(
    () => readNow(door, names),
    ({ lastSequence }) => lastSequence,
    atLeast,
  );
}

async function readNow(door: NatsDoor, names: SegmentNames): Promise<LogState> {
  const info = await streamInfo(door, names.eventsStream, 'LOG_UNAVAILABLE', LEADER_TIMEOUT_MS);
  if (!info) throw new StitchworkError('LOG_UNAVAILABLE', `there is no stream ${names.eventsStream}`);
  const { messages, bytes, first_seq, last_seq } = info.state;
  const firstSequence = messages === 0 ? last_seq + 1 : first_seq;
  const bytesMax = Number(info.config.max_bytes ?? -1);
  return { createdAt: info.created, firstSequence, lastSequence: last_seq, messages, bytes, bytesMax };
}
