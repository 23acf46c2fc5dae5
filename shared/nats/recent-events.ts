// The newest events of a log by batched direct gets (NATS 2.11): some hundred messages a request, without a consumer.
import type { Msg } from 'nats';
import type { SegmentNames } from '../contract/names.ts';
import { StitchworkError } from '../kernel/errors.ts';
import type { LogMessage } from '../ports/event-log.ts';
import type { RecentEvents } from '../ports/recent-events.ts';
import type { NatsDoor } from './connect.ts';
import { streamInfo } from './jetstream-api.ts';

const AT_ONCE = 250;
const BYTES_AT_ONCE = 4 * 1024 * 1024;
const TIMEOUT_MS = 3000;
const END = 204;
const NONE = 404;

export function createRecentEvents(door: NatsDoor, names: SegmentNames): RecentEvents {
  return {
    async *read(messages) {
      const info = await streamInfo(door, names.eventsStream, 'LOG_UNAVAILABLE');
      if (!info) throw new StitchworkError('LOG_UNAVAILABLE', `there is no stream ${names.eventsStream}`);
      const { last_seq: last, first_seq: first } = info.state;
      let next = Math.max(1, first, last - messages + 1);
      while (next <= last) {
        const batch = await readBatch(door, names, next);
        for (const message of batch) if (message.sequence <= last) yield message;
        const end = batch.at(-1)?.sequence;
        if (end === undefined) return;
        next = end + 1;
      }
    },
  };
}

/** Empty when there are no more. */
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
    batch.push(messageOf(msg));
    return 'more';
  };
  const query = {
    seq: from,
    next_by_subj: names.sourceFilter('ingest'),
    batch: AT_ONCE,
    max_bytes: BYTES_AT_ONCE,
  };
  const subject = `$JS.API.DIRECT.GET.${names.eventsStream}`;
  const end = await door.requestMany(subject, JSON.stringify(query), each, TIMEOUT_MS);
  if (end.kind !== 'done') problem = end.kind;
  if (problem !== undefined)
    throw new StitchworkError('LOG_UNAVAILABLE', `${names.eventsStream} cannot be read: ${problem}`);
  return batch;
}

function messageOf(msg: Msg): LogMessage {
  const hdrs = msg.headers!;
  const [, , shard] = hdrs.get('Nats-Subject').split('.');
  return {
    shard: Number(shard),
    source: 'ingest',
    sequence: Number(hdrs.get('Nats-Sequence')),
    timeMs: Date.parse(hdrs.get('Nats-Time-Stamp')),
    payload: new Uint8Array(msg.data),
  };
}
