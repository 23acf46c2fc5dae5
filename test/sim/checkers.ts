// What must hold after every batch that the store applied. Written against the store's history and the log alone; what
// a batch should have written is found by applying its messages one after another to plain states.
import { createHash } from 'node:crypto';
import type { Actor, ActorMessage, RecordView } from '../../shared/contract/actor.ts';
import { decodeShardRecord, type ShardRecord, UNCLAIMED } from '../../shared/contract/shard-record.ts';
import type { LogMessage } from '../../shared/ports/event-log.ts';
import type { StoreWrite } from '../../shared/ports/record-store.ts';
import type { SimLog } from './log.ts';
import type { AppliedBatch, SimStore } from './store.ts';
import { decodeToy, dutyKey } from './tally-model.ts';

/** What one applied batch says it applied, in order. */
export interface OutboxMark {
  readonly shard: number;
  readonly sequence: number;
  readonly dead: string | undefined;
}

/**
 * What is checked of each batch. outcome: only what a user could see, for variants that must be caught by their
 * consequences. chain: the shard records too. all: also that it holds what its messages make, by their outbox entries.
 */
export type Depth = 'outcome' | 'chain' | 'all';

export interface Durable {
  readonly commits: number;
  readonly messages: number;
  readonly plain: number;
}

export const NONE_DURABLE: Durable = { commits: 0, messages: 0, plain: 0 };

export class Checkers {
  readonly #store: SimStore;
  readonly #log: SimLog;
  readonly #actor: Actor;
  /** States as a serial application of the committed messages gives them. */
  readonly states = new Map<string, unknown>();
  /** Batches that moved a checkpoint, the messages in them, and plain writes, by worker. */
  readonly durable = new Map<string, Durable>();
  /** Log messages as they were when they were appended: purged ones are still known here. */
  readonly history = new Map<string, LogMessage>();
  readonly depth: Depth;
  readonly #outboxIds = new Set<string>();

  constructor(store: SimStore, log: SimLog, actor: Actor, depth: Depth) {
    this.#store = store;
    this.#log = log;
    this.#actor = actor;
    this.depth = depth;
    log.onAppend((message) => this.history.set(`${log.createdAt} ${message.sequence}`, message));
    store.onApplied((batch) => this.#check(batch));
  }

  /** The log lost these messages: nothing may speak of them any more. */
  forget(afterSequence: number): void {
    for (const [key, { sequence }] of this.history) if (sequence > afterSequence) this.history.delete(key);
    // Its sequences are used again, and with them the ids that the toy actor makes of them.
    this.#outboxIds.clear();
  }

  #check(batch: AppliedBatch): void {
    if (batch.by === 'setup') return;
    const shards = shardWrites(batch.writes);
    const marks = outboxMarks(batch.writes);
    this.#count(batch, shards);
    for (const write of batch.writes) if (write.kind === 'append') this.#checkOutboxId(write.key);
    this.#checkDuties(batch.writes);
    if (this.depth === 'outcome') return;
    for (const [shard, after] of shards) this.#checkChain(batch, shard, after, marks);
    if (this.depth === 'chain') return;
    for (const mark of marks) {
      if (!shards.has(mark.shard)) this.#fail(`message ${mark.sequence} was applied without its checkpoint`);
    }
    this.#checkSerial(batch, marks);
  }

  #count(batch: AppliedBatch, shards: ReadonlyMap<number, ShardRecord>): void {
    let messages = 0;
    for (const [shard, after] of shards)
      messages += this.due(shard, this.#shardBefore(batch, shard).seq, after.seq).length;
    const known = this.durable.get(batch.by) ?? NONE_DURABLE;
    const isPlain = shards.size === 0 && batch.writes.every(({ kind }) => kind === 'put');
    if (isPlain) this.durable.set(batch.by, { ...known, plain: known.plain + batch.writes.length });
    if (messages === 0) return;
    const moved = { commits: known.commits + 1, messages: known.messages + messages };
    this.durable.set(batch.by, { ...known, ...moved });
  }

