// What archivers tell of themselves, as Prometheus metrics and log lines.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { ArchiverState, ArchiveTelemetry } from '../batch/archive/archive-telemetry.ts';
import type { Clock } from '../shared/kernel/clock.ts';
import type { Log } from './log.ts';

/** Metrics of all archivers of a process, one registry: call once. */
export function createArchiveMetrics(registry: Registry) {
  const registers = [registry];
  const labelNames = ['segment'] as const;
  const counter = (name: string, help: string) =>
    new Counter({ name: `stitchwork_archive_${name}`, help, labelNames, registers });
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `stitchwork_archive_${name}`, help, labelNames, registers });
  return {
    rows: counter('committed_rows_total', 'Messages of the event log that were archived.'),
    bytes: counter('committed_bytes_total', 'Bytes of the Parquet files of commits.'),
    commits: counter('commits_total', 'Commits of the archive.'),
    commitSeconds: counter('commit_seconds_total', 'Time spent in commits.'),
    compactions: counter('compactions_total', 'Times that small files were put together.'),
    missing: counter(
      'missing_messages_total',
      'Messages that had been removed from the event log before they were archived.',
    ),
    unnamed: counter('removed_files_total', 'Files that were removed because no manifest names them.'),
    failures: counter('failures_total', 'Failures after which the archiver began anew.'),
    fenced: counter('fenced_total', 'Times that another process had taken the archive over.'),
    lag: gauge('lag_messages', 'Messages of the event log that are not archived yet; of the keeper only.'),
    lastCommit: gauge('last_commit_timestamp_seconds', 'When this process committed last, Unix time.'),
    keeping: gauge('keeping', '1 while this process keeps the archive.'),
    halted: gauge('halted', '1 while the archive and the event log do not belong together: look at once.'),
    storedRows: gauge('rows', 'Rows in the archive; of the keeper only.'),
    storedBytes: gauge('bytes', 'Bytes in the archive; of the keeper only.'),
    storedFiles: gauge('files', 'Parquet files in the archive; of the keeper only.'),
  };
}

export type ArchiveMetrics = ReturnType<typeof createArchiveMetrics>;

/** The telemetry of one segment's archiver. */
export function createArchiveTelemetry(
  metrics: ArchiveMetrics,
  segment: string,
  log: Log,
  clock: Clock,
): ArchiveTelemetry {
  const label = { segment };
  let before: ArchiverState | undefined;
  return {
    state(state) {
      metrics.keeping.set(label, state === 'keeping' ? 1 : 0);
      metrics.halted.set(label, state === 'halted' ? 1 : 0);
      if (state !== 'keeping')
        for (const gauge of [metrics.lag, metrics.storedRows, metrics.storedBytes, metrics.storedFiles])
          gauge.remove(label);
      if (state !== before) log.info({ state }, 'archive');
      before = state;
    },
    lag: (messages) => metrics.lag.set(label, messages),
    committed({ rows, bytes, files, position, durationMs }) {
      metrics.rows.inc(label, rows);
      metrics.bytes.inc(label, bytes);
      metrics.commits.inc(label);
      metrics.commitSeconds.inc(label, durationMs / 1000);
      metrics.lastCommit.set(label, clock.nowMs() / 1000);
      log.debug({ rows, bytes, files, position, durationMs }, 'archived');
    },
    totals({ rows, bytes, files }) {
      metrics.storedRows.set(label, rows);
      metrics.storedBytes.set(label, bytes);
      metrics.storedFiles.set(label, files);
    },
    compacted(result) {
      metrics.compactions.inc(label);
      log.debug(result, 'archive files put together');
    },
    missing(messages, upTo) {
      metrics.missing.inc(label, messages);
      log.warn({ messages, upTo }, 'messages had been removed from the event log before they were archived');
    },
    removedUnnamed(files) {
      metrics.unnamed.inc(label, files);
      log.info({ files }, 'removed what a process that died had left in the archive');
    },
    fenced() {
      metrics.fenced.inc(label);
      log.warn('another process has taken the archive over');
    },
    halted: (reason) => log.error({ reason }, 'the archive is not written to'),
    failed(error) {
      metrics.failures.inc(label);
      log.warn({ err: error }, 'archiving failed; beginning anew');
    },
  };
}
