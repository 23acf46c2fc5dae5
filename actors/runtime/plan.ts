// A plan: what a run of messages decided, as one atomic batch. Decided state lives here until the commit succeeds and
// is thrown away when it does not; the residents are only read.
//
// A plan may be decided while the one before it, its base, is still being committed: it reads the base's states over the
// residents. It is sealed only when the base has been committed and its states and revisions are residents.
import type { Actor, AlarmChange, Apply, OutboxEntry, Reply } from '../../shared/contract/actor.ts';
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
import type {
  EncodedRecord,
  OwnedCheckpoint,
  PlannedCounts,
  PlannedReply,
  Rejection,
  SealedPlan,
  TooLarge,
  Work,
} from './sealed-plan.ts';

/** Largest single message of a commit; the server's max_payload is 2 MB. */
const MESSAGE_BYTES_MAX = 1_900_000;
/** Records of a plain commit, at most. */
const PLAIN_WRITES_MAX = 16;
/** Assumed size of a record that has never been encoded. */
const NEW_RECORD_BYTES = 1024;
/** Expected revision of a record that the base writes: known when the base has been committed. */
const AFTER_BASE = -1;

export type AddResult = 'added' | 'full' | Rejection;

/** One record of the batch: written, or guarded by being written again as it is. */
interface Entry {
  /** The decided state; undefined while the record is only guarded. */
  state: unknown;
  readonly expect: number;
  /** Index of the first message that wrote or guarded it. */
  readonly first: number;
  encoded: EncodedRecord | undefined;
}

export class Plan {
  readonly works: Work[] = [];
  /** Stands for the plan where a reference would keep it, and all before it, in memory. */
  readonly mark = Symbol('plan');
  /** The actor that all its messages are decided by. */
  readonly actor: Actor;
  readonly #residents: Residents;
  readonly #base: ReadonlyMap<string, EncodedRecord> | undefined;
  readonly #entries = new Map<string, Entry>();
  readonly #outbox: OutboxEntry[] = [];
  readonly #alarms = new Map<string, AlarmChange>();
  readonly #replies: PlannedReply[] = [];
  readonly #counts: PlannedCounts[] = [];
  readonly #shards = new Set<number>();
  readonly #deadLetters: { readonly work: Work; readonly rejection: Rejection }[] = [];
  /** Keys that the current message looked at. */
  readonly #reads: string[] = [];
  /** Works by the one record that each of them writes, as long as none does more. */
  #stampable: Map<string, Work[]> | undefined = new Map();
  #bytes = 0;

  constructor(residents: Residents, actor: Actor, base?: SealedPlan) {
    this.#residents = residents;
    this.actor = actor;
    this.#base = base?.records;
  }

  /** What `decide` sees: this plan's states over the base's over the committed ones. Notes every key looked at. */
  readonly view = {
    get: (key: string): unknown => {
      this.#reads.push(key);
      const state = this.#current(key);
      if (state instanceof DamagedRecord) throw state.error;
      return state;
    },
  };

  /** Decided over a commit that has not been acknowledged yet. */
  get isAhead(): boolean {
    return this.#base !== undefined;
  }

  /** Starts noting the reads of the next message. */
  beginMessage(): void {
    this.#reads.length = 0;
  }

