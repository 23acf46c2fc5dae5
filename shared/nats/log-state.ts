// The event log as a whole, as its leader sees it, and its messages as the log's users know them.
import { type SegmentNames, sourceOf } from '../contract/names.ts';
import { StitchworkError } from '../kernel/errors.ts';
import type { LogMessage, LogState } from '../ports/event-log.ts';
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

/** A stored message: shard and source are the last two tokens of its subject. */
export function logMessage(
  names: SegmentNames,
  subject: string,
  sequence: number,
  timeMs: number,
  payload: Uint8Array,
): LogMessage {
  const shardAt = names.eventsFilter.length - 1;
  const dot = subject.indexOf('.', shardAt);
  const shard = Number(subject.slice(shardAt, dot));
  return { shard, source: sourceOf(subject.slice(dot + 1)), sequence, timeMs, payload };
}
