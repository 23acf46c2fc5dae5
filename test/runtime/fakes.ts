// Ports of the runtime in memory, without faults of their own: a test says what the next commit, read or probe does.
import type { EventSource } from '../../shared/contract/names.ts';
import {
  decodeShardRecord,
  encodeShardRecord,
  type ShardRecord,
} from '../../shared/contract/shard-record.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { EventLogReader, LogMessage, LogState, ShardReader } from '../../shared/ports/event-log.ts';
import type { MemberReport, Membership, ProbeAnswer } from '../../shared/ports/membership.ts';
import type {
  CommitOutcome,
  RecordStore,
  StoredRecord,
  StoreWrite,
} from '../../shared/ports/record-store.ts';
import type { WorkerTelemetry } from '../../shared/ports/worker-telemetry.ts';
import type { Note } from './note-actor.ts';

/** Time that passes only by sleeping, and then at once. */
export class JumpClock implements Clock {
  ms = 1_000_000;
  readonly slept: number[] = [];

  nowMs(): number {
    return this.ms;
  }

  elapsedMs(): number {
    return this.ms;
  }

  async sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    this.slept.push(delayMs);
    this.ms += delayMs;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

type Script = (writes: readonly StoreWrite[], apply: () => CommitOutcome) => CommitOutcome;

/** A store that keeps its promises; `next` replaces the behaviour of one commit each. */
export class FakeStore implements RecordStore {
  readonly commits: (readonly StoreWrite[])[] = [];
  readonly reads: { readonly keys: readonly string[]; readonly from: 'replica' | 'leader' }[] = [];
  /** What a replica still shows of a record. */
  readonly stale = new Map<string, StoredRecord>();
  readonly next: Script[] = [];
  readsToFail = 0;
  sequence = 0;
  readonly #records = new Map<string, StoredRecord>();
  readonly #keyAt = new Map<number, string>();

  async commit(writes: readonly StoreWrite[]): Promise<CommitOutcome> {
    this.commits.push(writes);
    const script = this.next.shift();
    const apply = () => this.#apply(writes);
    return script ? script(writes, apply) : apply();
  }

  async read(
    keys: readonly string[],
    from: 'replica' | 'leader',
  ): Promise<ReadonlyMap<string, StoredRecord>> {
    this.reads.push({ keys, from });
    if (this.readsToFail > 0) {
      this.readsToFail--;
      throw new StitchworkError('STORE_UNAVAILABLE');
    }
    return new Map(keys.map((key) => [key, (from === 'replica' && this.stale.get(key)) || this.record(key)]));
  }

  async keyAt(sequence: number): Promise<string | undefined> {
    return this.#keyAt.get(sequence);
  }

  record(key: string): StoredRecord {
    return this.#records.get(key) ?? { key, value: null, revision: 0 };
  }

  /** Writes as somebody else. Returns the revision. */
  put(key: string, value: Uint8Array | object): number {
    const bytes = value instanceof Uint8Array ? value : Buffer.from(JSON.stringify(value));
    this.#store(key, bytes);
    return this.sequence;
  }

  /** Lets messages of others stand between what is stored before and after. */
  skip(count: number): void {
    this.sequence += count;
  }

  json(key: string): unknown {
    const { value } = this.record(key);
    return value === null ? null : JSON.parse(Buffer.from(value).toString());
  }

  shard(shard: number): ShardRecord | undefined {
    const { value } = this.record(`s.${shard}`);
    return value === null ? undefined : decodeShardRecord(value);
  }

  putShard(shard: number, record: Partial<ShardRecord>): number {
    const before = this.shard(shard);
    return this.put(`s.${shard}`, encodeShardRecord({ ...shardRecord(), ...before, ...record }));
  }

  /** Keys of the outbox, in the order of their writing. */
  get outbox(): string[] {
    return [...this.#records.keys()].filter((key) => key.startsWith('o.'));
  }

  #apply(writes: readonly StoreWrite[]): CommitOutcome {
    for (const write of writes) {
      if (write.kind !== 'put' && write.kind !== 'delete') continue;
      const { revision } = this.record(write.key);
      if (revision !== write.expect) return { kind: 'conflict', sequence: revision };
    }
    const revisions = writes.map((write) => {
      this.#store(write.key, 'value' in write ? write.value : null);
      return this.sequence;
    });
    return { kind: 'committed', revisions };
  }

  #store(key: string, value: Uint8Array | null): void {
    const old = this.#records.get(key);
    if (old) this.#keyAt.delete(old.revision);
    this.#records.set(key, { key, value, revision: ++this.sequence });
    this.#keyAt.set(this.sequence, key);
  }
}

export function shardRecord(): ShardRecord {
  return {
    v: 1,
    owner: null,
    epoch: 0,
    commitId: '',
    seq: 0,
    fingerprint: null,
    streamCreated: 'log-1',
    purgedTo: 0,
  };
}

export class FakeLog implements EventLogReader {
  readonly messages: LogMessage[] = [];
  readonly readers = new Map<number, FakeReader>();
  createdAt = 'log-1';
  lastSequence = 0;
  unavailable = false;

