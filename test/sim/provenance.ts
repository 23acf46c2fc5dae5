// Checks what one worker expects in its commits: a revision that the store told it, never one that it computed; and
// after a conflict, what the leader told, never a replica.
import type { CommitOutcome, RecordStore, StoreWrite } from '../../shared/ports/record-store.ts';
import type { SimProcess } from './process.ts';
import type { SimStore } from './store.ts';

type Expecting = StoreWrite & { readonly kind: 'put' | 'delete' };

export function watchProvenance(store: RecordStore, server: SimStore, process: SimProcess): RecordStore {
  const watch = new Provenance(server, process);
  return {
    keyAt: (sequence) => store.keyAt(sequence),
    async read(keys, from) {
      const records = await store.read(keys, from);
      for (const { key, revision } of records.values()) watch.told(key, revision, from === 'leader');
      if (from === 'leader' && keys.some((key) => key.startsWith('s.'))) watch.explained();
      return records;
    },
    async commit(writes) {
      const expecting = writes.filter(
        (write): write is Expecting => write.kind === 'put' || write.kind === 'delete',
      );
      watch.expect(expecting);
      const outcome = await store.commit(writes);
      watch.outcome(writes, expecting, outcome);
      return outcome;
    },
  };
}

class Provenance {
  readonly #server: SimStore;
  readonly #process: SimProcess;
  readonly #told = new Map<string, Set<number>>();
  /** Records of a batch that met a conflict: only the leader's word counts for them. */
  readonly #contested = new Map<string, number>();
  /** Batches that had no answer once: their conflict may be with themselves. */
  readonly #doubted = new Set<string>();

  constructor(server: SimStore, process: SimProcess) {
    this.#server = server;
    this.#process = process;
  }

  told(key: string, revision: number, byLeader: boolean): void {
    const known = this.#told.get(key);
    if (known) known.add(revision);
    else this.#told.set(key, new Set([revision]));
    if (byLeader) this.#contested.delete(key);
  }

  /** A shard that turns out to be lost explains a conflict: then nobody asks about the other records. */
  explained(): void {
    this.#contested.clear();
  }

  expect(writes: readonly Expecting[]): void {
    for (const { key, expect } of writes) {
      if (expect !== 0 && !this.#told.get(key)?.has(expect))
        this.#fail(`made up revision ${expect} of ${key}`);
      if (this.#contested.get(key) !== undefined && this.#contested.get(key) !== expect) {
        this.#fail(`tried ${key} again on the word of a replica`);
      }
    }
  }

  outcome(writes: readonly StoreWrite[], expecting: readonly Expecting[], outcome: CommitOutcome): void {
    const name = expecting.map(({ key, expect }) => `${key}@${expect}`).join();
    if (outcome.kind === 'unknown') this.#doubted.add(name);
    if (outcome.kind === 'committed') {
      writes.forEach((write, index) => {
        this.told(write.key, outcome.revisions[index]!, true);
      });
    }
    if (outcome.kind !== 'conflict' || this.#doubted.has(name)) return;
    for (const { key, expect } of expecting) {
      const named = key.startsWith('s.') ? outcome.sequence === 0 : outcome.sequence === this.#revision(key);
      if (named && this.#revision(key) !== expect) this.#contested.set(key, expect);
    }
  }

  #revision(key: string): number {
    return this.#server.latest(key)?.sequence ?? 0;
  }

  #fail(text: string): void {
    this.#process.world.violate(`${this.#process.name} ${text}`);
  }
}
