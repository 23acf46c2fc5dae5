// Waits until every message of the log up to a sequence is applied, whichever shard it is in.
import { recordKeys } from '../contract/names.ts';
import { decodeShardRecord } from '../contract/shard-record.ts';
import type { Clock } from '../kernel/clock.ts';
import { StitchworkError } from '../kernel/errors.ts';
import type { EventLogReader } from './event-log.ts';
import type { RecordStore } from './record-store.ts';

export interface Applying {
  readonly log: Pick<EventLogReader, 'state' | 'lastSequenceOf'>;
  readonly store: Pick<RecordStore, 'read'>;
  readonly shards: number;
}

const POLL_MIN_MS = 20;
const POLL_MAX_MS = 500;

/**
 * A checkpoint of an idle shard may stand behind the sequence: it is enough that the shard has no message in between.
 * Throws NOT_READY when it takes longer than `timeoutMs`.
 */
export async function awaitApplied(
  { log, store, shards }: Applying,
  upTo: number,
  {
    clock,
    signal,
    timeoutMs,
  }: { readonly clock: Clock; readonly signal: AbortSignal; readonly timeoutMs: number },
): Promise<void> {
  const all = Array.from({ length: shards }, (_, shard) => shard);
  const newest = await Promise.all(all.map((shard) => log.lastSequenceOf(shard)));
  const { createdAt } = await log.state();
  const end = clock.elapsedMs() + timeoutMs;
  let open = all.filter((shard) => newest[shard]! > 0);
  for (let pollMs = POLL_MIN_MS; ; pollMs = Math.min(POLL_MAX_MS, pollMs * 2)) {
    const records = await store.read(open.map(recordKeys.shard), 'leader');
    open = open.filter((shard) => {
      const value = records.get(recordKeys.shard(shard))?.value ?? null;
      const record = value && decodeShardRecord(value);
      return !record || record.streamCreated !== createdAt || record.seq < Math.min(upTo, newest[shard]!);
    });
    if (open.length === 0) return;
    if (clock.elapsedMs() >= end)
      throw new StitchworkError('NOT_READY', `shards ${open.join(', ')} have not applied all up to ${upTo}`);
    await clock.sleep(pollMs, signal);
  }
}
