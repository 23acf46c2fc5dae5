// What a worker tells of itself, as Prometheus metrics and log lines. Labels are segment, reason and code: never a key,
// a profile or a shard. Shards, commit ids and message ids stand in the log; records of conflicts in its debug lines.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { ACTIVATION_SUPPRESSED, EVENT_FLAGGED } from '../actors/profile/identity-counts.ts';
import { readEnvelope } from '../actors/profile/parse-message.ts';
import type { Counted } from '../shared/contract/actor.ts';
import type { Clock } from '../shared/kernel/clock.ts';
import type { MemberReport } from '../shared/ports/membership.ts';
import type { CommittedBatch, WorkerTelemetry } from '../shared/ports/worker-telemetry.ts';
import { BulkHistogram } from './bulk-histogram.ts';
import type { Log } from './log.ts';
import { type ActivityMeter, publicRecordName } from './worker-activity.ts';

const COMMIT_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const EVENT_AGE_SECONDS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600,
];
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
    commits: counter(
      'commits_total',
      'Commits that succeeded: batches with their checkpoints, and plain writes whose checkpoints follow.',
      ['kind'],
    ),
    writes: counter('commit_messages_total', 'Messages written by successful commits.'),
    bytes: counter('commit_bytes_total', 'Bytes written by successful commits.'),
    commitSeconds: histogram('commit_seconds', 'Duration of a successful commit.', COMMIT_SECONDS),
    batchMessages: histogram('batch_messages', 'Messages applied by one commit.', BATCH_MESSAGES),
    eventAge: new BulkHistogram({
      name: 'stitchwork_worker_event_age_seconds',
      help: 'Age of a log message when its commit succeeded, since the log stored it.',
      buckets: EVENT_AGE_SECONDS,
      registry,
    }),
    conflicts: counter('conflicts_total', 'Commits refused because a record had changed, by its kind.', [
      'kind',
    ]),
    identityFacts: new Counter({
      name: 'stitchwork_identity_facts_total',
      help: 'What committed decisions did to identities, as the audit log has it, by kind and reason.',
      labelNames: ['segment', 'kind', 'reason'],
      registers,
    }),
    notSent: counter(
      'activations_not_sent_total',
      'Activations that were decided and not sent, by reason; held: until quiet hours are over.',
      ['reason'],
    ),
    flagged: counter(
      'events_flagged_total',
      'Events that came too late for a window, from a clock that is ahead, or failed a condition, by reason.',
      ['reason'],
    ),
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
    configVersion: reported(
      'config_version',
      'Version of the segment config that decides.',
      (report) => report.configVersion,
    ),
    residents: gauge('resident_records', 'Records held in memory.'),
    residentBytes: gauge('resident_bytes', 'Size of the records held in memory.'),
    evicted: counter('evicted_total', 'Records dropped from memory to keep its bound.'),
    loaded: counter('loaded_total', 'Records read from the store.'),
  };
}

export type WorkerMetrics = ReturnType<typeof createWorkerMetrics>;

export interface WorkerTelemetryParts {
  readonly segment: string;
  readonly log: Log;
  readonly activity: ActivityMeter;
  readonly clock: Clock;
}

/** The telemetry of one segment's worker. */
export function createWorkerTelemetry(metrics: WorkerMetrics, parts: WorkerTelemetryParts): WorkerTelemetry {
  const { segment, log, activity, clock } = parts;
  const labels = { segment };
  const age = metrics.eventAge.of(segment);
  return {
    committed(batch) {
      activity.committed(batch);
      metrics.messages.inc(labels, batch.messages);
      metrics.commits.inc({ ...labels, kind: batch.kind });
      metrics.writes.inc(labels, batch.writes);
      metrics.bytes.inc(labels, batch.bytes);
      metrics.commitSeconds.observe(labels, batch.durationMs / 1000);
      metrics.batchMessages.observe(labels, batch.messages);
      // The clock of the log's server may be ahead of this one.
      const committedAtMs = clock.nowMs();
      for (const { nowMs } of batch.applied) age.observe(Math.max(0, committedAtMs - nowMs) / 1000);
      if (log.isLevelEnabled('trace')) log.trace(describeCommit(batch), 'committed');
    },
    counted(counts) {
      for (const [kind, reason, count] of tally(counts)) {
        if (kind === EVENT_FLAGGED) metrics.flagged.inc({ ...labels, reason }, count);
        else if (kind === ACTIVATION_SUPPRESSED) metrics.notSent.inc({ ...labels, reason }, count);
        else metrics.identityFacts.inc({ ...labels, kind, reason }, count);
      }
    },
    conflict({ key, kind, commitId }) {
      activity.conflict(key);
      metrics.conflicts.inc({ ...labels, kind: recordKind(key, kind) });
      log.debug({ record: publicRecordName(key), kind, commitId }, 'conflict');
    },
    fenced(shard) {
      activity.fenced();
      metrics.fenced.inc(labels);
      log.warn({ shard }, 'shard lost to another owner');
    },
    unknownOutcome(attempt, commitId) {
      activity.unknownOutcome();
      metrics.unknown.inc(labels);
      log.warn({ attempt, commitId }, 'commit without an answer');
    },
    resolved(outcome, commitId) {
      metrics.resolved.inc({ ...labels, outcome });
      log.info({ outcome, commitId }, 'unknown outcome resolved');
    },
    busy(reason, commitId) {
      metrics.busy.inc(labels);
      log.debug({ reason, commitId }, 'store busy');
    },
    refused(code, reason, commitId) {
      metrics.refused.inc({ ...labels, code });
      log.error({ code, reason, commitId }, 'commit refused');
    },
    deadLettered({ payload, ...letter }) {
      activity.deadLettered();
      metrics.dead.inc({ ...labels, code: letter.code });
      log.warn({ ...letter, messageId: messageIdOf(payload) }, 'dead letter');
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
      activity.residents({ count, bytes });
      metrics.residents.set(labels, count);
      metrics.residentBytes.set(labels, bytes);
      if (evicted > 0) metrics.evicted.inc(labels, evicted);
    },
    loaded: (records) => metrics.loaded.inc(labels, records),
    phase() {},
  };
}

/** Each kind and reason once, with its number: a batch has hundreds of the same. */
function tally(counts: readonly Counted[]): Iterable<readonly [kind: string, reason: string, count: number]> {
  const tallied = new Map<string, [string, string, number]>();
  for (const { kind, reason } of counts) {
    const known = tallied.get(`${kind} ${reason}`);
    if (known) known[2] += 1;
    else tallied.set(`${kind} ${reason}`, [kind, reason, 1]);
  }
  return tallied.values();
}

/** A commit with the shards and message ids by which one event can be followed; read from the payloads, so not cheap. */
function describeCommit(batch: CommittedBatch): object {
  const { commitId, messages, writes, bytes, durationMs, applied } = batch;
  const shards = [...new Set(applied.map(({ shard }) => shard))];
  const messageIds = applied.flatMap(({ payload }) => messageIdOf(payload) ?? []);
  return { commitId, messages, writes, bytes, durationMs, shards, messageIds };
}

function messageIdOf(payload: Uint8Array): string | undefined {
  const envelope = readEnvelope(payload);
  return envelope?.type === 'event' ? envelope.event.messageId : undefined;
}

/** What kind of record a conflict was about. */
function recordKind(key: string, kind: 'shard' | 'data'): 'shard' | 'profile' | 'link' | 'unknown' {
  if (kind === 'shard') return 'shard';
  if (key.startsWith('p.')) return 'profile';
  return key.startsWith('k.') ? 'link' : 'unknown';
}
