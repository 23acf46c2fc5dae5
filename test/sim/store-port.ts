// The record store as one process sees it, with everything that can go wrong between it and the server.
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type {
  CommitOutcome,
  RecordStore,
  StoredRecord,
  StoreWrite,
} from '../../shared/ports/record-store.ts';
import type { SimProcess } from './process.ts';
import type { SimStore } from './store.ts';
import type { World } from './world.ts';

const READ_TIMEOUT_MS = 800;
const COMMIT_TIMEOUT_MS = 1500;
const DELAYED_COMMIT_MAX_MS = 6000;
/** How far back, in messages, a replica may lag. */
const REPLICA_LAG_MAX = 60;

export function simRecordStore(store: SimStore, process: SimProcess): RecordStore {
  return {
    read: (keys, from) => read(store, process, keys, from),
    keyAt: (sequence) =>
      process.call<string | undefined>({
        label: `store.keyAt ${sequence}`,
        timeoutMs: READ_TIMEOUT_MS,
        onTimeout: unavailable,
        serve: (reply) => {
          if (store.world.chance(store.world.faults.readFails)) return;
          reply(store.keyAt(sequence));
        },
      }),
    commit: (writes) => commit(store, process, writes),
  };
}

function unavailable(): StitchworkError {
  return new StitchworkError('STORE_UNAVAILABLE', 'simulated: no reply from the store');
}

function read(
  store: SimStore,
  process: SimProcess,
  keys: readonly string[],
  from: 'replica' | 'leader',
): Promise<ReadonlyMap<string, StoredRecord>> {
  const { world } = store;
  return process.call<ReadonlyMap<string, StoredRecord>>({
    label: `store.read ${from} ${keys.join(' ')}`,
    timeoutMs: READ_TIMEOUT_MS,
    onTimeout: unavailable,
    serve: (reply) => {
      if (world.chance(world.faults.readFails)) {
        world.mark('store.read failed');
        if (world.chance(0.5)) reply(unavailable());
        return;
      }
      reply(from === 'leader' ? newest(store, keys) : replica(store, keys));
    },
  });
}

export function newest(store: SimStore, keys: readonly string[]): ReadonlyMap<string, StoredRecord> {
  return new Map(keys.map((key) => [key, store.record(key)]));
}

/** All keys as one replica has them at one moment: one direct get looks all of them up under one lock. */
export function replica(store: SimStore, keys: readonly string[]): ReadonlyMap<string, StoredRecord> {
  const { world } = store;
  const lag = world.chance(world.faults.staleRead) ? world.between(1, REPLICA_LAG_MAX) : 0;
  const records = new Map<string, StoredRecord>();
  for (const key of keys) {
    const record = store.record(key, store.lastSequence - lag);
    if (record.revision !== store.record(key).revision) world.mark('store.stale read');
    records.set(key, record);
  }
  return records;
}

function commit(store: SimStore, process: SimProcess, writes: readonly StoreWrite[]): Promise<CommitOutcome> {
  const sent = process.reachesServer && process.state !== 'crashed';
  const copy = [...writes];
  const arrive = sent ? store.underWay(process.name, copy) : () => {};
  return process.call<CommitOutcome>({
    label: `store.commit ${copy.length} ${copy[0]?.key ?? ''}`,
    timeoutMs: store.world.chance(0.5) ? COMMIT_TIMEOUT_MS : COMMIT_TIMEOUT_MS / 10,
    onTimeout: () => ({ kind: 'unknown', reason: 'simulated: no reply' }),
    serve: (reply) => {
      arrive();
      const outcome = serveCommit(store, process, copy);
      if (outcome) reply(outcome);
    },
  });
}

/** What the client hears of a commit that arrived: undefined when nothing. */
function serveCommit(
  store: SimStore,
  process: SimProcess,
  writes: readonly StoreWrite[],
): CommitOutcome | undefined {
  const { world } = store;
  const { faults } = world;
  if (writes.length > 1000) return { kind: 'refused', code: '10199', reason: 'batch too large' };
  if (happens(world, faults.commitBusy, 'store.busy')) return { kind: 'busy', reason: 'simulated: too many' };
  if (happens(world, faults.commitRefused, 'store.refused')) {
    return { kind: 'refused', code: '10077', reason: 'simulated: maximum bytes exceeded' };
  }
  if (happens(world, faults.commitLost, 'store.commit lost')) return undefined;
  if (writes.length > 1 && happens(world, faults.commitAbandoned, 'store.half a batch abandoned')) {
    return world.chance(0.5) ? { kind: 'busy', reason: 'simulated: batch incomplete' } : undefined;
  }
  if (world.chance(faults.commitDelayed)) {
    applyLater(store, process, writes);
    return undefined;
  }
  const outcome = applyNow(store, process, writes, faults.conflictUnnamed);
  const lost = outcome.kind === 'committed' && happens(world, faults.commitReplyLost, 'store.reply lost');
  return lost ? undefined : outcome;
}

function happens(world: World, probability: number, branch: string): boolean {
  if (!world.chance(probability)) return false;
  world.mark(branch);
  return true;
}

function applyLater(store: SimStore, process: SimProcess, writes: readonly StoreWrite[]): void {
  const { world } = store;
  world.after(
    world.between(1, DELAYED_COMMIT_MAX_MS),
    `store: delayed commit of ${process.name}`,
    () => {
      const applied = store.apply(process.name, writes, world.chance(0.5));
      world.mark(applied.kind === 'applied' ? 'store.delayed commit applied' : 'store.delayed commit void');
    },
    false,
  );
}

function applyNow(
  store: SimStore,
  process: SimProcess,
  writes: readonly StoreWrite[],
  unnamed: number,
): CommitOutcome {
  const applied = store.apply(process.name, writes);
  if (applied.kind === 'applied') return { kind: 'committed', revisions: applied.revisions };
  const hidden = store.world.chance(unnamed);
  if (hidden) store.world.mark('store.unnamed conflict');
  return { kind: 'conflict', sequence: hidden ? 0 : applied.sequence };
}
