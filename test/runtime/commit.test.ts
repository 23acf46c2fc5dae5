// Rule 4 of the commit: the same writes again until there is a definite answer, and what each answer means.
import { beforeEach, describe, expect, it } from 'vitest';
import { type CommitDeps, type Commitment, settleCommit } from '../../actors/runtime/commit.ts';
import { encodeShardRecord, type ShardRecord } from '../../shared/contract/shard-record.ts';
import { seededRandom } from '../../shared/kernel/random.ts';
import type { CommitOutcome, StoreWrite } from '../../shared/ports/record-store.ts';
import { countOf, FakeStore, JumpClock, recordingTelemetry, shardRecord } from './fakes.ts';

const SIGNAL = new AbortController().signal;
const UNKNOWN: CommitOutcome = { kind: 'unknown', reason: 'no answer' };
let store: FakeStore;
let clock: JumpClock;
let recording: ReturnType<typeof recordingTelemetry>;
let deps: CommitDeps;

beforeEach(() => {
  store = new FakeStore();
  clock = new JumpClock();
  recording = recordingTelemetry();
  const { telemetry } = recording;
  deps = { store, clock, random: seededRandom(1), telemetry, workerId: 'me', backoffMaxMs: 100 };
});

/** A commitment that moves the checkpoint of shards 3 and 4, owned by `me`, and writes p.a. */
function commitment(): Commitment {
  const shards = new Map<number, ShardRecord>();
  const writes: StoreWrite[] = [put('p.a', Buffer.from('{}'), store.record('p.a').revision)];
  for (const shard of [3, 4]) {
    const expect = store.putShard(shard, { owner: 'me', epoch: 2, seq: 10 });
    const moved = { ...shardRecord(), owner: 'me', epoch: 2, seq: 11, commitId: 'me.1' };
    shards.set(shard, moved);
    writes.push(put(`s.${shard}`, encodeShardRecord(moved), expect));
  }
  return { commitId: 'me.1', writes, shards };
}

function put(key: string, value: Uint8Array, expect: number): StoreWrite {
  return { kind: 'put', key, value, expect };
}

describe('a commit', () => {
  it('that is acknowledged comes with its revisions', async () => {
    const result = await settleCommit(deps, commitment(), SIGNAL);
    expect(result).toEqual({ kind: 'committed', revisions: [3, 4, 5] });
  });

  it('that finds a record changed names it', async () => {
    const plan = commitment();
    store.put('p.a', { seen: [] });
    expect(await settleCommit(deps, plan, SIGNAL)).toEqual({ kind: 'conflict', key: 'p.a' });
    expect(store.shard(3)?.seq).toBe(10);
  });

  it('that finds a shard in other hands is fenced there, and only there', async () => {
    const plan = commitment();
    store.putShard(4, { owner: 'other', epoch: 3 });
    expect(await settleCommit(deps, plan, SIGNAL)).toEqual({ kind: 'fenced', shards: [4] });
  });

  it('whose shard was released and claimed again by the same worker is fenced', async () => {
    const plan = commitment();
    store.putShard(3, { owner: 'me', epoch: 4 });
    expect(await settleCommit(deps, plan, SIGNAL)).toEqual({ kind: 'fenced', shards: [3] });
  });

  it('that conflicts without a number, or with one that is gone, looks for a lost shard first', async () => {
    for (const sequence of [0, 9999]) {
      const plan = commitment();
      store.next.push(() => ({ kind: 'conflict', sequence }));
      expect(await settleCommit(deps, plan, SIGNAL)).toEqual({ kind: 'conflict', key: undefined });
      store.putShard(3, { owner: 'other', epoch: 3 });
      store.next.push(() => ({ kind: 'conflict', sequence }));
      expect(await settleCommit(deps, plan, SIGNAL)).toEqual({ kind: 'fenced', shards: [3] });
    }
  });

  it('sends the same writes again while the store is busy, refuses, or does not answer', async () => {
    const plan = commitment();
    store.next.push(
      () => ({ kind: 'busy', reason: 'too many open batches' }),
      () => ({ kind: 'refused', code: 'full', reason: 'no room' }),
      () => UNKNOWN,
    );
    expect(await settleCommit(deps, plan, SIGNAL)).toMatchObject({ kind: 'committed' });
    expect(store.commits).toHaveLength(4);
    for (const writes of store.commits) expect(writes).toBe(plan.writes);
    expect(clock.slept).toHaveLength(3);
    expect(countOf(recording.told, 'busy')).toBe(1);
    expect(countOf(recording.told, 'refused')).toBe(1);
    expect(recording.told).toContainEqual({ name: 'resolved', detail: ['committed', expect.any(String)] });
  });
});

describe('a commit without an answer', () => {
  it('that was stored is recognised by its commit id, without revisions', async () => {
    const plan = commitment();
    store.next.push((_writes, apply) => {
      apply();
      return UNKNOWN;
    });
    expect(await settleCommit(deps, plan, SIGNAL)).toEqual({ kind: 'committed', revisions: undefined });
    expect(store.reads.every(({ from }) => from === 'leader')).toBe(true);
  });

  it('that was stored is recognised even after one of its shards was taken over', async () => {
    const plan = commitment();
    store.next.push((_writes, apply) => {
      apply();
      store.putShard(3, { owner: 'other', epoch: 3 });
      return UNKNOWN;
    });
    expect(await settleCommit(deps, plan, SIGNAL)).toEqual({ kind: 'committed', revisions: undefined });
  });

  it('that was not stored and is fenced by the time of the resend is fenced', async () => {
    const plan = commitment();
    store.next.push(() => {
      store.putShard(3, { owner: 'other', epoch: 3 });
      return UNKNOWN;
    });
    expect(await settleCommit(deps, plan, SIGNAL)).toEqual({ kind: 'fenced', shards: [3] });
    expect(recording.told).toContainEqual({ name: 'resolved', detail: ['fenced', expect.any(String)] });
  });

  it('that was not stored and meets a changed record is a conflict on it', async () => {
    const plan = commitment();
    store.next.push(() => {
      store.put('p.a', { seen: [] });
      return UNKNOWN;
    });
    expect(await settleCommit(deps, plan, SIGNAL)).toEqual({ kind: 'conflict', key: 'p.a' });
    expect(recording.told).toContainEqual({
      name: 'resolved',
      detail: ['not_committed', expect.any(String)],
    });
  });

  it('is asked about until the leader answers', async () => {
    const plan = commitment();
    store.next.push((_writes, apply) => {
      apply();
      store.readsToFail = 3;
      return UNKNOWN;
    });
    expect(await settleCommit(deps, plan, SIGNAL)).toEqual({ kind: 'committed', revisions: undefined });
  });

  it('ends only by the hard stop', async () => {
    const stop = new AbortController();
    const plan = commitment();
    for (let i = 0; i < 5; i++) store.next.push(() => UNKNOWN);
    store.next.push(() => {
      stop.abort(new Error('stop deadline'));
      return UNKNOWN;
    });
    await expect(settleCommit(deps, plan, stop.signal)).rejects.toThrow('stop deadline');
    expect(store.commits).toHaveLength(6);
  });
});
