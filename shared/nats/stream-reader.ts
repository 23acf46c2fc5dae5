// Reads any stream from outside the hot path, for people and tools: to its end, or on and on.
import { DeliverPolicy, jetstream } from '@nats-io/jetstream';
import { StitchworkError } from '../kernel/errors.ts';
import type { NatsDoor } from './connect.ts';
import { getMessage, streamInfo } from './jetstream-api.ts';

export interface StreamMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly timeMs: number;
  readonly payload: Uint8Array;
}

export interface ReadOptions {
  readonly filter?: string;
  readonly fromSequence?: number;
  readonly limit?: number;
}

export type FollowOptions = { readonly filter?: string } & (
  | { readonly fromSequence: number }
  | { readonly fromTimeMs: number }
  | { readonly newOnly: true }
);

const RETRY_MS = 500;
const IDLE_HEARTBEAT_MS = 1000;

/** Messages of a stream in order, up to what it held when the reading began. Throws LOG_UNAVAILABLE. */
export async function* readStream(
  door: NatsDoor,
  stream: string,
  options: ReadOptions = {},
): AsyncIterable<StreamMessage> {
  const info = await streamInfo(door, stream, 'LOG_UNAVAILABLE');
  if (!info) throw new StitchworkError('NOT_FOUND', `there is no stream ${stream}`);
  const { last_seq } = info.state;
  let next = Math.max(options.fromSequence ?? 1, info.state.first_seq, 1);
  for (let count = 0; next <= last_seq && count < (options.limit ?? Number.POSITIVE_INFINITY); count++) {
    const query = { seq: next, next_by_subj: options.filter ?? '>' };
    const message = await getMessage(door, stream, query, 'LOG_UNAVAILABLE');
    if (!message || message.sequence > last_seq) return;
    next = message.sequence + 1;
    yield {
      subject: message.subject,
      sequence: message.sequence,
      timeMs: message.timeMs,
      payload: message.data,
    };
  }
}

/** Messages of a stream as they come, through reconnects, until `signal` aborts. Each once, in order. */
export async function* followStream(
  door: NatsDoor,
  stream: string,
  options: FollowOptions,
  signal: AbortSignal,
): AsyncIterable<StreamMessage> {
  let last: number | undefined;
  if ('newOnly' in options) {
    last = (await streamInfo(door, stream, 'LOG_UNAVAILABLE'))?.state.last_seq ?? 0;
  }
  while (!signal.aborted) {
    try {
      for await (const message of session(door, stream, options, last, signal)) {
        last = message.sequence;
        yield message;
      }
    } catch {
      // The server is out of reach or the consumer was lost: a new one goes on behind the last message.
    }
    if (!signal.aborted) await pause(RETRY_MS, signal);
  }
}

async function* session(
  door: NatsDoor,
  stream: string,
  options: FollowOptions,
  last: number | undefined,
  signal: AbortSignal,
): AsyncIterable<StreamMessage> {
  const start =
    last !== undefined
      ? { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: last + 1 }
      : 'fromTimeMs' in options
        ? {
            deliver_policy: DeliverPolicy.StartTime,
            opt_start_time: new Date(options.fromTimeMs).toISOString(),
          }
        : {
            deliver_policy: DeliverPolicy.StartSequence,
            opt_start_seq: 'fromSequence' in options ? Math.max(1, options.fromSequence) : 1,
          };
  const filter = options.filter === undefined ? {} : { filter_subjects: options.filter };
  const consumer = await jetstream(door.nc).consumers.get(stream, { ...start, ...filter });
  const messages = await consumer.consume({ idle_heartbeat: IDLE_HEARTBEAT_MS, expires: 30_000 });
  const stop = () => void messages.close();
  const forget = door.onReconnect(stop);
  signal.addEventListener('abort', stop, { once: true });
  try {
    for await (const message of messages) {
      const payload = Uint8Array.from(message.data);
      yield { subject: message.subject, sequence: message.seq, timeMs: message.time.getTime(), payload };
    }
  } finally {
    forget();
    signal.removeEventListener('abort', stop);
    await messages.close();
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
