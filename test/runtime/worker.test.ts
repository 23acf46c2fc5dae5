// The whole worker over ports in memory: what it does with shards, readers, faults of the log, and at its end.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { WorkerOptions } from '../../actors/runtime/options.ts';
import { preferredOwner } from '../../actors/runtime/rendezvous.ts';
import { createWorker, type Worker } from '../../actors/runtime/worker.ts';
import { systemClock } from '../../shared/kernel/clock.ts';
import { seededRandom } from '../../shared/kernel/random.ts';
import { countOf, FakeLog, FakeMembership, FakeStore, recordingTelemetry, reportOf } from './fakes.ts';
import { keyOf, noteActor } from './note-actor.ts';

const SHARDS = 4;
let store: FakeStore;
let log: FakeLog;
let membership: FakeMembership;
let recording: ReturnType<typeof recordingTelemetry>;
let workers: Worker[];

beforeEach(() => {
  store = new FakeStore();
  log = new FakeLog();
  membership = new FakeMembership();
  recording = recordingTelemetry();
  workers = [];
});

afterEach(async () => {
  await Promise.all(workers.map((worker) => worker.stop()));
});

function workerOf(options: Partial<WorkerOptions> = {}): Worker {
  const worker = createWorker(
    {
      store,
      log,
      membership,
      clock: systemClock,
      random: seededRandom(1),
      telemetry: recording.telemetry,
      replies: { send: () => {} },
      actor: noteActor(),
    },
    {
      segment: 's',
      workerId: 'me',
      shards: SHARDS,
      ownershipIntervalMs: 5,
      membersIntervalMs: 5,
      haltedRetryMs: 30,
      ...options,
    },
  );
  workers.push(worker);
  return worker;
}

const seen = (name: string) => (store.json(keyOf(name)) as { seen: number[] } | null)?.seen;
const owned = (worker: Worker) => [...worker.report().shards].sort();
const eventually = (check: () => void) => vi.waitFor(check, { timeout: 10_000, interval: 5 });

async function started(options: Partial<WorkerOptions> = {}): Promise<Worker> {
  const worker = workerOf(options);
  await worker.start();
  await eventually(() => expect(log.readers.size).toBe(SHARDS));
  return worker;
}

describe('a worker', () => {
  it('claims every shard when alone and applies what comes, each shard in order', async () => {
    log.append(0, { touch: ['a'] });
    const worker = await started();
    log.append(1, { touch: ['b'] });
    log.append(0, { touch: ['a'] });
    await eventually(() => expect(seen('a')).toEqual([1, 3]));
    expect(seen('b')).toEqual([2]);
    expect(owned(worker)).toEqual([0, 1, 2, 3]);
    expect(worker.report().lag[0]).toBe(0);
  });

  it('takes up a shard behind its checkpoint', async () => {
    log.append(0, { touch: ['a'] });
    log.append(0, { touch: ['a'] });
    store.putShard(0, { seq: 1 });
    await started();
    await eventually(() => expect(seen('a')).toEqual([2]));
  });

  it('gives a shard to the member that should have it, after the commit in flight', async () => {
    const worker = await started();
    membership.answers.set('other', { kind: 'alive', report: reportOf('other', []) });
    await eventually(() => expect(countOf(recording.told, 'released')).toBeGreaterThan(0));
    const free = [0, 1, 2, 3].filter((shard) => store.shard(shard)?.owner === null);
    expect(free.length).toBeGreaterThan(0);
    for (const shard of free) expect(owned(worker)).not.toContain(shard);
    for (const shard of free) expect(log.readers.get(shard)?.closed).toBe(true);
  });

  it('that is fenced drops the shard and goes on with the others', async () => {
    const worker = await started();
    membership.answers.set('other', { kind: 'alive', report: reportOf('other', [2]) });
    store.putShard(2, { owner: 'other', epoch: 9 });
    log.append(2, { touch: ['a'] });
    log.append(owned(worker).find((shard) => shard !== 2)!, { touch: ['b'] });
    await eventually(() => expect(recording.told).toContainEqual({ name: 'fenced', detail: 2 }));
    await eventually(() => expect(seen('b')).toEqual([2]));
    expect(seen('a')).toBeUndefined();
    expect(owned(worker)).not.toContain(2);
  });

  it('releases every shard when it stops, and leaves', async () => {
    const worker = await started();
    log.append(1, { touch: ['a'] });
    await eventually(() => expect(seen('a')).toEqual([1]));
    await worker.stop();
    for (let shard = 0; shard < SHARDS; shard++) expect(store.shard(shard)?.owner).toBeNull();
    expect(store.shard(1)?.seq).toBe(1);
    expect(membership.joined).toBeUndefined();
    for (const reader of log.readers.values()) expect(reader.closed).toBe(true);
  });

  it('stops within its deadline when the store gives no answer', async () => {
    const worker = await started({ stopDeadlineMs: 100 });
    for (let i = 0; i < 10_000; i++) store.next.push(() => ({ kind: 'unknown', reason: 'no answer' }));
    log.append(0, { touch: ['a'] });
    await eventually(() => expect(countOf(recording.told, 'unknownOutcome')).toBeGreaterThan(0));
    await worker.stop();
    expect(store.shard(0)?.owner).toBe('me');
  });

  it('keeps its cached records within the bound', async () => {
    await started({ residentBytesMax: 5 * 400 });
    for (let i = 0; i < 60; i++) log.append(i % SHARDS, { touch: [`n${i}`] });
    await eventually(() => expect(seen('n59')).toEqual([60]));
    const { detail } = recording.told.findLast(({ name }) => name === 'residents')!;
    expect((detail as { bytes: number }).bytes).toBeLessThanOrEqual(5 * 400);
  });

  it('tells when it breaks', async () => {
    const worker = await started();
    store.commit = async () => {
      throw new Error('a bug in the store');
    };
    log.append(0, { touch: ['a'] });
    expect(String(await worker.failed)).toContain('a bug in the store');
  });
});

