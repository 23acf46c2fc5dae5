// What a worker tells of itself: one function an event, low-cardinality labels. The pure core never sees it.
import type { ActorMessage, Counted } from '../contract/actor.ts';

export interface CommittedBatch {
  /** One atomic batch with checkpoints, or plain writes that go before their checkpoints. */
  readonly kind: 'batch' | 'plain';
  readonly commitId: string;
  readonly messages: number;
  readonly writes: number;
  readonly bytes: number;
  readonly durationMs: number;
  readonly shards: number;
  /** The log messages that it applied. */
  readonly applied: readonly ActorMessage[];
  /** Keys of the data records that it wrote. */
  readonly records: Iterable<string>;
}

export interface SetAside {
  readonly shard: number;
  readonly sequence: number;
  readonly code: string;
  readonly message: string;
  readonly commitId: string;
  /** The message as it stood in the log. */
  readonly payload: Uint8Array;
}

export interface WorkerTelemetry {
  /** A micro-batch is durable; of a plain one, what was stored. */
  committed(batch: CommittedBatch): void;
  /** What committed decisions did: each of them once, however often it was decided, and never before its commit. */
  counted(counts: readonly Counted[]): void;
  /** `key` is empty when the store did not tell which record had changed. */
  conflict(record: { key: string; kind: 'shard' | 'data'; commitId: string }): void;
  fenced(shard: number): void;
  unknownOutcome(attempt: number, commitId: string): void;
  /** How an unknown outcome ended; redone: a plain write whose record tells what had been applied. */
  resolved(outcome: 'committed' | 'not_committed' | 'fenced' | 'redone', commitId: string): void;
  busy(reason: string, commitId: string): void;
  refused(code: string, reason: string, commitId: string): void;
  deadLettered(letter: SetAside): void;
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
  counted() {},
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
