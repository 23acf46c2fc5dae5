// The profile bucket as the server holds it: one sequence over all messages, the versions of every key, alarm clocks.
// A batch is applied whole or not at all; what it expects is checked against the newest revisions.
import type { StoredRecord, StoreWrite } from '../../shared/ports/record-store.ts';
import type { SimServer } from './process.ts';
import type { World } from './world.ts';

export interface StoredMessage {
  readonly sequence: number;
  readonly key: string;
  /** null: the marker of a deletion or a cancelled alarm clock. */
  readonly value: Uint8Array | null;
}

interface Alarm {
  readonly target: string;
  readonly atMs: number;
  readonly value: Uint8Array;
}

interface CommitUnderWay {
  readonly by: string;
  readonly writes: readonly StoreWrite[];
}

/** A batch that was applied, with the messages that it stored in the order of its writes. */
export interface AppliedBatch {
  readonly by: string;
  readonly writes: readonly StoreWrite[];
  readonly revisions: readonly number[];
  /** Newest version of each record key before the batch. */
  readonly before: (key: string) => StoredMessage | undefined;
}

export type Applied =
  | { readonly kind: 'applied'; readonly revisions: readonly number[] }
  | { readonly kind: 'conflict'; readonly sequence: number };

export class SimStore {
  readonly world: World;
  readonly server: SimServer;
  /** When set, the server is killed for so long while the next commit is on its way to it. */
  tearNextCommitMs = 0;
  readonly #messages: (StoredMessage | undefined)[] = [undefined];
  readonly #versions = new Map<string, StoredMessage[]>();
  readonly #alarms = new Map<string, Alarm>();
  readonly #dueAtRestart: string[] = [];
  readonly #underWay = new Set<CommitUnderWay>();
  #torn: CommitUnderWay[] = [];
  readonly #onApplied: ((batch: AppliedBatch) => void)[] = [];
  readonly #onStored: ((message: StoredMessage) => void)[] = [];

