// Reads the event log: state and single messages from the leader, shards by a consumer that they share.
import { DEFAULT_SHARDS, type SegmentNames } from '../contract/names.ts';
import { StitchworkError } from '../kernel/errors.ts';
import type { EventLogReader } from '../ports/event-log.ts';
import type { NatsDoor } from './connect.ts';
import { callApi, getMessage } from './jetstream-api.ts';
import { logMessage, readLogState } from './log-state.ts';
import { SharedReader } from './shared-reader.ts';

/** `shards`: how many the segment has. */
export function createEventLogReader(
  door: NatsDoor,
  names: SegmentNames,
  shards = DEFAULT_SHARDS,
): EventLogReader {
  const reader = new SharedReader(door, names, shards);
  const stream = names.eventsStream;
  return {
    state: (atLeast) => readLogState(door, names, atLeast),
    async messageAt(sequence) {
      const message = await getMessage(door, stream, { seq: sequence }, 'LOG_UNAVAILABLE');
      if (!message) return undefined;
      return logMessage(names, message.subject, message.sequence, message.timeMs, message.data);
    },
    async lastSequenceOf(shard) {
      const query = { last_by_subj: names.shardFilter(shard) };
      return (await getMessage(door, stream, query, 'LOG_UNAVAILABLE'))?.sequence ?? 0;
    },
    countAfter: (shard, afterSequence) => countAfter(door, names, shard, afterSequence),
    open: (shard, afterSequence, onReadable) => reader.open(shard, afterSequence, onReadable),
  };
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
