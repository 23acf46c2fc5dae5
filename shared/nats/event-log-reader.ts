// Reads the event log: state and single messages from the leader, shards by hand-written pull consumers.
import type { EventSource, SegmentNames } from '../contract/names.ts';
import { EVENT_SOURCES } from '../contract/names.ts';
import { StitchworkError } from '../kernel/errors.ts';
import type { EventLogReader, LogMessage, LogState } from '../ports/event-log.ts';
import type { NatsDoor } from './connect.ts';
import { callApi, getMessage, streamInfo } from './jetstream-api.ts';
import { PullReader } from './pull-reader.ts';

export function createEventLogReader(door: NatsDoor, names: SegmentNames): EventLogReader {
  const stream = names.eventsStream;
  return {
    state: () => readLogState(door, names),
    async messageAt(sequence) {
      const message = await getMessage(door, stream, { seq: sequence }, 'LOG_UNAVAILABLE');
      if (!message) return undefined;
      return logMessage(message.subject, message.sequence, message.timeMs, message.data);
    },
    async lastSequenceOf(shard) {
      const query = { last_by_subj: names.shardFilter(shard) };
      return (await getMessage(door, stream, query, 'LOG_UNAVAILABLE'))?.sequence ?? 0;
    },
    countAfter: (shard, afterSequence) => countAfter(door, names, shard, afterSequence),
    open: (shard, afterSequence, onReadable) => new PullReader(door, names, shard, afterSequence, onReadable),
  };
}

/** Throws LOG_UNAVAILABLE. */
export async function readLogState(door: NatsDoor, names: SegmentNames): Promise<LogState> {
  const info = await streamInfo(door, names.eventsStream, 'LOG_UNAVAILABLE');
  if (!info) throw new StitchworkError('LOG_UNAVAILABLE', `there is no stream ${names.eventsStream}`);
  const { messages, bytes, first_seq, last_seq } = info.state;
  const firstSequence = messages === 0 ? last_seq + 1 : first_seq;
  const bytesMax = Number(info.config.max_bytes ?? -1);
  return { createdAt: info.created, firstSequence, lastSequence: last_seq, messages, bytes, bytesMax };
}

/** A stored message as the log's users know it: shard and source are tokens of the subject. */
export function logMessage(
  subject: string,
  sequence: number,
  timeMs: number,
  payload: Uint8Array,
): LogMessage {
  const tokens = subject.split('.');
  return { shard: Number(tokens[2]), source: sourceOf(tokens[3]), sequence, timeMs, payload };
}

function sourceOf(token: string | undefined): EventSource {
  return EVENT_SOURCES.find((source) => source === token) ?? 'ingest';
}

/** The server counts when a consumer is made: an ephemeral one, gone at once. */
async function countAfter(
  door: NatsDoor,
  names: SegmentNames,
  shard: number,
  afterSequence: number,
): Promise<number> {
  const answer = await callApi(door, `CONSUMER.CREATE.${names.eventsStream}`, {
    stream_name: names.eventsStream,
    config: {
      deliver_policy: 'by_start_sequence',
      opt_start_seq: afterSequence + 1,
      filter_subject: names.shardFilter(shard),
      ack_policy: 'none',
      mem_storage: true,
      num_replicas: 1,
      inactive_threshold: 1e9,
    },
  });
  if (answer.kind !== 'ok') {
    const reason = answer.kind === 'error' ? answer.error.description : answer.reason;
    throw new StitchworkError('LOG_UNAVAILABLE', `${names.eventsStream}: ${reason}`);
  }
  const name = String(answer.body.name);
  void callApi(door, `CONSUMER.DELETE.${names.eventsStream}.${name}`);
  return Number(answer.body.num_pending ?? 0);
}
