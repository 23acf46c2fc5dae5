// All messages of a stream, or of some of its subjects, by batched direct gets (NATS 2.11): hundreds a request, without a
// consumer. For tools: any replica answers; one that is behind is waited for.
import type { Msg } from 'nats';
import { StitchworkError } from '../kernel/errors.ts';
import type { NatsDoor } from './connect.ts';
import { getMessage, streamInfo } from './jetstream-api.ts';
import { whileBehind } from './leader-lag.ts';

export interface BatchedMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly timeMs: number;
  readonly payload: Uint8Array;
  /** The marker of something that was removed. */
  readonly removed: boolean;
}

const AT_ONCE = 500;
const BYTES_AT_ONCE = 4 * 1024 * 1024;
const TIMEOUT_MS = 5000;
const END = 204;
const NONE = 404;

export interface BatchOptions {
  readonly filter: string;
  readonly fromSequence?: number;
  readonly toSequence?: number;
}

/** In order, up to what the stream held when the reading began. Throws LOG_UNAVAILABLE. */
export async function* readBatches(
  door: NatsDoor,
  stream: string,
  { filter, fromSequence = 1, toSequence = Number.MAX_SAFE_INTEGER }: BatchOptions,
): AsyncGenerator<readonly BatchedMessage[]> {
  const info = await streamInfo(door, stream, 'LOG_UNAVAILABLE');
  if (!info) throw new StitchworkError('NOT_FOUND', `there is no stream ${stream}`);
  const last = Math.min(info.state.last_seq, toSequence);
  let next = Math.max(1, info.state.first_seq, fromSequence);
  if (next > last) return;
  let reading = readBatch(door, stream, filter, next);
  while (next <= last) {
    const batch = await reading;
    const wanted = batch.filter(({ sequence }) => sequence <= last);
    const end = batch.at(-1)?.sequence;
    next = end === undefined ? next : end + 1;
    const isLast = wanted.length < batch.length || next > last;
    if (end === undefined && !(await hasMore(door, stream, filter, next, last))) return;
    if (!isLast) {
      // The next ones come while these are looked at.
      reading = readBatch(door, stream, filter, next);
      reading.catch(() => {});
    }
    if (wanted.length > 0) yield wanted;
    if (isLast) return;
  }
}

/** Nothing came: false when the leader has nothing either, true when a replica that was behind may have it now. */
async function hasMore(
  door: NatsDoor,
  stream: string,
  filter: string,
  from: number,
  to: number,
): Promise<boolean> {
  const query = { seq: from, next_by_subj: filter };
  const message = await getMessage(door, stream, query, 'LOG_UNAVAILABLE');
  if (!message || message.sequence > to) return false;
  const look = () => readBatch(door, stream, filter, from);
  const seen = await whileBehind(look, (batch) => batch.length, 1);
  if (seen.length === 0)
    throw new StitchworkError('LOG_UNAVAILABLE', `${stream} cannot be read: a replica lags behind`);
  return true;
}

const ROUNDS_MAX = 50;

/**
 * As `readBatches`, for subjects of which the stream keeps the last message: what is written while it is read moves to its
 * end, so the reading goes on behind what it has read until the end stands still, or a number of times.
 */
export async function* followBatches(
  door: NatsDoor,
  stream: string,
  { filter, fromSequence = 1, signal }: BatchOptions & { readonly signal?: AbortSignal },
): AsyncGenerator<readonly BatchedMessage[]> {
  let next = fromSequence;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    for await (const batch of readBatches(door, stream, { filter, fromSequence: next })) {
      signal?.throwIfAborted();
      next = batch.at(-1)!.sequence + 1;
      yield batch;
    }
    const query = { seq: next, next_by_subj: filter };
    if (!(await getMessage(door, stream, query, 'LOG_UNAVAILABLE'))) return;
  }
}

async function readBatch(
  door: NatsDoor,
  stream: string,
  filter: string,
  from: number,
): Promise<readonly BatchedMessage[]> {
  const batch: BatchedMessage[] = [];
  let problem: string | undefined;
  const each = (msg: Msg): 'more' | 'done' => {
    const status = msg.headers?.code ?? 0;
    if (status === END || status === NONE) return 'done';
    if (status >= 400) {
      problem = `${status} ${msg.headers?.description ?? ''}`;
      return 'done';
    }
    batch.push(messageOf(msg));
    return 'more';
  };
  const query = { seq: from, next_by_subj: filter, batch: AT_ONCE, max_bytes: BYTES_AT_ONCE };
  const end = await door.requestMany(`$JS.API.DIRECT.GET.${stream}`, JSON.stringify(query), each, TIMEOUT_MS);
  if (end.kind !== 'done') problem = end.kind;
  if (problem !== undefined)
    throw new StitchworkError('LOG_UNAVAILABLE', `${stream} cannot be read: ${problem}`);
  return batch;
}

function messageOf(msg: Msg): BatchedMessage {
  const hdrs = msg.headers!;
  return {
    subject: hdrs.get('Nats-Subject'),
    sequence: Number(hdrs.get('Nats-Sequence')),
    timeMs: Date.parse(hdrs.get('Nats-Time-Stamp')),
    payload: new Uint8Array(msg.data),
    removed: hdrs.has('KV-Operation'),
  };
}
