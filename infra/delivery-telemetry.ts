// What activators tell of themselves, as Prometheus metrics and log lines. Labels are segment, destination and outcome:
// never a key, a profile or an activation.
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { DeliveryTelemetry } from '../actors/activation/delivery-telemetry.ts';
import type { ActivationQueue } from '../shared/ports/activation-queue.ts';
import type { Log } from './log.ts';

const ATTEMPT_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const AGE_SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600];
const BREAKER_VALUES = { closed: 0, trying: 1, open: 2 } as const;

interface Watched {
  readonly segment: string;
  readonly destinations: () => readonly string[];
  readonly queue: Pick<ActivationQueue, 'backlog'>;
}

/** Metrics of all activators of a process, one registry: call once. */
export function createDeliveryMetrics(registry: Registry) {
  const registers = [registry];
  const labelNames = ['segment', 'destination'] as const;
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `stitchwork_delivery_${name}`, help, labelNames, registers });
  const histogram = (name: string, help: string, buckets: number[]) =>
    new Histogram({ name: `stitchwork_delivery_${name}`, help, labelNames, buckets, registers });
  const watched: Watched[] = [];
  const begun = gauge(
    'begun',
    'Activations that are at work or wait for another attempt, of all activators.',
  );
  new Gauge({
    name: 'stitchwork_delivery_waiting',
    help: 'Activations that no activator has looked at for the destination.',
    labelNames,
    registers,
    async collect() {
      for (const { segment, destinations, queue } of watched)
        for (const destination of destinations()) {
          const backlog = await queue.backlog(destination);
          this.set({ segment, destination }, backlog.waiting);
          begun.set({ segment, destination }, backlog.begun);
        }
    },
  });
  return {
    attempts: new Counter({
      name: 'stitchwork_delivery_attempts_total',
      help: 'Attempts to deliver an activation, by what came of them.',
      labelNames: [...labelNames, 'outcome'] as const,
      registers,
    }),
    failures: new Counter({
      name: 'stitchwork_delivery_log_failures_total',
      help: 'Times that the queue of activations or the log of deliveries was out of reach.',
      labelNames,
      registers,
    }),
    attemptSeconds: histogram('attempt_seconds', 'Duration of an attempt.', ATTEMPT_SECONDS),
    ageSeconds: histogram('first_attempt_age_seconds', 'From the commit to the first attempt.', AGE_SECONDS),
    inFlight: gauge('in_flight', 'Deliveries under way in this process.'),
    breaker: gauge('breaker', 'Circuit breaker: 0 closed, 1 trying, 2 open.'),
    held: gauge('held', 'Whether the destination cannot work here; the log says why.'),
    /** Reads the backlog of the destinations when metrics are read. */
    watch(
      segment: string,
      destinations: () => readonly string[],
      queue: Pick<ActivationQueue, 'backlog'>,
    ): void {
      watched.push({ segment, destinations, queue });
    },
  };
}

export type DeliveryMetrics = ReturnType<typeof createDeliveryMetrics>;

export function createDeliveryTelemetry(
  metrics: DeliveryMetrics,
  segment: string,
  log: Log,
): DeliveryTelemetry {
  const labels = (destination: string) => ({ segment, destination });
  return {
    attempt(entry) {
      const { destination, outcome, activationId, name, attempt, status, error, reason, latencyMs } = entry;
      metrics.attempts.inc({ ...labels(destination), outcome });
      if (attempt > 0) metrics.attemptSeconds.observe(labels(destination), latencyMs / 1000);
      const told = { destination, activation: name, activationId, attempt, status, reason, error, latencyMs };
      if (outcome === 'delivered') log.debug(told, 'delivered');
      else if (outcome === 'retrying') log.info(told, 'not delivered, tried again later');
      else log.error(told, 'not delivered: a dead letter');
    },
    taken: (destination, ageMs) => metrics.ageSeconds.observe(labels(destination), Math.max(0, ageMs) / 1000),
    inFlight: (destination, count) => metrics.inFlight.set(labels(destination), count),
    breaker(destination, state) {
      metrics.breaker.set(labels(destination), BREAKER_VALUES[state]);
      if (state === 'open') log.warn({ destination }, 'the destination fails: nothing is tried for a while');
      if (state === 'closed') log.info({ destination }, 'the destination takes deliveries again');
    },
    held(destination, reason) {
      metrics.held.set(labels(destination), 1);
      log.error({ destination, reason }, 'the destination cannot work here; its activations wait');
    },
    released: (destination) => metrics.held.set(labels(destination), 0),
    failed(destination, error) {
      metrics.failures.inc(labels(destination));
      log.warn({ destination, err: error }, 'deliveries wait');
    },
    unreadable: (destination, sequence) => log.error({ destination, sequence }, 'no activation stands there'),
  };
}
