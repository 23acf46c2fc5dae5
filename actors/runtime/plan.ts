// A plan: what a run of messages decided, as one atomic batch. Decided state lives here until the commit succeeds and
// is thrown away when it does not; the residents are only read.
import {
  type Actor,
  type ActorMessage,
  type AlarmChange,
  type Apply,
  NOTHING,
  type OutboxEntry,
} from '../../shared/contract/actor.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { encodeShardRecord, type ShardRecord } from '../../shared/contract/shard-record.ts';
import { invariant } from '../../shared/kernel/assert.ts';
import {
  COMMIT_BYTES_MAX,
  COMMIT_MESSAGES_MAX,
  RECORD_BYTES_MAX,
  type StoreWrite,
} from '../../shared/ports/record-store.ts';
import { DamagedRecord, type Residents } from './residents.ts';

/** Largest single message of a commit; the server's max_payload is 2 MB. */
const MESSAGE_BYTES_MAX = 1_900_000;
/** Assumed size of a record that has never been encoded. */
const NEW_RECORD_BYTES = 1024;

/** A message with what the actor read in it; parsed once, decided as often as conflicts demand. */
export interface Work {
  readonly message: ActorMessage;
  /** The ownership under which it was read: worthless once that has ended. */
  readonly ticket: object;
  readonly fingerprint: () => string;
  parsed: unknown;
  parsedBy: Actor | undefined;
}

export interface EncodedRecord {
  readonly state: unknown;
  readonly bytes: Uint8Array | null;
}

/** The batch as it goes to the store; `records` are the data records in the order of their writes, from index 0. */
export interface SealedPlan {
  readonly commitId: string;
  readonly writes: readonly StoreWrite[];
  readonly bytes: number;
  readonly works: readonly Work[];
  readonly records: ReadonlyMap<string, EncodedRecord>;
  readonly shards: ReadonlyMap<number, ShardRecord>;
  readonly deadLetters: readonly { readonly work: Work; readonly rejection: Rejection }[];
  /** Index into `works` of the first one that read or wrote a record. */
  firstTouching(key: string): number;
}

/** Why a message cannot be applied. */
export interface Rejection {
  readonly code: string;
  readonly message: string;
}

export type AddResult = 'added' | 'full' | Rejection;

export class Plan {
  readonly works: Work[] = [];
  readonly #residents: Residents;
  readonly #dirty = new Map<string, unknown>();
  /** Every record of the batch, written or guarded, with the revision that it was read at. */
  readonly #expected = new Map<string, number>();
  readonly #outbox: OutboxEntry[] = [];
  readonly #alarms = new Map<string, AlarmChange>();
  readonly #shards = new Set<number>();
  readonly #touchedFirst = new Map<string, number>();
  readonly #deadLetters: { readonly work: Work; readonly rejection: Rejection }[] = [];
  #reads = new Set<string>();
  #bytes = 0;

  constructor(residents: Residents) {
    this.#residents = residents;
  }

