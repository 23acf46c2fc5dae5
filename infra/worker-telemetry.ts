// What a worker tells of itself, as Prometheus metrics and log lines. Labels are segment, reason and code: never a key,
// a profile or a shard. Record keys of conflicts stand in the debug log only.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { MemberReport } from '../shared/ports/membership.ts';
import type { WorkerTelemetry } from '../shared/ports/worker-telemetry.ts';
import type { Log } from './log.ts';

const COMMIT_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const BATCH_MESSAGES = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000];

/** What a worker says of itself when metrics are read. */
export interface SegmentReport {
  readonly segment: string;
  readonly report: MemberReport;
}

/** Metrics of all workers of a process, one registry: call once, then `forSegment` for each worker. */
export function createWorkerMetrics(registry: Registry, reports: () => readonly SegmentReport[]) {
  const registers = [registry];
  const labelNames = ['segment'] as const;
  const counter = <L extends string>(name: string, help: string, labels: readonly L[] = []) =>
    new Counter<L | 'segment'>({
      name: `stitchwork_worker_${name}`,
      help,
      labelNames: [...labelNames, ...labels],
      registers,
    });
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `stitchwork_worker_${name}`, help, labelNames, registers });
  const reported = (name: string, help: string, read: (report: MemberReport) => number) =>
    new Gauge({
      name: `stitchwork_worker_${name}`,
      help,
      labelNames,
      registers,
      collect() {
        for (const { segment, report } of reports()) this.set({ segment }, read(report));
      },
    });
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name: `stitchwork_worker_${name}`, help, labelNames, buckets, registers });
  return {
    messages: counter('messages_total', 'Messages of the event log that were applied.'),
    commits: counter('commits_total', 'Atomic commits that succeeded.'),
    writes: counter('commit_messages_total', 'Messages written by successful commits.'),
    bytes: counter('commit_bytes_total', 'Bytes written by successful commits.'),
    commitSeconds: histogram('commit_seconds', 'Duration of a successful commit.', COMMIT_SECONDS),
    batchMessages: histogram('batch_messages', 'Messages applied by one commit.', BATCH_MESSAGES),
    conflicts: counter('conflicts_total', 'Commits refused because a record had changed.', ['kind']),
    fenced: counter('fenced_total', 'Shards lost to another owner.'),
    unknown: counter('unknown_outcomes_total', 'Commits without an answer in time.'),
    resolved: counter('unknown_resolved_total', 'How unknown outcomes ended.', ['outcome']),
    busy: counter('busy_total', 'Commits put off because the store was busy.'),
    refused: counter('refused_total', 'Commits that the store will not take.', ['code']),
    dead: counter('dead_letters_total', 'Messages set aside because they cannot be applied.', ['code']),
    claimed: counter('claims_total', 'Shards claimed.'),
    released: counter('releases_total', 'Shards released.'),
    halted: counter('halted_total', 'Shards stopped with an alarm.', ['code']),
    owned: reported('shards_owned', 'Shards owned now.', (report) => report.shards.length),
    haltedShards: reported(
      'shards_halted',
      'Shards that stand still with an alarm: look at once.',
      (report) => report.halted.length,
    ),
    lag: reported('lag_messages', 'Unread messages of the owned shards.', (report) =>
      Object.values(report.lag).reduce((sum, lag) => sum + lag, 0),
    ),
    residents: gauge('resident_records', 'Records held in memory.'),
    residentBytes: gauge('resident_bytes', 'Size of the records held in memory.'),
    evicted: counter('evicted_total', 'Records dropped from memory to keep its bound.'),
    loaded: counter('loaded_total', 'Records read from the store.'),
  };
}

export type WorkerMetrics = ReturnType<typeof createWorkerMetrics>;

/** The telemetry of one segment's worker. */
export function createWorkerTelemetry(metrics: WorkerMetrics, segment: string, log: Log): WorkerTelemetry {
  const labels = { segment };
  return {
    committed(batch) {
      metrics.messages.inc(labels, batch.messages);
      metrics.commits.inc(labels);
      metrics.writes.inc(labels, batch.writes);
      metrics.bytes.inc(labels, batch.bytes);
      metrics.commitSeconds.observe(labels, batch.durationMs / 1000);
      metrics.batchMessages.observe(labels, batch.messages);
      log.trace(batch, 'committed');
    },
    conflict({ key, kind }) {
      metrics.conflicts.inc({ ...labels, kind });
      log.debug({ key, kind }, 'conflict');
    },
    fenced(shard) {
      metrics.fenced.inc(labels);
      log.warn({ shard }, 'shard lost to another owner');
    },
    unknownOutcome(attempt) {
      metrics.unknown.inc(labels);
      log.warn({ attempt }, 'commit without an answer');
    },
    resolved(outcome) {
      metrics.resolved.inc({ ...labels, outcome });
      log.info({ outcome }, 'unknown outcome resolved');
    },
    busy(reason) {
      metrics.busy.inc(labels);
      log.debug({ reason }, 'store busy');
    },
    refused(code, reason) {
      metrics.refused.inc({ ...labels, code });
      log.error({ code, reason }, 'commit refused');
    },
    deadLettered(letter) {
      metrics.dead.inc({ ...labels, code: letter.code });
      log.warn(letter, 'dead letter');
    },
    claimed(shard, epoch) {
      metrics.claimed.inc(labels);
      log.debug({ shard, epoch }, 'shard claimed');
    },
    released(shard) {
      metrics.released.inc(labels);
      log.debug({ shard }, 'shard released');
    },
    halted(shard, code, reason) {
      metrics.halted.inc({ ...labels, code });
      log.error({ shard, code, reason }, 'shard stopped with an alarm');
    },
    residents({ count, bytes, evicted }) {
      metrics.residents.set(labels, count);
      metrics.residentBytes.set(labels, bytes);
      if (evicted > 0) metrics.evicted.inc(labels, evicted);
    },
    loaded: (records) => metrics.loaded.inc(labels, records),
    phase() {},
  };
}
