// Recognises the event log: a shard goes on only if the log is the one its checkpoint was made from, and nothing that
// was not applied has been removed. Otherwise it stops with an alarm instead of skipping silently.
import { decodePurgeRecord } from '../../shared/contract/housekeeping-records.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { ShardRecord } from '../../shared/contract/shard-record.ts';
import { sha256Base64Url } from '../../shared/kernel/hash.ts';
import type { EventLogReader, LogMessage, LogState } from '../../shared/ports/event-log.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';

export type LogVerdict =
  | { readonly kind: 'sound'; readonly createdAt: string }
  | { readonly kind: 'unsound'; readonly code: 'LOG_REPLACED' | 'LOG_TRUNCATED'; readonly reason: string };

/** Hash of everything that makes a message this message: place, time and content. */
export function fingerprintOf(message: LogMessage): string {
  const head = `${message.sequence}|${message.shard}|${message.source}|${message.timeMs}|`;
  return sha256Base64Url(Buffer.concat([Buffer.from(head), message.payload]), 22);
}

/** Compares a checkpoint with the log. Throws LOG_UNAVAILABLE or STORE_UNAVAILABLE when it cannot tell. */
export async function checkLog(
  record: ShardRecord,
  log: Pick<EventLogReader, 'state' | 'messageAt'>,
  store: RecordStore,
): Promise<LogVerdict> {
  const state = await log.state(record.seq);
  if (record.streamCreated !== '' && record.streamCreated !== state.createdAt) {
    const reason = `checkpoint ${record.seq} was made from the log created at ${record.streamCreated}, this one was created at ${state.createdAt}`;
    return { kind: 'unsound', code: 'LOG_REPLACED', reason };
  }
  if (record.seq > state.lastSequence) {
    const reason = `checkpoint is at ${record.seq}, but the log ends at ${state.lastSequence}`;
    return { kind: 'unsound', code: 'LOG_TRUNCATED', reason };
  }
  if (record.fingerprint) {
    const message = await log.messageAt(record.fingerprint.seq);
    if (message && fingerprintOf(message) !== record.fingerprint.hash) {
      const reason = `message ${record.fingerprint.seq} is not the one that was applied`;
      return { kind: 'unsound', code: 'LOG_REPLACED', reason };
    }
  }
  return checkRetention(record, state, store);
}

async function checkRetention(record: ShardRecord, state: LogState, store: RecordStore): Promise<LogVerdict> {
  if (state.firstSequence <= record.seq + 1) return { kind: 'sound', createdAt: state.createdAt };
  const purgedTo = Math.max(record.purgedTo, await readPurgedTo(store));
  if (state.firstSequence - 1 <= purgedTo) return { kind: 'sound', createdAt: state.createdAt };
  const reason = `messages ${record.seq + 1} to ${state.firstSequence - 1} were removed from the log before they were applied`;
  return { kind: 'unsound', code: 'LOG_TRUNCATED', reason };
}

/** How far the housekeeper may have purged the log. Throws STORE_UNAVAILABLE. */
export async function readPurgedTo(store: RecordStore): Promise<number> {
  const found = (await store.read([recordKeys.purge], 'leader')).get(recordKeys.purge);
  return found?.value ? decodePurgeRecord(found.value).purgedTo : 0;
}
