// What a gateway tells of itself, by name; labels are of low cardinality (routes and codes, never keys or ids).
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { ErrorCode } from '../shared/kernel/errors.ts';
import type { AppendOutcome, LogAppend } from '../shared/ports/event-log.ts';
import { createPersonalizeMetrics, type Personalized } from './personalize/personalize-metrics.ts';

export interface GatewayMetrics {
  request(answer: { route: string; method: string; status: number; durationMs: number }): void;
  accepted(segment: string, events: number): void;
  rejected(segment: string, code: ErrorCode): void;
  /** How often an SDK says that it has sent a request before; 0: this is the first time. */
  sentBefore(times: number): void;
  /** A request was answered with an error. */
  refused(code: ErrorCode): void;
  /** A decision was answered. */
  personalized(decision: Personalized): void;
  /** Starts the time of an append; call the result with its outcome. */
  appendStarted(segment: string, messages: readonly LogAppend[]): (outcome: AppendOutcome['kind']) => void;
}

const SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10];

/** Registers the gateway's metrics. Throws when the registry already has them. */
export function createMetrics(
  registry: Registry,
  gauges: { bytesInFlight: () => number; bytesInFlightMax: number },
): GatewayMetrics {
  const registers = [registry];
  const requests = new Counter({
    name: 'stitchwork_gateway_requests_total',
    help: 'Requests answered, by route, method and status.',
    labelNames: ['route', 'method', 'status'],
    registers,
  });
  const requestSeconds = new Histogram({
    name: 'stitchwork_gateway_request_seconds',
    help: 'Time from the first byte of a request to its answer.',
    labelNames: ['route', 'method'],
    buckets: SECONDS,
    registers,
  });
  const accepted = new Counter({
    name: 'stitchwork_gateway_events_accepted_total',
    help: 'Events stored in the log and acknowledged.',
    labelNames: ['segment'],
    registers,
  });
  const rejected = new Counter({
    name: 'stitchwork_gateway_events_rejected_total',
    help: 'Events refused one by one, by reason.',
    labelNames: ['segment', 'code'],
    registers,
  });
  const appends = new Histogram({
    name: 'stitchwork_gateway_append_seconds',
    help: 'Time of appends to the event log, by outcome.',
    labelNames: ['segment', 'outcome'],
    buckets: SECONDS,
    registers,
  });
  const refused = new Counter({
    name: 'stitchwork_gateway_requests_refused_total',
    help: 'Requests answered with an error, by its code.',
    labelNames: ['code'],
    registers,
  });
  const sentBefore = new Counter({
    name: 'stitchwork_gateway_sdk_retries_total',
    help: 'How often SDKs had sent requests before they came, as they say themselves (X-Retry-Count).',
    registers,
  });
  const waiting = waitingGauges(registry);
  const personalized = createPersonalizeMetrics(registry, SECONDS);
  registerByteGauges(registry, gauges);
  return {
    request({ route, method, status, durationMs }) {
      requests.inc({ route, method, status: String(status) });
      requestSeconds.observe({ route, method }, durationMs / 1000);
    },
    accepted: (segment, events) => accepted.inc({ segment }, events),
    rejected: (segment, code) => rejected.inc({ segment, code }),
    sentBefore: (times) => sentBefore.inc(times),
    refused: (code) => refused.inc({ code }),
    personalized,
    appendStarted(segment, messages) {
      const end = appends.startTimer({ segment });
      const bytes = messages.reduce((sum, { payload }) => sum + payload.length, 0);
      waiting.appends.inc({ segment });
      waiting.bytes.inc({ segment }, bytes);
      return (outcome) => {
        end({ outcome });
        waiting.appends.dec({ segment });
        waiting.bytes.dec({ segment }, bytes);
      };
    },
  };
}

function waitingGauges(registry: Registry) {
  const registers = [registry];
  return {
    appends: new Gauge({
      name: 'stitchwork_gateway_appends_in_flight',
      help: 'Appends to the event log that are not answered yet.',
      labelNames: ['segment'],
      registers,
    }),
    bytes: new Gauge({
      name: 'stitchwork_gateway_append_waiting_bytes',
      help: 'Bytes of the appends that are not answered yet.',
      labelNames: ['segment'],
      registers,
    }),
  };
}

function registerByteGauges(
  registry: Registry,
  gauges: { bytesInFlight: () => number; bytesInFlightMax: number },
): void {
  new Gauge({
    name: 'stitchwork_gateway_request_in_flight_bytes',
    help: 'Body bytes of requests that are not answered yet.',
    registers: [registry],
    collect() {
      this.set(gauges.bytesInFlight());
    },
  });
  new Gauge({
    name: 'stitchwork_gateway_request_in_flight_max_bytes',
    help: 'Body bytes at which requests are refused.',
    registers: [registry],
  }).set(gauges.bytesInFlightMax);
}
