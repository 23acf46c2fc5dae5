// The event log by batched direct gets: without a consumer, so that nothing has to be mended after a crash of the server.
// A replica answers, which may lag behind: what it does not have is believed to be gone only when the leader says so.
import type { Msg } from 'nats';
import type { SegmentNames } from '../contract/names.ts';
import { StitchworkError } from '../kernel/errors.ts';
import type { LogMessage } from '../ports/event-log.ts';
import type { LogScan } from '../ports/log-scan.ts';
import type { NatsDoor } from './connect.ts';
import { getMessage } from './jetstream-api.ts';
import { logMessage } from './log-state.ts';

const AT_ONCE = 1000;
const BYTES_AT_ONCE = 8 * 1024 * 1024;
const TIMEOUT_MS = 5000;
/** A replica that lags behind is given so many moments to catch up. */
const LOOKS_MAX = 40;
const LOOK_AGAIN_MS = 50;
const END = 204;
const NONE = 404;

export function createLogScan(door: NatsDoor, names: SegmentNames): LogScan {
  return {
    async *scan(from, upTo, signal) {
      let next = Math.max(1, from);
      for (let looks = 0; next <= upTo; looks++) {
        signal.throwIfAborted();
        const batch = (await readBatch(door, names, next)).filter(({ sequence }) => sequence <= upTo);
        const sound = await soundPart(door, names, batch, next, upTo);
        if (sound === 'end') return;
        if (sound.length > 0) {
          looks = 0;
          next = sound.at(-1)!.sequence + 1;
          yield sound;
        } else if (looks >= LOOKS_MAX) throw unavailable(names, 'a replica lags behind');
        else await pause();
      }
    },
  };
}

/** The messages before the first one that the leader has and this answer has not; `end`: the leader has no more. */
async function soundPart(
  door: NatsDoor,
  names: SegmentNames,
  batch: readonly LogMessage[],
  from: number,
  upTo: number,
): Promise<readonly LogMessage[] | 'end'> {
  const after = async (sequence: number) => {
    const query = { seq: sequence, next_by_subj: names.eventsFilter };
    return (await getMessage(door, names.eventsStream, query, 'LOG_UNAVAILABLE'))?.sequence;
  };
  if (batch.length === 0) {
    const next = await after(from);
    return next === undefined || next > upTo ? 'end' : [];
  }
  let expected = from;
  for (const [index, { sequence }] of batch.entries()) {
    if (sequence !== expected) {
      const next = await after(expected);
      if (next !== undefined && next < sequence) return batch.slice(0, index);
    }
    expected = sequence + 1;
  }
  return batch;
}

async function readBatch(door: NatsDoor, names: SegmentNames, from: number): Promise<readonly LogMessage[]> {
  const batch: LogMessage[] = [];
  let problem: string | undefined;
  const each = (msg: Msg): 'more' | 'done' => {
    const status = msg.headers?.code ?? 0;
    if (status === END || status === NONE) return 'done';
    if (status >= 400) {
      problem = `${status} ${msg.headers?.description ?? ''}`;
      return 'done';
    }
    const hdrs = msg.headers!;
    const sequence = Number(hdrs.get('Nats-Sequence'));
    const timeMs = Date.parse(hdrs.get('Nats-Time-Stamp'));
    batch.push(logMessage(names, hdrs.get('Nats-Subject'), sequence, timeMs, new Uint8Array(msg.data)));
    return 'more';
  };
  const query = { seq: from, next_by_subj: names.eventsFilter, batch: AT_ONCE, max_bytes: BYTES_AT_ONCE };
  const subject = `$JS.API.DIRECT.GET.${names.eventsStream}`;
  const end = await door.requestMany(subject, JSON.stringify(query), each, TIMEOUT_MS);
  if (end.kind !== 'done') problem = end.kind;
  if (problem !== undefined) throw unavailable(names, problem);
  return batch;
}

function unavailable(names: SegmentNames, reason: string): StitchworkError {
  return new StitchworkError('LOG_UNAVAILABLE', `${names.eventsStream} cannot be read: ${reason}`);
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
}
