// The event log as the server holds it: one sequence over all shards, a duplicate window, purge of a prefix; and the
// two disasters that a worker must notice: it is replaced by another log, or loses its end.
import type { EventSource } from '../../shared/contract/names.ts';
import type { LogAppend, LogMessage, LogState } from '../../shared/ports/event-log.ts';
import type { SimServer } from './process.ts';
import type { World } from './world.ts';

export class SimLog {
  readonly world: World;
  readonly server: SimServer;
  readonly #messages: LogMessage[] = [];
  readonly #byShard = new Map<number, LogMessage[]>();
  readonly #seenIds = new Map<string, number>();
  readonly #onAppend = new Set<(message: LogMessage) => void>();
  readonly #duplicateWindowMs: number;
  createdAt: string;
  /** Most messages that it takes; beyond it is full. */
  messagesMax = Number.POSITIVE_INFINITY;
  #purgedTo = 0;
  #lastSequence = 0;

  constructor(server: SimServer, duplicateWindowMs = 120_000) {
    this.server = server;
    this.world = server.world;
    this.#duplicateWindowMs = duplicateWindowMs;
    this.createdAt = new Date(this.world.nowMs).toISOString();
  }

  get lastSequence(): number {
    return this.#lastSequence;
  }

  get firstSequence(): number {
    return this.#messages[0]?.sequence ?? this.#lastSequence + 1;
  }

  state(): LogState {
    return {
      createdAt: this.createdAt,
      firstSequence: this.firstSequence,
      lastSequence: this.#lastSequence,
      messages: this.#messages.length,
      bytes: this.#messages.reduce((sum, message) => sum + message.payload.length, 0),
      bytesMax: -1,
    };
  }

  onAppend(see: (message: LogMessage) => void): () => void {
    this.#onAppend.add(see);
    return () => this.#onAppend.delete(see);
  }

  /** Appends all or none; a batch whose id was seen within the window is stored already. */
  append(messages: readonly LogAppend[], batchId?: string): 'stored' | 'duplicate' | 'full' {
    const nowMs = this.world.nowMs;
    const seenAtMs = batchId === undefined ? undefined : this.#seenIds.get(batchId);
    if (seenAtMs !== undefined && nowMs - seenAtMs <= this.#duplicateWindowMs) return 'duplicate';
    if (this.#messages.length + messages.length > this.messagesMax) return 'full';
    if (batchId !== undefined) this.#seenIds.set(batchId, nowMs);
    for (const { shard, source, payload } of messages) this.#store(shard, source, payload);
    return 'stored';
  }

  /** Up to `max` messages of a shard after a sequence. */
  after(shard: number, sequence: number, max: number): readonly LogMessage[] {
    const all = this.#byShard.get(shard) ?? [];
    let from = all.length;
    while (from > 0 && all[from - 1]!.sequence > sequence) from--;
    return all.slice(from, from + max);
  }

  /** Every message of a shard that is still kept. */
  ofShard(shard: number): readonly LogMessage[] {
    return this.#byShard.get(shard) ?? [];
  }

  countAfter(shard: number, sequence: number): number {
    return this.after(shard, sequence, Number.POSITIVE_INFINITY).length;
  }

  at(sequence: number): LogMessage | undefined {
    return this.#messages[sequence - this.firstSequence];
  }

  lastSequenceOf(shard: number): number {
    return this.#byShard.get(shard)?.at(-1)?.sequence ?? 0;
  }

  purge(upTo: number): void {
    this.#purgedTo = Math.max(this.#purgedTo, Math.min(upTo, this.#lastSequence));
    this.#keep((message) => message.sequence > this.#purgedTo);
    this.world.trace(`log: purged to ${this.#purgedTo}`);
  }

  /** Deleted and made anew, under the same name. */
  replace(): void {
    this.world.trace('log: replaced');
    this.createdAt = new Date(this.world.nowMs).toISOString();
    this.#keep(() => false);
    this.#seenIds.clear();
    this.#purgedTo = 0;
    this.#lastSequence = 0;
  }

  /** Restored from an older copy: its end is gone and its sequences are used again. */
  truncate(lastSequence: number): void {
    this.world.trace(`log: truncated to ${lastSequence}`);
    this.#keep((message) => message.sequence <= lastSequence);
    this.#lastSequence = Math.min(this.#lastSequence, lastSequence);
  }

  #store(shard: number, source: EventSource, payload: Uint8Array): void {
    const message = { shard, source, sequence: ++this.#lastSequence, timeMs: this.world.nowMs, payload };
    this.#messages.push(message);
    const ofShard = this.#byShard.get(shard);
    if (ofShard) ofShard.push(message);
    else this.#byShard.set(shard, [message]);
    for (const see of this.#onAppend) see(message);
  }

  #keep(keeps: (message: LogMessage) => boolean): void {
    const kept = this.#messages.filter(keeps);
    this.#messages.splice(0, this.#messages.length, ...kept);
    for (const [shard, messages] of this.#byShard) this.#byShard.set(shard, messages.filter(keeps));
  }
}