  constructor(server: SimServer) {
    this.server = server;
    this.world = server.world;
    server.onDown(() => {
      this.#torn = [...this.#underWay];
      this.#underWay.clear();
    });
    server.onUp(() => this.#recover());
  }

  get lastSequence(): number {
    return this.#messages.length - 1;
  }

  /** Alarm clocks that have not fired. */
  get armed(): number {
    return this.#alarms.size;
  }

  onApplied(see: (batch: AppliedBatch) => void): void {
    this.#onApplied.push(see);
  }

  onStored(see: (message: StoredMessage) => void): void {
    this.#onStored.push(see);
  }

  messageAt(sequence: number): StoredMessage | undefined {
    return this.#messages[sequence];
  }

  /** The newest version of a key that stood at a sequence: without one, the newest of all. */
  latest(key: string, atSequence = Number.POSITIVE_INFINITY): StoredMessage | undefined {
    const versions = this.#versions.get(key) ?? [];
    for (let i = versions.length - 1; i >= 0; i--) {
      if (versions[i]!.sequence <= atSequence) return versions[i];
    }
    return undefined;
  }

  record(key: string, atSequence?: number): StoredRecord {
    const found = this.latest(key, atSequence);
    return { key, value: found?.value ?? null, revision: found?.sequence ?? 0 };
  }

  /** The key of a message that is still its key's newest: the bucket keeps one message a key. */
  keyAt(sequence: number): string | undefined {
    const found = this.#messages[sequence];
    return found && this.latest(found.key)?.sequence === sequence ? found.key : undefined;
  }

  keys(prefix: string): string[] {
    return [...this.#versions.keys()].filter((key) => key.startsWith(prefix));
  }

  /** Applies a batch. `timersInside` lets alarm clocks that are due fire between its messages. */
  apply(by: string, writes: readonly StoreWrite[], timersInside = false): Applied {
    for (const write of writes) {
      if (write.kind !== 'put' && write.kind !== 'delete') continue;
      const revision = this.latest(write.key)?.sequence ?? 0;
      if (revision !== write.expect) return { kind: 'conflict', sequence: revision };
    }
    const sequenceBefore = this.lastSequence;
    const revisions: number[] = [];
    for (const write of writes) {
      if (timersInside && revisions.length > 0 && this.world.chance(0.5) && this.#fireInside()) {
        this.world.mark('store.timer inside a batch');
      }
      revisions.push(this.#write(write));
    }
    this.world.trace(`store: ${by} applied ${revisions[0]}..${revisions.at(-1)}`);
    const batch = { by, writes, revisions, before: (key: string) => this.latest(key, sequenceBefore) };
    for (const see of this.#onApplied) see(batch);
    return { kind: 'applied', revisions };
  }

  /** Notes a commit that was sent; the returned function says that it has arrived. */
  underWay(by: string, writes: readonly StoreWrite[]): () => void {
    const sent = { by, writes };
    if (this.server.up) this.#underWay.add(sent);
    if (this.tearNextCommitMs > 0) {
      const downMs = this.tearNextCommitMs;
      this.tearNextCommitMs = 0;
      this.world.after(0, '', () => this.server.restart(downMs), false);
    }
    return () => this.#underWay.delete(sent);
  }

  /** A kill in the middle of a commit: the restarted server rolls it forward, alarm clocks inside, or forgets it. */
  #recover(): void {
    for (const { by, writes } of this.#torn.splice(0)) {
      if (!this.world.chance(0.8)) continue;
      if (this.apply(by, writes, true).kind === 'applied') this.world.mark('store.rolled forward');
    }
    for (const key of this.#dueAtRestart.splice(0)) this.#fire(key);
  }

  /** Removes outbox messages, oldest first, without a trace. */
  purge(matches: (key: string) => boolean, upTo: number): void {
    for (let sequence = 1; sequence <= Math.min(upTo, this.lastSequence); sequence++) {
      const message = this.#messages[sequence];
      if (!message || !matches(message.key)) continue;
      this.#messages[sequence] = undefined;
      const rest = (this.#versions.get(message.key) ?? []).filter((version) => version !== message);
      if (rest.length > 0) this.#versions.set(message.key, rest);
      else this.#versions.delete(message.key);
    }
  }

  #write(write: StoreWrite): number {
    switch (write.kind) {
      case 'put': {
        const sequence = this.#append(write.key, write.value);
        if (write.ttlMs !== undefined)
          this.world.after(write.ttlMs, '', () => this.#vanish(write.key, sequence), false);
        return sequence;
      }
      case 'append':
        return this.#append(write.key, write.value);
      case 'delete':
        return this.#append(write.key, null);
      case 'cancel':
        this.#alarms.delete(write.key);
        return this.#append(write.key, null);
      case 'schedule': {
        const alarm = { target: write.target, atMs: write.atMs, value: write.value };
        this.#alarms.set(write.key, alarm);
        const sequence = this.#append(write.key, write.value);
        const delayMs = Math.max(0, write.atMs - this.world.nowMs) + this.world.between(0, 20);
        this.world.after(delayMs, '', () => this.#ring(write.key, alarm), false);
        return sequence;
      }
    }
  }

  /** The time of a message is over: it goes without a trace, unless another has taken its place. */
  #vanish(key: string, sequence: number): void {
    if (this.latest(key)?.sequence === sequence) this.#versions.delete(key);
  }

  #append(key: string, value: Uint8Array | null): number {
    const message = { sequence: this.#messages.length, key, value };
    this.#messages.push(message);
    const versions = this.#versions.get(key);
    if (versions) versions.push(message);
    else this.#versions.set(key, [message]);
    for (const see of this.#onStored) see(message);
    return message.sequence;
  }

  #ring(key: string, alarm: Alarm): void {
    if (this.#alarms.get(key) !== alarm) return;
    if (this.server.up) this.#fire(key);
    else this.#dueAtRestart.push(key);
  }

  #fire(key: string): void {
    const alarm = this.#alarms.get(key);
    if (!alarm) return;
    this.#alarms.delete(key);
    // The message that armed it is gone once it has fired.
    this.#versions.delete(key);
    this.#append(alarm.target, alarm.value);
    this.world.trace(`store: alarm ${key} fired`);
  }

  #fireInside(): boolean {
    const due = this.#dueAtRestart.shift() ?? this.#anyDue();
    if (due === undefined) return false;
    const fired = this.#alarms.has(due);
    this.#fire(due);
    return fired;
  }

  #anyDue(): string | undefined {
    for (const [key, alarm] of this.#alarms) if (alarm.atMs <= this.world.nowMs) return key;
    return undefined;
  }
}
