// What is true of a segment now. Lag comes from the shard records and the log, both read from their leaders; members
// are asked only for what they alone know (when they last committed, why a shard stands still, what they have been doing).
import { recordKeys } from '../../shared/contract/names.ts';
import { decodeShardRecord, type ShardRecord, UNCLAIMED } from '../../shared/contract/shard-record.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { LogState } from '../../shared/ports/event-log.ts';
import type { MemberReport, WorkerActivity } from '../../shared/ports/membership.ts';
import type { CopyState } from '../../shared/ports/outbox-copies.ts';
import type { GatewaySegment } from '../deps.ts';

export interface Alarm {
  readonly code: string;
  readonly reason: string;
  readonly shard: number | null;
  readonly worker: string | null;
}

export interface ShardStatus {
  readonly shard: number;
  readonly owner: string | null;
  readonly lag: number;
  readonly lastCommitAt: string | null;
}

/** What one worker does for this segment; null: it does not tell. */
export interface WorkerStatus {
  readonly id: string;
  readonly startedAt: string;
  readonly configVersion: number;
  /** When it took that version over. */
  readonly configSince: string | null;
  readonly shards: number;
  readonly activity: WorkerActivity | null;
}

export interface CopyStatus {
  readonly name: string;
  /** Messages still to be copied. */
  readonly lag: number;
  readonly running: boolean;
  readonly error: string | null;
}

export interface SegmentStatus {
  readonly name: string;
  readonly configVersion: number;
  readonly lag: number;
  /** The newest commit of any shard. */
  readonly lastCommitAt: string | null;
  readonly shards: readonly ShardStatus[];
  readonly alarms: readonly Alarm[];
  readonly workers: readonly WorkerStatus[];
  readonly copies: readonly CopyStatus[];
  readonly log: { readonly messages: number; readonly bytes: number; readonly bytesMax: number | null };
}

/** What the status of a segment is read through. */
export type StatusSource = Pick<
  GatewaySegment,
  'membership' | 'copies' | 'names' | 'shards' | 'configVersion'
> & {
  readonly log: Pick<GatewaySegment['log'], 'state' | 'lastSequenceOf' | 'countAfter'>;
  readonly store: Pick<GatewaySegment['store'], 'read'>;
};

export interface SegmentAnswer {
  readonly status: SegmentStatus;
  readonly workers: readonly { readonly id: string; readonly startedAt: string }[];
}

interface Members {
  readonly reports: readonly MemberReport[];
  readonly silent: readonly string[];
}

interface Position {
  readonly shard: number;
  readonly record: ShardRecord;
  readonly lag: number;
  readonly alarm: Alarm | undefined;
}

/** Throws STORE_UNAVAILABLE or LOG_UNAVAILABLE: half a status would look like the truth. */
export async function readSegmentStatus(
  segment: StatusSource,
  probeTimeoutMs: number,
): Promise<SegmentAnswer> {
  const [{ positions, log }, members] = await Promise.all([
    readPositions(segment),
    readMembers(segment, probeTimeoutMs),
  ]);
  // After the positions: what was committed by then is copied or still counted as behind.
  const copies = await segment.copies.states();
  const byId = new Map(members.reports.map((report) => [report.id, report]));
  const shards = positions.map(({ shard, record, lag }) => {
    const committedAtMs = record.owner === null ? undefined : byId.get(record.owner)?.lastCommitAtMs[shard];
    return {
      shard,
      owner: record.owner,
      lag,
      lastCommitAt: committedAtMs === undefined ? null : isoOf(committedAtMs),
    };
  });
  const status: SegmentStatus = {
    name: segment.names.segment,
    configVersion: segment.configVersion(),
    lag: shards.reduce((sum, { lag }) => sum + lag, 0),
    lastCommitAt: newest(shards.map(({ lastCommitAt }) => lastCommitAt)),
    shards,
    alarms: [...positions.flatMap(({ alarm }) => alarm ?? []), ...memberAlarms(members)],
    workers: members.reports.map(workerStatus),
    copies: copies.map(copyStatus),
    log: { messages: log.messages, bytes: log.bytes, bytesMax: log.bytesMax > 0 ? log.bytesMax : null },
  };
  return {
    status,
    workers: members.reports.map((report) => ({ id: report.id, startedAt: isoOf(report.startedAtMs) })),
  };
}