describe('a shard whose log is not sound', () => {
  it('stands still with an alarm while the others go on', async () => {
    store.putShard(1, { streamCreated: 'log-0' });
    const worker = workerOf();
    await worker.start();
    log.append(0, { touch: ['a'] });
    log.append(1, { touch: ['b'] });
    await eventually(() => expect(seen('a')).toEqual([1]));
    await eventually(() =>
      expect(worker.report().halted).toEqual([
        { shard: 1, code: 'LOG_REPLACED', reason: expect.stringContaining('log-0') },
      ]),
    );
    expect(seen('b')).toBeUndefined();
    expect(owned(worker)).toEqual([0, 2, 3]);
  });

  it('tells its alarm once, and is looked at again until the log is sound', async () => {
    store.putShard(1, { seq: 2 });
    const worker = workerOf();
    await worker.start();
    await eventually(() => expect(worker.report().halted).toHaveLength(1));
    const looks = () => store.reads.filter(({ keys }) => keys.includes('s.1')).length;
    const before = looks();
    await eventually(() => expect(looks()).toBeGreaterThan(before + 2));
    expect(countOf(recording.told, 'halted')).toBe(1);
    log.append(1, { touch: ['b'] });
    log.append(1, { touch: ['b'] });
    log.append(1, { touch: ['b'] });
    await eventually(() => expect(seen('b')).toEqual([3]));
    expect(worker.report().halted).toEqual([]);
  });

  it('found while reading is halted with the reason', async () => {
    const worker = await started();
    log.append(3, { touch: ['a'] });
    await eventually(() => expect(seen('a')).toEqual([1]));
    log.createdAt = 'log-2';
    log.readers.get(3)?.fail('LOG_REPLACED');
    await eventually(() =>
      expect(worker.report().halted).toEqual([
        { shard: 3, code: 'LOG_REPLACED', reason: expect.stringContaining('log-2') },
      ]),
    );
    expect(owned(worker)).toEqual([0, 1, 2]);
  });
});

describe('idle shards', () => {
  it('move their checkpoint to the end of the log', async () => {
    await started({ idleCheckpointMs: 20 });
    for (let i = 0; i < 5; i++) log.append(0, { touch: ['a'] });
    await eventually(() => {
      for (let shard = 0; shard < SHARDS; shard++) expect(store.shard(shard)?.seq).toBe(5);
    });
    expect(seen('a')).toEqual([1, 2, 3, 4, 5]);
    log.append(2, { touch: ['b'] });
    await eventually(() => expect(seen('b')).toEqual([6]));
  });

  it('are fenced there too', async () => {
    const theirs = [0, 1, 2, 3].find((shard) => preferredOwner(shard, ['me', 'other']) === 'other')!;
    const mine = [0, 1, 2, 3].find((shard) => preferredOwner(shard, ['me', 'other']) === 'me')!;
    await started({ idleCheckpointMs: 20, membersIntervalMs: 60_000 });
    membership.answers.set('other', { kind: 'alive', report: reportOf('other', [theirs]) });
    const claims = countOf(recording.told, 'claimed');
    store.putShard(theirs, { owner: 'other', epoch: 9 });
    log.append(mine, { touch: ['a'] });
    await eventually(() => expect(recording.told).toContainEqual({ name: 'fenced', detail: theirs }));
    const moved = store.commits.filter((writes) => writes.some(({ key }) => key === `s.${theirs}`));
    expect(moved.length).toBeGreaterThan(claims / SHARDS);
    await eventually(() => expect(store.shard(mine)?.seq).toBe(1));
  });

  it('that lag are left alone', async () => {
    const worker = await started({ idleCheckpointMs: 20 });
    const reader = log.readers.get(1)!;
    Object.defineProperty(reader, 'buffered', { get: () => 0 });
    log.append(1, { touch: ['late'] });
    log.append(0, { touch: ['a'] });
    await eventually(() => expect(store.shard(3)?.seq).toBe(2));
    expect(store.shard(1)?.seq).toBe(0);
    expect(owned(worker)).toContain(1);
  });
});
