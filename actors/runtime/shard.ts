// A shard that this worker owns: its checkpoint as stored, and the reader that feeds it.
//
//   (unowned) -claim-> owned -release asked-> releasing -released-> (unowned)
//                        |  \-fenced-> (unowned)
//                        \-log unsound-> halted -looked at again-> (unowned)
import type { ShardRecord } from '../../shared/contract/shard-record.ts';
import type { LogMessage, ShardReader } from '../../shared/ports/event-log.ts';
import type { Revision } from '../../shared/ports/record-store.ts';
import { fingerprintOf } from './log-check.ts';
import type { Work } from './sealed-plan.ts';

/** A message that has been applied, with all before it. */
export interface Position {
  readonly seq: number;
  /** Its fingerprint. */
  readonly hash: () => string;
}

export interface OwnedShard {
  readonly shard: number;
  record: ShardRecord;
  revision: Revision;
  /** Beyond the checkpoint of `record` by plain commits, when its `seq` is greater. */
  applied: Position | undefined;
  /** Number of the newest load (of records into memory) at or after which it was certainly owned. */
  provenAt: number;
  readonly reader: ShardReader;
  releasing: boolean;
  lastCommitAtMs: number;
  /** When the checkpoint last moved or was found to be at the end of the log (elapsed time). */
  checkedAtMs: number;
  /** Sessions of the reader up to which the log was recognised. */
  recognised: number;
}

export interface HaltedShard {
  readonly shard: number;
  readonly code: string;
  readonly reason: string;
  /** Elapsed time. */
  readonly atMs: number;
}

/** A log message as the runtime works on it. */
export function workOf(message: LogMessage, ticket: OwnedShard): Work {
  let fingerprint: string | undefined;
  const logId = ticket.record.streamCreated;
  const { shard, source, sequence, timeMs, payload } = message;
  return {
    ticket,
    message: { shard, source, sequence, nowMs: timeMs, payload, logId },
    fingerprint: () => (fingerprint ??= fingerprintOf(message)),
    parsed: undefined,
    parsedBy: undefined,
    readyIn: undefined,
  };
}

/**
 * Takes up to `max` messages, the same share of each shard that has some, in order within a shard. Rotates which shard
 * comes first, so that none starves.
 */
export function gather(shards: readonly OwnedShard[], max: number, turn: number): Work[] {
  const readable = shards.filter((owned) => !owned.releasing && owned.reader.buffered > 0);
  const works: Work[] = [];
  for (let i = 0; i < readable.length && works.length < max; i++) {
    const owned = readable[(i + turn) % readable.length]!;
    const share = Math.max(1, Math.ceil((max - works.length) / (readable.length - i)));
    for (const message of owned.reader.take(share)) works.push(workOf(message, owned));
  }
  return works;
}
