// The log as history: how far back it is kept, and all its messages from a time on, shard by shard.
import type { Clock } from '../../shared/kernel/clock.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { EventLogReader, LogMessage, ShardReader } from '../../shared/ports/event-log.ts';

type History = Pick<EventLogReader, 'state' | 'messageAt' | 'lastSequenceOf' | 'open'>;

const TRIES_MAX = 5;
const TAKEN_AT_ONCE = 256;
/** Without a message for so long, whoever reads gives up and begins again later. */
const STALL_MS = 30_000;

export interface Beginning {
  readonly logId: string;
  readonly firstSequence: number;
  /** Log time of the first message that is kept; undefined: none is. */
  readonly keptFromMs: number | undefined;
}

/** Where the log begins now. Throws LOG_UNAVAILABLE. */
export async function historyBeginning(log: Pick<History, 'state' | 'messageAt'>): Promise<Beginning> {
  for (let tries = 0; ; tries++) {
    const { createdAt, firstSequence, lastSequence } = await log.state();
    const first = firstSequence > lastSequence ? undefined : await log.messageAt(firstSequence);
    if (first || firstSequence > lastSequence || tries >= TRIES_MAX)
      return { logId: createdAt, firstSequence, keptFromMs: first?.timeMs };
    // It was purged between the two questions.
  }
}

/** A sequence at or before the first message of a log time: by halves, over what is still there. */
export async function sequenceAt(
  log: Pick<History, 'messageAt'>,
  timeMs: number,
  from: number,
  to: number,
): Promise<number> {
  let low = from;
  let high = to;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const message = await log.messageAt(middle);
    if (!message) return low;
    if (message.timeMs < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

export interface Stretch {
  readonly shards: number;
  readonly fromSequence: number;
  readonly upTo: number;
}

/**
 * Hands over every message of a stretch of the log, those of one shard in order. Lets others have their turn. Throws
 * LOG_UNAVAILABLE when no message comes for long.
 */
export async function readHistory(
  log: Pick<History, 'lastSequenceOf' | 'open'>,
  { shards, fromSequence, upTo }: Stretch,
  onMessage: (message: LogMessage) => void,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<void> {
  const ends = await Promise.all(Array.from({ length: shards }, (_, shard) => log.lastSequenceOf(shard)));
  let wake: () => void = () => {};
  const lanes = new Map<ShardReader, number>();
  try {
    for (const [shard, last] of ends.entries()) {
      if (last >= fromSequence)
        lanes.set(
          log.open(shard, fromSequence - 1, () => wake()),
          Math.min(last, upTo),
        );
    }
    while (lanes.size > 0) {
      signal.throwIfAborted();
      const readable = new Promise<void>((resolve) => {
        wake = resolve;
      });
      if (takeSome(lanes, onMessage, upTo)) await clock.sleep(0, signal);
      else await orStalled(readable, clock, signal);
    }
  } finally {
    for (const lane of lanes.keys()) lane.close();
  }
}

/** Takes what is ready, and closes the lanes that have come to their end; false when nothing was. */
function takeSome(
  lanes: Map<ShardReader, number>,
  onMessage: (message: LogMessage) => void,
  upTo: number,
): boolean {
  let some = false;
  for (const [lane, end] of lanes) {
    if (lane.fault)
      throw new StitchworkError('LOG_UNAVAILABLE', `the log changed while it was read: ${lane.fault}`);
    const messages = lane.take(TAKEN_AT_ONCE);
    for (const message of messages) if (message.sequence <= upTo) onMessage(message);
    some ||= messages.length > 0;
    if ((messages.at(-1)?.sequence ?? 0) < end) continue;
    lane.close();
    lanes.delete(lane);
  }
  return some;
}

async function orStalled(readable: Promise<void>, clock: Clock, signal: AbortSignal): Promise<void> {
  const done = new AbortController();
  const late = clock.sleep(STALL_MS, AbortSignal.any([done.signal, signal])).then(() => {
    throw new StitchworkError('LOG_UNAVAILABLE', `no message of the log for ${STALL_MS} ms`);
  });
  late.catch(() => {});
  try {
    await Promise.race([readable, late]);
  } finally {
    done.abort();
  }
}