  append(shard: number, note: Note | Uint8Array, source: EventSource = 'ingest'): LogMessage {
    const payload = note instanceof Uint8Array ? note : Buffer.from(JSON.stringify(note));
    const message = { shard, source, sequence: ++this.lastSequence, timeMs: 500_000, payload };
    this.messages.push(message);
    for (const reader of this.readers.values()) reader.notice();
    return message;
  }

  purge(upTo: number): void {
    const kept = this.messages.filter(({ sequence }) => sequence > upTo);
    this.messages.splice(0, this.messages.length, ...kept);
  }

  async state(): Promise<LogState> {
    if (this.unavailable) throw new StitchworkError('LOG_UNAVAILABLE');
    const firstSequence = this.messages[0]?.sequence ?? this.lastSequence + 1;
    const { createdAt, lastSequence, messages } = this;
    return { createdAt, firstSequence, lastSequence, messages: messages.length, bytes: 0, bytesMax: -1 };
  }

  async messageAt(sequence: number): Promise<LogMessage | undefined> {
    return this.messages.find((message) => message.sequence === sequence);
  }

  async lastSequenceOf(shard: number): Promise<number> {
    return this.messages.findLast((message) => message.shard === shard)?.sequence ?? 0;
  }

  async countAfter(shard: number, after: number): Promise<number> {
    return this.messages.filter((message) => message.shard === shard && message.sequence > after).length;
  }

  open(shard: number, afterSequence: number, onReadable: () => void): ShardReader {
    const reader = new FakeReader(this, shard, afterSequence, onReadable);
    this.readers.set(shard, reader);
    if (reader.buffered > 0) setImmediate(() => reader.notice());
    return reader;
  }
}

export class FakeReader implements ShardReader {
  fault: ShardReader['fault'];
  closed = false;
  sessions = 1;
  pending = 0;
  readonly mayHaveGaps = true;
  readonly #log: FakeLog;
  readonly #shard: number;
  readonly #onReadable: () => void;
  #after: number;

  constructor(log: FakeLog, shard: number, after: number, onReadable: () => void) {
    this.#log = log;
    this.#shard = shard;
    this.#after = after;
    this.#onReadable = onReadable;
  }

  get buffered(): number {
    return this.#waiting().length;
  }

  take(max: number): readonly LogMessage[] {
    const taken = this.#waiting().slice(0, max);
    this.#after = taken.at(-1)?.sequence ?? this.#after;
    return taken;
  }

  fail(fault: 'LOG_REPLACED' | 'LOG_TRUNCATED'): void {
    this.fault = fault;
    this.#onReadable();
  }

  notice(): void {
    if (!this.closed) this.#onReadable();
  }

  close(): void {
    this.closed = true;
  }

  #waiting(): readonly LogMessage[] {
    return this.#log.messages.filter(
      ({ shard, sequence }) => shard === this.#shard && sequence > this.#after,
    );
  }
}

/** Members as a test sets them. */
export class FakeMembership implements Membership {
  readonly answers = new Map<string, ProbeAnswer>();
  joined: (() => MemberReport) | undefined;
  unavailable = false;
  probes = 0;
  #ownId: string | undefined;
  #reconnected: (() => void)[] = [];

  async join(id: string, report: () => MemberReport): Promise<void> {
    this.#ownId = id;
    this.joined = report;
  }

  async leave(): Promise<void> {
    this.joined = undefined;
  }

  async members(): Promise<readonly string[]> {
    if (this.unavailable) throw new StitchworkError('STORE_UNAVAILABLE');
    const own = this.joined && this.#ownId !== undefined ? [this.#ownId] : [];
    return [...own, ...this.answers.keys()];
  }

  async probe(id: string): Promise<ProbeAnswer> {
    this.probes++;
    return this.answers.get(id) ?? { kind: 'gone' };
  }

  onReconnect(callback: () => void): () => void {
    this.#reconnected.push(callback);
    return () => {
      this.#reconnected = this.#reconnected.filter((known) => known !== callback);
    };
  }

  reconnect(): void {
    for (const callback of this.#reconnected) callback();
  }
}

export function reportOf(id: string, shards: readonly number[]): MemberReport {
  return { id, startedAtMs: 0, shards, halted: [], lag: {}, lastCommitAtMs: {}, configVersion: 1 };
}

export interface Told {
  readonly name: string;
  readonly detail: unknown;
}

/** Telemetry that remembers what it was told. */
export function recordingTelemetry(): { readonly telemetry: WorkerTelemetry; readonly told: Told[] } {
  const told: Told[] = [];
  const telemetry = new Proxy({} as WorkerTelemetry, {
    get:
      (_target, name) =>
      (...details: unknown[]) =>
        void told.push({ name: String(name), detail: details.length > 1 ? details : details[0] }),
  });
  return { telemetry, told };
}

export function countOf(told: readonly Told[], name: string): number {
  return told.filter((entry) => entry.name === name).length;
}
