// A Prometheus histogram for values that come by the thousand: an observation is a comparison or two and an addition,
// without labels to look up. Registered beside the library's own metrics and printed by them.
import type { Metric, Registry } from 'prom-client';

export interface BulkHistogramOptions {
  readonly name: string;
  readonly help: string;
  /** Upper bounds, growing. */
  readonly buckets: readonly number[];
  readonly registry: Registry;
}

export interface Series {
  observe(value: number): void;
}

interface Sample {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
}

export class BulkHistogram {
  readonly name: string;
  readonly help: string;
  readonly type = 'histogram';
  readonly aggregator = 'sum';
  readonly #buckets: readonly number[];
  readonly #series = new Map<string, SegmentSeries>();

  constructor(options: BulkHistogramOptions) {
    this.name = options.name;
    this.help = options.help;
    this.#buckets = options.buckets;
    // The registry asks a metric for its name and for `get` alone; its type names the library's classes.
    options.registry.registerMetric(this as unknown as Metric);
  }

  /** The series of a segment. */
  of(segment: string): Series {
    const found = this.#series.get(segment) ?? new SegmentSeries(this.#buckets);
    this.#series.set(segment, found);
    return found;
  }

  /** As the registry reads it. */
  async get() {
    const values = [...this.#series].flatMap(([segment, series]) => this.#samples(segment, series));
    return { name: this.name, help: this.help, type: this.type, aggregator: this.aggregator, values };
  }

  reset(): void {
    this.#series.clear();
  }

  #samples(segment: string, series: SegmentSeries): readonly Sample[] {
    let count = 0;
    const bounds = [...this.#buckets, '+Inf'].map((le, index) => {
      count += series.counts[index]!;
      return { metricName: `${this.name}_bucket`, labels: { le, segment }, value: count };
    });
    return [
      ...bounds,
      { metricName: `${this.name}_sum`, labels: { segment }, value: series.sum },
      { metricName: `${this.name}_count`, labels: { segment }, value: count },
    ];
  }
}

class SegmentSeries implements Series {
  readonly counts: number[];
  sum = 0;
  readonly #buckets: readonly number[];

  constructor(buckets: readonly number[]) {
    this.#buckets = buckets;
    this.counts = new Array<number>(buckets.length + 1).fill(0);
  }

  observe(value: number): void {
    let index = 0;
    while (index < this.#buckets.length && value > this.#buckets[index]!) index++;
    this.counts[index]! += 1;
    this.sum += value;
  }
}
