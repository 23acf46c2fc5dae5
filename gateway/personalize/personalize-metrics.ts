// What personalization tells of itself. Labels are names of the config, never of visitors.
import { Counter, Histogram, type Registry } from 'prom-client';

export interface Personalized {
  readonly segment: string;
  readonly service: string;
  /** It brought an event, or was read only. */
  readonly kind: 'event' | 'read';
  readonly isKnown: boolean;
  readonly reasons: readonly string[];
  readonly sections: readonly { readonly section: string; readonly outcome: string }[];
  readonly durationMs: number;
}

/** Registers the metrics; call the result with each decision. */
export function createPersonalizeMetrics(
  registry: Registry,
  buckets: readonly number[],
): (decision: Personalized) => void {
  const registers = [registry];
  const requests = new Counter({
    name: 'stitchwork_gateway_personalize_requests_total',
    help: 'Decisions answered: in full, degraded, or to visitors whom nobody knows.',
    labelNames: ['segment', 'service', 'kind', 'outcome'],
    registers,
  });
  const seconds = new Histogram({
    name: 'stitchwork_gateway_personalize_seconds',
    help: 'Time of a decision, from the body of its request to its answer.',
    labelNames: ['segment', 'service', 'kind'],
    buckets: [...buckets],
    registers,
  });
  const degraded = new Counter({
    name: 'stitchwork_gateway_personalize_degraded_total',
    help: 'What was missing in decisions, by reason.',
    labelNames: ['segment', 'service', 'reason'],
    registers,
  });
  const sections = new Counter({
    name: 'stitchwork_gateway_personalize_sections_total',
    help: 'Sections answered, by what came of them.',
    labelNames: ['segment', 'service', 'section', 'outcome'],
    registers,
  });
  return ({ segment, service, kind, isKnown, reasons, sections: told, durationMs }) => {
    const outcome = reasons.length > 0 ? 'degraded' : isKnown ? 'full' : 'unknown';
    requests.inc({ segment, service, kind, outcome });
    seconds.observe({ segment, service, kind }, durationMs / 1000);
    for (const reason of reasons) degraded.inc({ segment, service, reason });
    for (const { section, outcome: each } of told) sections.inc({ segment, service, section, outcome: each });
  };
}