  /** Messages of a shard after one checkpoint, up to another. */
  due(shard: number, after: number, upTo: number): readonly number[] {
    const due: number[] = [];
    for (const message of this.history.values()) {
      if (message.shard === shard && message.sequence > after && message.sequence <= upTo)
        due.push(message.sequence);
    }
    return due;
  }

  /** One of each pair is on duty, at every moment. */
  #checkDuties(writes: readonly StoreWrite[]): void {
    const isOff = (pair: string, side: 'a' | 'b') => {
      const value = this.#store.latest(dutyKey(pair, side))?.value;
      const state = value ? decodeToy(value) : undefined;
      return state?.kind === 'duty' && !state.on;
    };
    for (const { key } of writes) {
      const pair = /^p\.duty-(\d+)-/.exec(key)?.[1];
      if (pair !== undefined && isOff(pair, 'a') && isOff(pair, 'b'))
        this.#fail(`both of pair ${pair} are off duty`);
    }
  }

  #checkOutboxId(key: string): void {
    if (!key.startsWith('o.')) return;
    const id = key.split('.').at(-1)!;
    if (this.#outboxIds.has(id)) this.#fail(`outbox id ${key} was written twice`);
    this.#outboxIds.add(id);
  }

  #shardBefore(batch: AppliedBatch, shard: number): ShardRecord {
    const before = batch.before(`s.${shard}`);
    return before?.value ? decodeShardRecord(before.value) : UNCLAIMED;
  }

  #checkChain(batch: AppliedBatch, shard: number, after: ShardRecord, marks: readonly OutboxMark[]): void {
    const before = this.#shardBefore(batch, shard);
    const where = `shard ${shard}, ${JSON.stringify(before)} -> ${JSON.stringify(after)} by ${batch.by}`;
    if (after.epoch < before.epoch) this.#fail(`epoch fell: ${where}`);
    if (after.seq < before.seq) this.#fail(`checkpoint fell: ${where}`);
    if (after.purgedTo < before.purgedTo) this.#fail(`purgedTo fell: ${where}`);
    if (after.epoch === before.epoch) {
      if (before.owner !== batch.by) this.#fail(`commit by somebody who does not own it: ${where}`);
      if (after.owner !== null && after.owner !== batch.by)
        this.#fail(`owner changed without a claim: ${where}`);
    } else {
      if (after.epoch !== before.epoch + 1) this.#fail(`epoch jumped: ${where}`);
      if (after.owner !== batch.by) this.#fail(`claim in another name: ${where}`);
      if (after.seq !== before.seq) this.#fail(`claim moved the checkpoint: ${where}`);
      if (before.owner !== null && before.owner !== batch.by) this.#store.world.mark('take-over');
    }
    if (after.seq === before.seq) {
      if (after.commitId !== before.commitId) this.#fail(`commit id changed by a claim or release: ${where}`);
    } else if (after.commitId === before.commitId)
      this.#fail(`checkpoint moved under an old commit id: ${where}`);
    if (this.depth === 'all') this.#checkSpan(shard, before, after, marks, where);
    if (after.fingerprint?.hash !== before.fingerprint?.hash) this.#checkFingerprint(after, where);
  }

  /** The batch applies exactly the messages between the two checkpoints, in order. */
  #checkSpan(
    shard: number,
    before: ShardRecord,
    after: ShardRecord,
    marks: readonly OutboxMark[],
    where: string,
  ): void {
    const named = marks.filter((mark) => mark.shard === shard).map((mark) => mark.sequence);
    const due = this.due(shard, before.seq, after.seq);
    if (named.join() !== due.join()) this.#fail(`applied [${named}] where [${due}] was due: ${where}`);
  }

  #checkFingerprint(after: ShardRecord, where: string): void {
    const { fingerprint } = after;
    if (!fingerprint) return;
    if (fingerprint.seq > after.seq) this.#fail(`fingerprint beyond the checkpoint: ${where}`);
    const message = this.history.get(`${after.streamCreated} ${fingerprint.seq}`);
    if (!message || naiveFingerprint(message) !== fingerprint.hash)
      this.#fail(`fingerprint is not true: ${where}`);
  }

  /** The states that the batch stored are those that its messages give when applied one after another. */
  #checkSerial(batch: AppliedBatch, marks: readonly OutboxMark[]): void {
    const actor = this.#actor;
    const touched = new Set<string>();
    for (const mark of marks) {
      if (mark.dead !== undefined) continue;
      const message = this.history.get(`${this.#log.createdAt} ${mark.sequence}`);
      const writes =
        message && decideSerially(actor, asActorMessage(message, this.#log.createdAt), this.states);
      if (!writes) this.#fail(`message ${mark.sequence} cannot be decided serially`);
      for (const [key, state] of writes ?? []) {
        this.states.set(key, state);
        touched.add(key);
      }
    }
    for (const write of batch.writes) {
      if ((write.kind === 'put' || write.kind === 'delete') && !write.key.startsWith('s.'))
        touched.add(write.key);
    }
    for (const key of touched) this.#checkState(actor, key, marks);
  }

  #checkState(actor: Actor, key: string, marks: readonly OutboxMark[]): void {
    const state = this.states.get(key) ?? null;
    const expected = state === null ? null : Buffer.from(actor.encode(key, state));
    const stored = this.#store.latest(key)?.value ?? null;
    if (expected === null || stored === null ? expected === stored : expected.equals(stored)) return;
    const text = (bytes: Uint8Array | null) =>
      bytes === null ? 'nothing' : Buffer.from(bytes).toString().trim();
    this.#fail(
      `record ${key} is ${text(stored)} and should be ${text(expected)} after ${marks.map((mark) => mark.sequence)}`,
    );
  }

  #fail(text: string): void {
    this.#store.world.violate(text);
  }
}

