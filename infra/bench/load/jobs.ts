// What the bench asks of its load processes, and what they answer.
import type { Latencies } from '../statistics.ts';
import type { Workload } from '../workload.ts';

/** Said to a job that is under way. */
export const ENOUGH = 'enough';

/** The segment that a job works on directly, past the gateway. */
export interface JobSegment {
  readonly natsUrl: string;
  readonly configFile: string;
  readonly shards: number;
}

/** Stores profiles as the actor makes them of one event each, without a worker. */
export interface SeedJob extends JobSegment {
  readonly kind: 'seed';
  readonly workload: Workload;
}

/** Appends events to the log: as fast as it takes them, or at a rate. */
export interface AppendJob extends JobSegment {
  readonly kind: 'append';
  /** Several take turns, event by event. */
  readonly workloads: readonly Workload[];
  readonly events: number;
  readonly ratePerSecond?: number;
}

/** Bare atomic batches of records into the bucket of a segment without roles. */
export interface CeilingJob extends JobSegment {
  readonly kind: 'ceiling';
  readonly records: number;
  readonly recordBytes: number;
  readonly seconds: number;
  readonly inFlight: number;
}

export interface HttpJob {
  readonly kind: 'http';
  readonly url: string;
  readonly key: string | undefined;
  readonly segment: string | undefined;
  readonly connections: number;
  readonly seconds: number;
  /** Open loop at this rate; closed loop without it. */
  readonly ratePerSecond?: number;
  /** Not measured, before what is. */
  readonly warmUpSeconds: number;
  readonly workload: Workload;
  readonly request:
    | { readonly kind: 'send'; readonly batch: number; readonly waitForCommit: boolean }
    | { readonly kind: 'read' }
    /** Decisions of a service, with an event each or by one key alone. */
    | { readonly kind: 'personalize'; readonly service: string; readonly withEvent: boolean };
}

export type LoadJob = SeedJob | AppendJob | CeilingJob | HttpJob;

export interface StoredResult {
  readonly messages: number;
  readonly bytes: number;
  readonly elapsedMs: number;
}

export interface HttpResult {
  readonly requests: number;
  /** Events accepted, or profiles read. */
  readonly done: number;
  readonly elapsedMs: number;
  readonly latencies: Latencies;
  /** Requests that failed, by HTTP status, 0 for a broken connection; the text of the first. */
  readonly failed: Readonly<Record<number, number>>;
  readonly firstFailure: string | undefined;
  /** Answers that say that the event is committed. */
  readonly committed: number;
  /** Decisions for which something was missing. */
  readonly degraded: number;
}

export type JobResult<Job extends LoadJob> = Job extends HttpJob ? HttpResult : StoredResult;
