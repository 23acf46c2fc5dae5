// What the housekeeper tells of itself: state of the server's copies, what was purged, how full the log is. Only the
// worker on duty looks; a gauge that it no longer sets disappears, so that two workers never tell two states.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { Clock } from '../shared/kernel/clock.ts';
import type { HousekeeperTelemetry } from './housekeeper.ts';
import type { Log } from './log.ts';

/** Rounds come several times in this time, purges about three times. */
const FRESH_MS = 15_000;

/** Metrics of all housekeepers of a process, one registry: call once. */
export function createHousekeeperMetrics(registry: Registry, clock: Clock) {
  const registers = [registry];
  const byCopy = ['segment', 'copy'] as const;
  const bySegment = ['segment'] as const;
  return {
    copyLag: new FreshGauge(registry, clock, {
      name: 'stitchwork_copy_lag_messages',
      help: 'Outbox messages not yet copied into their stream.',
      labelNames: byCopy,
    }),
    copyRunning: new FreshGauge(registry, clock, {
      name: 'stitchwork_copy_running',
      help: '1 while the server runs the copy.',
      labelNames: byCopy,
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
    logUsage: new FreshGauge(registry, clock, {
      name: 'stitchwork_event_log_usage_ratio',
      help: 'Share of the size limit of the event log in use.',
      labelNames: bySegment,
    }),
    logPurges: new Counter({
      name: 'stitchwork_event_log_purges_total',
      help: 'Times that applied messages were removed from the event log.',
      labelNames: bySegment,
      registers,
    }),
    outboxPurges: new Counter({
      name: 'stitchwork_outbox_purges_total',
      help: 'Times that copied messages were removed from the outbox.',
      labelNames: byCopy,
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

/** A gauge whose values are told while they are set again and again. */
class FreshGauge<Label extends string> {
  readonly #clock: Clock;
  readonly #values = new Map<
    string,
    { readonly labels: Record<Label, string>; value: number; atMs: number }
  >();

  constructor(
    registry: Registry,
    clock: Clock,
    options: { readonly name: string; readonly help: string; readonly labelNames: readonly Label[] },
  ) {
    this.#clock = clock;
    const fresh = () => this.#fresh();
    new Gauge({
      ...options,
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, value } of fresh()) this.set(labels, value);
      },
    });
  }

  set(labels: Record<Label, string>, value: number): void {
    this.#values.set(JSON.stringify(labels), { labels, value, atMs: this.#clock.elapsedMs() });
  }

  #fresh() {
    const sinceMs = this.#clock.elapsedMs() - FRESH_MS;
    return [...this.#values.values()].filter(({ atMs }) => atMs >= sinceMs);
  }
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
    outboxPurged(copy, upTo) {
      metrics.outboxPurges.inc({ segment, copy });
      log.debug({ copy, upTo }, 'outbox purged');
    },
    logPurged(upTo) {
      metrics.logPurges.inc({ segment });
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
