// What a worker tells of itself: one function an event, low-cardinality labels. The pure core never sees it.

export interface WorkerTelemetry {
  /** A micro-batch is durable. */
  committed(batch: {
    messages: number;
    writes: number;
    bytes: number;
    durationMs: number;
    shards: number;
  }): void;
  conflict(record: { key: string; kind: 'shard' | 'data' }): void;
  fenced(shard: number): void;
  unknownOutcome(attempt: number): void;
  /** How an unknown outcome ended. */
  resolved(outcome: 'committed' | 'not_committed' | 'fenced'): void;
  busy(reason: string): void;
  refused(code: string, reason: string): void;
  deadLettered(letter: { shard: number; sequence: number; code: string; message: string }): void;
  claimed(shard: number, epoch: number): void;
  released(shard: number): void;
  halted(shard: number, code: string, reason: string): void;
  /** Records in memory, and how many were evicted since the last call. */
  residents(state: { count: number; bytes: number; evicted: number }): void;
  loaded(records: number): void;
  /** Steps of the commit loop, for tests that kill a worker at a known point. */
  phase(name: CommitPhase): void;
}

export type CommitPhase = 'idle' | 'deciding' | 'committing' | 'committed';

export const silentTelemetry: WorkerTelemetry = {
  committed() {},
  conflict() {},
  fenced() {},
  unknownOutcome() {},
  resolved() {},
  busy() {},
  refused() {},
  deadLettered() {},
  claimed() {},
  released() {},
  halted() {},
  residents() {},
  loaded() {},
  phase() {},
};
