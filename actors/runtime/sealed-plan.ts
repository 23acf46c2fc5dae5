// Messages as the runtime works on them, and a plan of them as it goes to the store.
import type { Actor, ActorMessage, Counted, Reply } from '../../shared/contract/actor.ts';
import type { ShardRecord } from '../../shared/contract/shard-record.ts';
import type { StoreWrite } from '../../shared/ports/record-store.ts';

/** A message with what the actor read in it; parsed once, decided as often as conflicts demand. */
export interface Work {
  readonly message: ActorMessage;
  /** The ownership under which it was read: worthless once that has ended. */
  readonly ticket: object;
  readonly fingerprint: () => string;
  parsed: unknown;
  parsedBy: Actor | undefined;
  /** Mark of the plan for which nothing was missing when the message was looked at ahead of its turn. */
  readyIn: symbol | undefined;
}

export interface EncodedRecord {
  readonly state: unknown;
  readonly bytes: Uint8Array | null;
}

/** What goes to the store; `records` are the data records in the order of their writes, from index 0. */
export interface SealedPlan {
  readonly commitId: string;
  readonly writes: readonly StoreWrite[];
  readonly bytes: number;
  readonly works: readonly Work[];
  readonly records: ReadonlyMap<string, EncodedRecord>;
  readonly shards: ReadonlyMap<number, ShardRecord>;
  /** The messages of each record, when the writes go without checkpoints and each for itself; else one atomic batch. */
  readonly plain: ReadonlyMap<string, readonly Work[]> | undefined;
  readonly deadLetters: readonly { readonly work: Work; readonly rejection: Rejection }[];
  /** To be sent when it is committed. */
  readonly replies: readonly PlannedReply[];
  /** To be counted when it is committed. */
  readonly counts: readonly PlannedCounts[];
  /** Index into `works` of the first one that wrote a record or relied on it. */
  firstTouching(key: string): number;
}

export interface PlannedCounts {
  readonly counts: readonly Counted[];
  /** What was counted. */
  readonly work: Work;
}

export interface PlannedReply {
  readonly reply: Reply;
  /** What it answers. */
  readonly work: Work;
}

/** Why a message cannot be applied. */
export interface Rejection {
  readonly code: string;
  readonly message: string;
}

export interface OwnedCheckpoint {
  readonly record: ShardRecord;
  readonly revision: number;
}

export interface TooLarge {
  readonly tooLarge: string;
  readonly bytes: number;
}