  /** Adds a decided message, unless the batch would grow beyond its limits. */
  add(work: Work, decision: Apply): AddResult {
    const guards = decision.writes.size === 0 ? this.#readKeys() : decision.guards;
    const { outbox, alarms } = decision;
    const grown = this.#sizeWith(work, [...decision.writes.keys(), ...guards], outbox, alarms);
    if (grown.messages > COMMIT_MESSAGES_MAX || (grown.bytes > COMMIT_BYTES_MAX && this.works.length > 0)) {
      if (this.works.length > 0) return 'full';
      return {
        code: 'DECISION_TOO_LARGE',
        message: `one message would write ${grown.messages} records and messages`,
      };
    }
    for (const [key, state] of decision.writes) {
      if (this.#current(key) !== state) this.#entry(key).state = state;
    }
    for (const key of guards) this.#entry(key);
    for (const entry of outbox) this.#outbox.push(entry);
    for (const alarm of alarms) this.#alarms.set(alarm.key, alarm);
    if (decision.counts) this.#counts.push({ counts: decision.counts, work });
    this.#noteStampable(work, decision);
    this.#answer(work, decision.reply);
    this.#accept(work, grown.bytes);
    return 'added';
  }

  /**
   * Adds a message that cannot be applied: its dead letter is all that it leaves, and what was read to find that out is
   * guarded. False when the batch is full.
   */
  addDeadLetter(work: Work, letter: OutboxEntry, rejection: Rejection): boolean {
    const guards = this.#readKeys();
    const grown = this.#sizeWith(work, guards, [letter], []);
    if (grown.messages > COMMIT_MESSAGES_MAX && this.works.length > 0) return false;
    for (const key of guards) this.#entry(key);
    this.#outbox.push(letter);
    this.#deadLetters.push({ work, rejection });
    this.#stampable = undefined;
    this.#answer(work, this.actor.refusal?.(work.message, rejection));
    this.#accept(work, grown.bytes);
    return true;
  }

  /**
   * Encodes the records, as far as they are not yet. Returns the key of one that is over its size limit instead, if there
   * is one. May be called while the base is still being committed, and before more is added.
   */
  encode(): TooLarge | undefined {
    for (const [key, entry] of this.#entries) {
      const state = entry.state === undefined ? this.#guarded(key) : entry.state;
      if (entry.encoded?.state === state) continue;
      const bytes = state === null ? null : this.actor.encode(key, state);
      if (bytes && bytes.length > RECORD_BYTES_MAX) return { tooLarge: key, bytes: bytes.length };
      entry.encoded = { state, bytes };
    }
    return undefined;
  }

  /**
   * The batch. The base must have been committed, and its records be residents with their new revisions. Returns the key
   * of a record that is over its size limit instead, if there is one.
   */
  seal(commitId: string, shards: ReadonlyMap<number, OwnedCheckpoint>): SealedPlan | TooLarge {
    const tooLarge = this.encode();
    if (tooLarge) return tooLarge;
    const writes: StoreWrite[] = [];
    const records = new Map<string, EncodedRecord>();
    let bytes = 0;
    for (const [key, entry] of this.#entries) {
      const encoded = entry.encoded!;
      records.set(key, encoded);
      const expect = entry.expect === AFTER_BASE ? this.#residentRevision(key) : entry.expect;
      if (encoded.bytes === null) writes.push({ kind: 'delete', key, expect });
      else {
        const ttlMs = this.actor.lifetimeMs?.(key, encoded.state);
        writes.push({ kind: 'put', key, value: encoded.bytes, expect, ttlMs });
      }
      bytes += encoded.bytes?.length ?? 0;
    }
    const shardRecords = this.#checkpoints(commitId, shards);
    for (const [shard, record] of shardRecords) {
      const value = encodeShardRecord(record);
      bytes += value.length;
      writes.push({ kind: 'put', key: recordKeys.shard(shard), value, expect: shards.get(shard)!.revision });
    }
    for (const { key, value } of this.#outbox) {
      bytes += value.length;
      writes.push({ kind: 'append', key, value });
    }
    for (const alarm of this.#alarms.values()) writes.push(alarmWrite(alarm));
    return { ...this.#sealed(commitId, writes, records, bytes), shards: shardRecords, plain: undefined };
  }

  /**
   * The plan as plain writes, when it is a few messages that each change one record, which can be stamped with them;
   * undefined when it has to be a batch: also when a record was loaded at a time at which the shard is not proven to have
   * been owned. On R1 a batch costs the server about as much as eight plain writes.
   */
  sealPlain(
    commitId: string,
    isSettled: (shard: number, sequence: number) => boolean,
    isProven: (shard: number, loadedAt: number) => boolean,
  ): SealedPlan | undefined {
    const byKey = this.#stampable;
    if (!byKey || byKey.size === 0 || byKey.size !== this.#entries.size) return undefined;
    const writes: StoreWrite[] = [];
    const records = new Map<string, EncodedRecord>();
    let bytes = 0;
    for (const [key, entry] of this.#entries) {
      const messages = byKey.get(key)?.map(({ message }) => message);
      const loadedAt = this.#residents.get(key)?.loadedAt;
      if (loadedAt === undefined || !messages?.every(({ shard }) => isProven(shard, loadedAt)))
        return undefined;
      const expect = entry.expect === AFTER_BASE ? this.#residentRevision(key) : entry.expect;
      if (expect === 0) return undefined;
      const state = this.actor.stamp?.(entry.state, messages, isSettled);
      if (state === undefined) return undefined;
      const value = this.actor.encode(key, state);
      if (value.length > RECORD_BYTES_MAX) return undefined;
      writes.push({ kind: 'put', key, value, expect });
      records.set(key, { state, bytes: value });
      bytes += value.length;
    }
    return { ...this.#sealed(commitId, writes, records, bytes), shards: new Map(), plain: byKey };
  }

  #sealed(
    commitId: string,
    writes: readonly StoreWrite[],
    records: ReadonlyMap<string, EncodedRecord>,
    bytes: number,
  ): Omit<SealedPlan, 'shards' | 'plain'> {
    return {
      commitId,
      writes,
      bytes,
      works: this.works,
      records,
      deadLetters: this.#deadLetters,
      replies: this.#replies,
      counts: this.#counts,
      firstTouching: (key) => this.#entries.get(key)?.first ?? 0,
    };
  }

  /** Notes what a plain commit needs to know, until the plan is none. */
  #noteStampable(work: Work, { stampable, writes, guards, outbox, alarms }: Apply): void {
    if (!this.#stampable) return;
    const [key] = writes.keys();
    const isAlone = writes.size === 1 && guards.length + outbox.length + alarms.length === 0;
    if (!stampable || !isAlone || key === undefined) {
      this.#stampable = undefined;
      return;
    }
    const known = this.#stampable.get(key);
    if (known) known.push(work);
    else this.#stampable.set(key, [work]);
    if (this.#stampable.size > PLAIN_WRITES_MAX) this.#stampable = undefined;
  }

  #current(key: string): unknown {
    const decided = this.#entries.get(key)?.state;
    if (decided !== undefined) return decided;
    const before = this.#base?.get(key);
    return before ? before.state : this.#residents.stateOf(key);
  }

  /** The state that a guard writes again. A guard of what is not in memory would delete it. */
  #guarded(key: string): unknown {
    const state = this.#current(key);
    invariant(state !== undefined, `${key} is guarded and not in memory`);
    return state;
  }

  #entry(key: string): Entry {
    const known = this.#entries.get(key);
    if (known) return known;
    const expect = this.#base?.has(key) ? AFTER_BASE : (this.#residents.get(key)?.revision ?? 0);
    const entry: Entry = { state: undefined, expect, first: this.works.length, encoded: undefined };
    this.#entries.set(key, entry);
    return entry;
  }

  #residentRevision(key: string): number {
    const resident = this.#residents.get(key);
    invariant(resident, `${key} was written by the commit before and is not in memory`);
    return resident.revision;
  }

  /** Keys read by the current message that are loaded: what a decision to do nothing relied on. */
  #readKeys(): string[] {
    return [...new Set(this.#reads)].filter((key) => {
      const state = this.#current(key);
      return state !== undefined && !(state instanceof DamagedRecord);
    });
  }

