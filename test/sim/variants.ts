// Broken variants of the commit, each made by rewriting what passes between the runtime and its store. The simulation
// must catch every one of them: this proves that it can fail.
import { decodeShardRecord } from '../../shared/contract/shard-record.ts';
import type { CommitOutcome, RecordStore, StoreWrite } from '../../shared/ports/record-store.ts';
import type { SimProcess } from './process.ts';
import type { SimStore } from './store.ts';

export type Variant = (store: RecordStore, server: SimStore, process: SimProcess) => RecordStore;

const isShardRecord = (write: StoreWrite) => write.kind === 'put' && write.key.startsWith('s.');
const isCommit = (writes: readonly StoreWrite[]) => writes.some((write) => write.kind === 'append');

/** The shard record is written whatever revision it has: an old owner goes on committing. */
export const noFence: Variant = (store) => ({
  ...store,
  commit: (writes) =>
    store.commit(
      writes.map((write) =>
        isCommit(writes) && isShardRecord(write) && write.kind === 'put'
          ? { kind: 'append', key: write.key, value: write.value }
          : write,
      ),
    ),
});

/** Tells of the commit when it is sent. */
export const replyBeforeCommit: Variant = (store, server) => ({
  ...store,
  async commit(writes) {
    if (!isCommit(writes)) return store.commit(writes);
    void store.commit(writes);
    return { kind: 'committed', revisions: writes.map((_, index) => server.lastSequence + 1 + index) };
  },
});

/** State first, checkpoint in a commit of its own. */
export const checkpointOutside: Variant = (store) => ({
  ...store,
  async commit(writes) {
    if (!isCommit(writes)) return store.commit(writes);
    const state = await store.commit(writes.filter((write) => !isShardRecord(write)));
    if (state.kind !== 'committed') return state;
    const checkpoint = await store.commit(writes.filter(isShardRecord));
    if (checkpoint.kind !== 'committed') return checkpoint;
    const revisions = { state: [...state.revisions], checkpoint: [...checkpoint.revisions] };
    const take = (write: StoreWrite) =>
      (isShardRecord(write) ? revisions.checkpoint : revisions.state).shift()!;
    return { kind: 'committed', revisions: writes.map(take) };
  },
});

/** Records that were read and not changed are left out of the batch. */
export const guardLeftOut: Variant = (store, server) => ({
  ...store,
  async commit(writes) {
    const kept = writes.filter((write) => !isGuard(server, write));
    const outcome = await store.commit(kept);
    if (outcome.kind !== 'committed') return outcome;
    const revisions = [...outcome.revisions];
    const taken = writes.map((write) => (kept.includes(write) ? revisions.shift()! : expected(write)));
    return { kind: 'committed', revisions: taken };
  },
});

function isGuard(server: SimStore, write: StoreWrite): boolean {
  if (write.kind !== 'put' && write.kind !== 'delete') return false;
  if (isShardRecord(write)) return false;
  const before = write.expect === 0 ? null : (server.messageAt(write.expect)?.value ?? null);
  if (write.kind === 'delete') return before === null;
  return before !== null && Buffer.compare(before, write.value) === 0;
}

function expected(write: StoreWrite): number {
  return 'expect' in write ? write.expect : 0;
}

/** What should be read from the leader is read from a replica that lags behind. */
export const staleRetry: Variant = (store) => ({
  ...store,
  read: (keys) => store.read(keys, 'replica'),
});

/**
 * No answer counts as "not stored": decided again without finding out, from the checkpoint in memory, at whatever
 * revision the shard record has by then.
 */
export const unknownIsFailure: Variant = (store, server) => {
  const doubted = new Set<string>();
  const refreshed = (write: StoreWrite): StoreWrite =>
    write.kind === 'put' && doubted.has(write.key)
      ? { ...write, expect: server.latest(write.key)?.sequence ?? 0 }
      : write;
  return {
    ...store,
    async commit(writes) {
      if (!isCommit(writes)) return store.commit(writes);
      const outcome = await store.commit(writes.map(refreshed));
      if (outcome.kind === 'committed') doubted.clear();
      if (outcome.kind !== 'unknown') return outcome;
      for (const write of writes) if (isShardRecord(write)) doubted.add(write.key);
      const data = writes.find((write) => write.kind === 'put' && !isShardRecord(write));
      return { kind: 'conflict', sequence: data ? (server.latest(data.key)?.sequence ?? 0) : 0 };
    },
  };
};

/** No answer counts as "stored". */
export const unknownIsSuccess: Variant = (store, server) => ({
  ...store,
  async commit(writes) {
    const outcome = await store.commit(writes);
    if (outcome.kind !== 'unknown' || !isCommit(writes)) return outcome;
    const revisions = writes.map(
      (write, index) => server.latest(write.key)?.sequence ?? server.lastSequence + index,
    );
    return { kind: 'committed', revisions };
  },
});

/** No answer to a plain write counts as "stored". */
export const unknownPlainIsSuccess: Variant = (store, server) => ({
  ...store,
  async commit(writes) {
    const outcome = await store.commit(writes);
    const isPlain = writes.length === 1 && !isShardRecord(writes[0]!);
    if (outcome.kind !== 'unknown' || !isPlain) return outcome;
    return { kind: 'committed', revisions: [server.latest(writes[0]!.key)?.sequence ?? 0] };
  },
});

/** Shards are believed to be owned as they were written last, whatever has become of them. */
export const unprovenOwnership: Variant = (store) => {
  const written = new Map<string, Uint8Array>();
  return {
    ...store,
    async read(keys, from) {
      const found = await store.read(keys, from);
      if (from === 'leader') return found;
      return new Map(
        [...found].map(([key, record]) => [key, { ...record, value: written.get(key) ?? record.value }]),
      );
    },
    async commit(writes) {
      const outcome = await store.commit(writes);
      if (outcome.kind === 'committed')
        for (const write of writes)
          if (write.kind === 'put' && isShardRecord(write)) written.set(write.key, write.value);
      return outcome;
    },
  };
};

/** Revisions of a batch whose acknowledgement was not seen are computed as if nothing stood between its messages. */
export const computedRevisions: Variant = (store, server) => {
  let doubted = '';
  return {
    ...store,
    async commit(writes) {
      const outcome = await store.commit(writes);
      const commitId = commitIdOf(writes);
      if (outcome.kind === 'unknown') doubted = commitId;
      if (outcome.kind !== 'conflict' || doubted !== commitId || commitId === '') return outcome;
      return asCommitted(server, writes, commitId) ?? outcome;
    },
  };
};

function commitIdOf(writes: readonly StoreWrite[]): string {
  for (const write of writes)
    if (isShardRecord(write) && 'value' in write) return decodeShardRecord(write.value).commitId;
  return '';
}

function asCommitted(
  server: SimStore,
  writes: readonly StoreWrite[],
  commitId: string,
): CommitOutcome | undefined {
  const index = writes.findIndex(isShardRecord);
  const stored = server.latest(writes[index]!.key);
  if (!stored?.value || decodeShardRecord(stored.value).commitId !== commitId) return undefined;
  return { kind: 'committed', revisions: writes.map((_, at) => stored.sequence - index + at) };
}
