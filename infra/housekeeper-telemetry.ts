// What the housekeeper tells of itself: state of the server's copies, what was purged, how full the log is.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { HousekeeperTelemetry } from './housekeeper.ts';
import type { Log } from './log.ts';

/** Metrics of all housekeepers of a process, one registry: call once. */
export function createHousekeeperMetrics(registry: Registry) {
  const registers = [registry];
  const byCopy = ['segment', 'copy'] as const;
  const bySegment = ['segment'] as const;
  return {
    copyLag: new Gauge({
      name: 'stitchwork_copy_lag_messages',
      help: 'Outbox messages not yet copied into their stream.',
      labelNames: byCopy,
      registers,
    }),
    copyRunning: new Gauge({
      name: 'stitchwork_copy_running',
      help: '1 while the server runs the copy.',
      labelNames: byCopy,
      registers,
    }),
    copyRestarts: new Counter({
      name: 'stitchwork_copy_restarts_total',
      help: 'Copies that stood still and were set up anew.',
      labelNames: byCopy,
      registers,
    }),
    rebuilt: new Counter({
      name: 'stitchwork_copy_targets_rebuilt_total',
      help: 'Target streams found deleted and made anew: look at once.',
      labelNames: byCopy,
      registers,
    }),
    logUsage: new Gauge({
      name: 'stitchwork_event_log_usage_ratio',
      help: 'Share of the size limit of the event log in use.',
      labelNames: bySegment,
      registers,
    }),
    logPurgedTo: new Gauge({
      name: 'stitchwork_event_log_purged_to',
      help: 'Highest sequence removed from the event log.',
      labelNames: bySegment,
      registers,
    }),
    failures: new Counter({
      name: 'stitchwork_housekeeper_failures_total',
      help: 'Rounds that could not be finished.',
      labelNames: bySegment,
      registers,
    }),
  };
}

export type HousekeeperMetrics = ReturnType<typeof createHousekeeperMetrics>;

/** The event log is told to be nearly full from this share on. */
const LOG_ALARM_SHARE = 0.8;

/** The telemetry of one segment's housekeeper. */
export function createHousekeeperTelemetry(
  metrics: HousekeeperMetrics,
  segment: string,
  log: Log,
): HousekeeperTelemetry {
  let alarmed = false;
  return {
    copyState(copy, lag, running) {
      metrics.copyLag.set({ segment, copy }, lag);
      metrics.copyRunning.set({ segment, copy }, running ? 1 : 0);
    },
    copyRestarted(copy, reason) {
      metrics.copyRestarts.inc({ segment, copy });
      log.warn({ copy, reason }, 'copy set up anew');
    },
    targetRebuilt(copy, missingUpTo) {
      metrics.rebuilt.inc({ segment, copy });
      log.error(
        { copy, missingUpTo },
        'the target stream of a copy was deleted: what was purged before is not in it',
      );
    },
    outboxPurged: (copy, upTo) => log.debug({ copy, upTo }, 'outbox purged'),
    logPurged(upTo) {
      metrics.logPurgedTo.set({ segment }, upTo);
      log.debug({ upTo }, 'event log purged');
    },
    logUsage(share) {
      metrics.logUsage.set({ segment }, share);
      if (share >= LOG_ALARM_SHARE && !alarmed) log.error({ share }, 'the event log is nearly full');
      alarmed = share >= LOG_ALARM_SHARE;
    },
    failed(error) {
      metrics.failures.inc({ segment });
      log.warn({ err: error }, 'housekeeping round failed');
    },
  };
}