  #answer(work: Work, reply: Reply | undefined): void {
    if (reply) this.#replies.push({ reply, work });
  }

  #accept(work: Work, bytes: number): void {
    // What was read in the message goes now: a redo reads it again, and most of the garbage has died young by then.
    work.parsed = undefined;
    work.parsedBy = undefined;
    this.works.push(work);
    this.#shards.add(work.message.shard);
    this.#bytes = bytes;
  }

  #sizeWith(
    work: Work,
    keys: readonly string[],
    outbox: readonly OutboxEntry[],
    alarms: readonly AlarmChange[],
  ): { messages: number; bytes: number } {
    let bytes = this.#bytes;
    let records = this.#entries.size;
    keys.forEach((key, index) => {
      if (this.#entries.has(key) || keys.indexOf(key) !== index) return;
      records += 1;
      bytes +=
        this.#base?.get(key)?.bytes?.length || this.#residents.get(key)?.stored?.length || NEW_RECORD_BYTES;
    });
    for (const entry of outbox) bytes += entry.value.length;
    let clocks = this.#alarms.size;
    for (const alarm of alarms) if (!this.#alarms.has(alarm.key)) clocks += 1;
    const shards = this.#shards.size + (this.#shards.has(work.message.shard) ? 0 : 1);
    return { messages: records + this.#outbox.length + outbox.length + clocks + shards, bytes };
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

/** The reason why an outbox entry or alarm cannot be stored, if there is one. */
export function oversizedMessage(decision: Apply): string | undefined {
  for (const { key, value } of decision.outbox) {
    if (value.length > MESSAGE_BYTES_MAX) return `${key} would hold ${value.length} bytes`;
  }
  for (const alarm of decision.alarms) {
    if (alarm.kind === 'arm' && alarm.value.length > MESSAGE_BYTES_MAX)
      return `${alarm.key} would hold ${alarm.value.length} bytes`;
  }
  return undefined;
}

function alarmWrite(alarm: AlarmChange): StoreWrite {
  if (alarm.kind === 'cancel') return { kind: 'cancel', key: alarm.key };
  return { kind: 'schedule', key: alarm.key, target: alarm.target, atMs: alarm.atMs, value: alarm.value };
}
