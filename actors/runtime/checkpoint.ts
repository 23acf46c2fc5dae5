// Moves the checkpoints of idle shards to the end of the log, so that the housekeeper can purge what all have applied.
import { recordKeys } from '../../shared/contract/names.ts';
import { encodeShardRecord, type ShardRecord } from '../../shared/contract/shard-record.ts';
import { randomToken } from '../../shared/kernel/random.ts';
import type { EventLogReader, LogState } from '../../shared/ports/event-log.ts';
import type { StoreWrite } from '../../shared/ports/record-store.ts';
import { readShards, settleCommit } from './commit.ts';
import { fingerprintOf } from './log-check.ts';
import type { PipelineDeps } from './pipeline.ts';
import type { OwnedShard } from './shard.ts';

/**
 * Where the log ended a while ago. What stood in it then is known to every server that may answer for it now: a leader
 * that lost its place may answer beside the new one for a moment, without what was stored since.
 */
export class LogEnd {
  readonly #log: EventLogReader;
  readonly #ageMs: number;
  #older: LogState | undefined;
  #newer: { readonly atMs: number; readonly state: LogState } | undefined;

  constructor(log: EventLogReader, ageMs: number) {
    this.#log = log;
    this.#ageMs = ageMs;
  }

  /** The newest state that is old enough; undefined when none is. Throws LOG_UNAVAILABLE. */
  async look(nowMs: number): Promise<LogState | undefined> {
    if (this.#newer && nowMs - this.#newer.atMs < this.#ageMs) return this.#older;
    this.#older = this.#newer?.state;
    this.#newer = { atMs: nowMs, state: await this.#log.state() };
    return this.#older;
  }
}

/**
 * Advances those of `due` that have applied everything, to where the log was `seen` to end some time ago: a shard whose
 * newest message is applied has none between its checkpoint and that end. Throws LOG_UNAVAILABLE when the log cannot be
 * reached.
 */
export async function advanceIdle(
  deps: PipelineDeps & { readonly log: EventLogReader },
  due: readonly OwnedShard[],
  seen: LogState,
  signal: AbortSignal,
): Promise<void> {
  const { lastSequence, createdAt } = seen;
  const behind = due.filter(
    (owned) => owned.record.seq < lastSequence && owned.record.streamCreated === createdAt,
  );
  const last = await Promise.all(behind.map((owned) => deps.log.lastSequenceOf(owned.shard)));
  // A newest message that someone removed before it was applied is no sign of idleness.
  const { firstSequence } = await deps.log.state(lastSequence);
  const idle = behind.filter(
    ({ record, shard }, index) =>
      last[index]! <= record.seq && firstSequence <= record.seq + 1 && deps.shards.has(shard),
  );
  if (idle.length === 0) return;
  const message = await deps.log.messageAt(lastSequence);
  const mark = message ? { seq: lastSequence, hash: fingerprintOf(message) } : undefined;
  const commitId = `${deps.workerId}.${randomToken(deps.random, 12)}`;
  const shards = new Map<number, ShardRecord>();
  const writes: StoreWrite[] = [];
  for (const { shard, record, revision } of idle) {
    const fingerprint = mark ?? record.fingerprint;
    const moved: ShardRecord = { ...record, commitId, seq: lastSequence, fingerprint };
    shards.set(shard, moved);
    writes.push({
      kind: 'put',
      key: recordKeys.shard(shard),
      value: encodeShardRecord(moved),
      expect: revision,
    });
  }
  const result = await settleCommit(deps, { commitId, writes, shards }, signal);
  if (result.kind === 'fenced') for (const shard of result.shards) deps.lose(shard);
  if (result.kind === 'conflict') for (const shard of shards.keys()) deps.lose(shard);
  if (result.kind !== 'committed') return;
  const stored = result.revisions ? undefined : await readShards(deps, [...shards.keys()], signal);
  idle.forEach((owned, index) => {
    const revision = result.revisions?.[index] ?? stored?.get(owned.shard)?.revision;
    if (revision === undefined || !isSame(stored?.get(owned.shard)?.shard, shards.get(owned.shard)!)) {
      deps.lose(owned.shard);
      return;
    }
    owned.record = shards.get(owned.shard)!;
    owned.revision = revision;
  });
}

/** Whether a shard record that was read again is still the one that was written. Not read again: yes. */
function isSame(stored: ShardRecord | undefined, written: ShardRecord): boolean {
  return (
    stored === undefined ||
    (stored.owner === written.owner && stored.epoch === written.epoch && stored.seq === written.seq)
  );
}