function workerStatus(report: MemberReport): WorkerStatus {
  const { id, startedAtMs, configVersion, configSinceMs, shards, activity } = report;
  return {
    id,
    startedAt: isoOf(startedAtMs),
    configVersion,
    configSince: configSinceMs === undefined ? null : isoOf(configSinceMs),
    shards: shards.length,
    activity: activity ?? null,
  };
}

function copyStatus({ name, lag, activeMs, error }: CopyState): CopyStatus {
  return { name, lag, running: error === undefined && activeMs >= 0, error: error ?? null };
}

/** The greatest of ISO times. */
function newest(times: readonly (string | null)[]): string | null {
  return times.reduce((best, time) => (time !== null && (best === null || time > best) ? time : best), null);
}

/**
 * Lag of every shard. The log is read after the records: a checkpoint read first can only be behind, so a lag of 0
 * means that whatever was in the log when the request came is applied.
 */
async function readPositions(
  segment: StatusSource,
): Promise<{ readonly positions: readonly Position[]; readonly log: LogState }> {
  const shards = Array.from({ length: segment.shards }, (_, shard) => shard);
  const records = await readShardRecords(segment, shards);
  const state = await segment.log.state();
  const positions = await Promise.all(
    shards.map(async (shard) => {
      const record = records[shard]!;
      const alarm = alarmOf(shard, record, state);
      // A checkpoint in another log says nothing about this one: all that the log holds is still to be applied.
      const lag = await lagAfter(segment, shard, alarm === undefined ? record.seq : 0);
      return { shard, record, lag, alarm };
    }),
  );
  return { positions, log: state };
}

async function readShardRecords(
  segment: StatusSource,
  shards: readonly number[],
): Promise<readonly ShardRecord[]> {
  const stored = await segment.store.read(shards.map(recordKeys.shard), 'leader');
  return shards.map((shard) => {
    const value = stored.get(recordKeys.shard(shard))?.value ?? null;
    if (value === null) return UNCLAIMED;
    try {
      return decodeShardRecord(value);
    } catch (error) {
      throw new StitchworkError('RECORD_DAMAGED', `shard record ${shard}`, { cause: error });
    }
  });
}

async function lagAfter(segment: StatusSource, shard: number, seq: number): Promise<number> {
  const last = await segment.log.lastSequenceOf(shard);
  return last <= seq ? 0 : segment.log.countAfter(shard, seq);
}

function alarmOf(shard: number, record: ShardRecord, log: LogState): Alarm | undefined {
  if (record.streamCreated !== '' && record.streamCreated !== log.createdAt)
    return { code: 'LOG_REPLACED', reason: 'the checkpoint is of another event log', shard, worker: null };
  if (record.seq > log.lastSequence)
    return {
      code: 'LOG_TRUNCATED',
      reason: 'the checkpoint is beyond the end of the log',
      shard,
      worker: null,
    };
  return undefined;
}

async function readMembers(segment: StatusSource, probeTimeoutMs: number): Promise<Members> {
  const ids = await segment.membership.members();
  const answers = await Promise.all(
    ids.map(async (id) => ({ id, answer: await segment.membership.probe(id, probeTimeoutMs, true) })),
  );
  return {
    reports: answers.flatMap(({ answer }) => (answer.kind === 'alive' ? [answer.report] : [])),
    silent: answers.flatMap(({ id, answer }) => (answer.kind === 'silent' ? [id] : [])),
  };
}

function memberAlarms(members: Members): readonly Alarm[] {
  const halted = members.reports.flatMap((report) =>
    report.halted.map(({ shard, code, reason }) => ({ code, reason, shard, worker: report.id })),
  );
  const silent = members.silent.map((worker) => ({
    code: 'WORKER_SILENT',
    reason: 'it has a heartbeat and does not answer',
    shard: null,
    worker,
  }));
  return [...halted, ...silent];
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}