export function asActorMessage(message: LogMessage, logId: string): ActorMessage {
  const { shard, source, sequence, timeMs, payload } = message;
  return { shard, source, sequence, nowMs: timeMs, payload, logId };
}

/** What the message writes when it is decided over plain states. */
export function decideSerially(
  actor: Actor,
  message: ActorMessage,
  states: ReadonlyMap<string, unknown>,
): ReadonlyMap<string, unknown> | undefined {
  const view: RecordView = { get: (key) => states.get(key) ?? null };
  try {
    const decision = actor.decide(message, actor.parse(message), view);
    return decision.kind === 'apply' ? decision.writes : undefined;
  } catch {
    return undefined;
  }
}

/** The fingerprint as its definition says, computed apart from the runtime. */
function naiveFingerprint(message: LogMessage): string {
  const hash = createHash('sha256');
  hash.update(`${message.sequence}|${message.shard}|${message.source}|${message.timeMs}|`);
  return hash.update(message.payload).digest('base64url').slice(0, 22);
}

function shardWrites(writes: readonly StoreWrite[]): ReadonlyMap<number, ShardRecord> {
  const shards = new Map<number, ShardRecord>();
  for (const write of writes) {
    if (write.key.startsWith('s.') && 'value' in write) {
      shards.set(Number(write.key.slice(2)), decodeShardRecord(write.value));
    }
  }
  return shards;
}

/** Outbox entries that stand for a message: `o.dead.…` or the entry that an actor writes for each message. */
function outboxMarks(writes: readonly StoreWrite[]): readonly OutboxMark[] {
  const marks: OutboxMark[] = [];
  for (const write of writes) {
    if (write.kind !== 'append' || !/^o\.(dead|audit\.applied|activation\.applied)\./.test(write.key))
      continue;
    const body = JSON.parse(Buffer.from(write.value).toString()) as {
      shard: number;
      sequence: number;
      code?: string;
    };
    const dead = write.key.startsWith('o.dead.') ? (body.code ?? '') : undefined;
    marks.push({ shard: body.shard, sequence: body.sequence, dead });
  }
  return marks;
}