  /** What `decide` sees: this plan's states over the committed ones. Notes every key that is looked at. */
  readonly view = {
    get: (key: string): unknown => {
      this.#reads.add(key);
      const decided = this.#dirty.get(key);
      if (decided !== undefined || this.#dirty.has(key)) return decided;
      const resident = this.#residents.get(key);
      if (resident?.state instanceof DamagedRecord) throw resident.state.error;
      return resident?.state;
    },
  };

  /** Starts noting the reads of the next message. */
  beginMessage(): void {
    this.#reads = new Set();
  }

  /** Adds a decided message, unless the batch would grow beyond its limits. */
  add(work: Work, decision: Apply): AddResult {
    const guards = decision.writes.size === 0 ? this.#readKeys() : decision.guards;
    const grown = this.#sizeWith(work, decision, guards);
    if (grown.messages > COMMIT_MESSAGES_MAX || (grown.bytes > COMMIT_BYTES_MAX && this.works.length > 0)) {
      if (this.works.length > 0) return 'full';
      return {
        code: 'DECISION_TOO_LARGE',
        message: `one message would write ${grown.messages} records and messages`,
      };
    }
    for (const [key, state] of decision.writes) if (this.#current(key) !== state) this.#write(key, state);
    for (const key of guards) this.#expect(key);
    this.#outbox.push(...decision.outbox);
    for (const alarm of decision.alarms) this.#alarms.set(alarm.key, alarm);
    this.#accept(work, grown.bytes);
    return 'added';
  }

  /**
   * Adds a message that cannot be applied: its dead letter is all that it leaves, and what was read to find that out is
   * guarded. False when the batch is full.
   */
  addDeadLetter(work: Work, letter: OutboxEntry, rejection: Rejection): boolean {
    const guards = this.#readKeys();
    const grown = this.#sizeWith(work, { ...NOTHING, outbox: [letter] }, guards);
    if (grown.messages > COMMIT_MESSAGES_MAX && this.works.length > 0) return false;
    for (const key of guards) this.#expect(key);
    this.#outbox.push(letter);
    this.#deadLetters.push({ work, rejection });
    this.#accept(work, grown.bytes);
    return true;
  }

  /**
   * Encodes everything into one batch. Returns the key of a record that is over its size limit instead, if there is one.
   */
  seal(actor: Actor, commitId: string, shards: ReadonlyMap<number, OwnedCheckpoint>): SealedPlan | TooLarge {
    const writes: StoreWrite[] = [];
    const records = new Map<string, EncodedRecord>();
    for (const [key, state] of this.#dirty) {
      const bytes = state === null ? null : actor.encode(key, state);
      if (bytes && bytes.length > RECORD_BYTES_MAX) return { tooLarge: key, bytes: bytes.length };
      records.set(key, { state, bytes });
    }
    for (const key of this.#expected.keys()) {
      if (records.has(key)) continue;
      const state = this.#residents.get(key)?.state ?? null;
      records.set(key, { state, bytes: state === null ? null : actor.encode(key, state) });
    }
    for (const [key, { bytes }] of records) {
      const expect = this.#expected.get(key) ?? 0;
      writes.push(
        bytes === null ? { kind: 'delete', key, expect } : { kind: 'put', key, value: bytes, expect },
      );
    }
    const shardRecords = this.#checkpoints(commitId, shards);
    for (const [shard, record] of shardRecords) {
      const expect = shards.get(shard)!.revision;
      writes.push({ kind: 'put', key: recordKeys.shard(shard), value: encodeShardRecord(record), expect });
    }
    for (const entry of this.#outbox) writes.push({ kind: 'append', key: entry.key, value: entry.value });
    for (const alarm of this.#alarms.values()) writes.push(alarmWrite(alarm));
    const bytes = writes.reduce((sum, write) => sum + ('value' in write ? write.value.length : 0), 0);
    const firstTouching = (key: string) => this.#touchedFirst.get(key) ?? 0;
    const { works } = this;
    const deadLetters = this.#deadLetters;
    return { commitId, writes, bytes, works, records, shards: shardRecords, deadLetters, firstTouching };
  }

  #current(key: string): unknown {
    return this.#dirty.has(key) ? this.#dirty.get(key) : this.#residents.get(key)?.state;
  }

  #write(key: string, state: unknown): void {
    this.#expect(key);
    this.#dirty.set(key, state);
  }

  #expect(key: string): void {
    if (!this.#expected.has(key)) this.#expected.set(key, this.#residents.get(key)?.revision ?? 0);
  }

  /** Keys read by the current message that are loaded: what a decision to do nothing relied on. */
  #readKeys(): string[] {
    return [...this.#reads].filter((key) => {
      const state = this.#current(key);
      return state !== undefined && !(state instanceof DamagedRecord);
    });
  }

  #accept(work: Work, bytes: number): void {
    const index = this.works.length;
    for (const key of this.#reads) if (!this.#touchedFirst.has(key)) this.#touchedFirst.set(key, index);
    this.works.push(work);
    this.#shards.add(work.message.shard);
    this.#bytes = bytes;
  }

  #sizeWith(work: Work, decision: Apply, guards: readonly string[]): { messages: number; bytes: number } {
    let bytes = this.#bytes;
    const fresh = new Set<string>();
    for (const key of [...decision.writes.keys(), ...guards]) {
      if (this.#expected.has(key) || fresh.has(key)) continue;
      fresh.add(key);
      bytes += this.#residents.get(key)?.bytes || NEW_RECORD_BYTES;
    }
    for (const entry of decision.outbox) bytes += entry.value.length;
    const records = this.#expected.size + fresh.size;
    const outbox = this.#outbox.length + decision.outbox.length;
    const alarms = this.#alarms.size + decision.alarms.filter((alarm) => !this.#alarms.has(alarm.key)).length;
    const shards = this.#shards.size + (this.#shards.has(work.message.shard) ? 0 : 1);
    return { messages: records + outbox + alarms + shards, bytes };
  }

  #checkpoints(commitId: string, shards: ReadonlyMap<number, OwnedCheckpoint>): Map<number, ShardRecord> {
    const records = new Map<number, ShardRecord>();
    const last = new Map<number, Work>();
    for (const work of this.works) last.set(work.message.shard, work);
    for (const [shard, work] of last) {
      const owned = shards.get(shard);
      invariant(owned, `plan holds messages of shard ${shard}, which is not owned`);
      invariant(work.message.sequence > owned.record.seq, `shard ${shard} would move back`);
      const fingerprint = { seq: work.message.sequence, hash: work.fingerprint() };
      records.set(shard, { ...owned.record, commitId, seq: work.message.sequence, fingerprint });
    }
    return records;
  }
}

export interface OwnedCheckpoint {
  readonly record: ShardRecord;
  readonly revision: number;
}

export interface TooLarge {
  readonly tooLarge: string;
  readonly bytes: number;
}

/** The reason why an outbox entry or alarm cannot be stored, if there is one. */
export function oversizedMessage(decision: Apply): string | undefined {
  for (const entry of [...decision.outbox, ...decision.alarms.filter((alarm) => alarm.kind === 'arm')]) {
    if (entry.value.length > MESSAGE_BYTES_MAX) return `${entry.key} would hold ${entry.value.length} bytes`;
  }
  return undefined;
}

function alarmWrite(alarm: AlarmChange): StoreWrite {
  if (alarm.kind === 'cancel') return { kind: 'cancel', key: alarm.key };
  return { kind: 'schedule', key: alarm.key, target: alarm.target, atMs: alarm.atMs, value: alarm.value };
}
