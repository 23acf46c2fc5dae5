// Plain commits: what may go without its checkpoint, what happens when a record has changed, and how the checkpoints follow.
import { beforeEach, describe, expect, it } from 'vitest';
import { Pipeline, type PipelineDeps } from '../../actors/runtime/pipeline.ts';
import { decodeOrMark, Residents } from '../../actors/runtime/residents.ts';
import { type OwnedShard, workOf } from '../../actors/runtime/shard.ts';
import { seededRandom } from '../../shared/kernel/random.ts';
import { countOf, FakeLog, FakeStore, JumpClock, recordingTelemetry } from './fakes.ts';
import { keyOf, type Note, noteActor } from './note-actor.ts';

const SIGNAL = new AbortController().signal;
const actor = noteActor();
let store: FakeStore;
let log: FakeLog;
let clock: JumpClock;
let shards: Map<number, OwnedShard>;
let lost: number[];
let sent: string[];
let recording: ReturnType<typeof recordingTelemetry>;
let pipeline: Pipeline;

beforeEach(() => {
  store = new FakeStore();
  log = new FakeLog();
  clock = new JumpClock();
  clock.ms = 501_000;
  shards = new Map();
  lost = [];
  sent = [];
  recording = recordingTelemetry();
  for (let shard = 0; shard < 2; shard++) own(shard);
  const deps: PipelineDeps = {
    store,
    residents: new Residents(1e9, (key, bytes) => decodeOrMark(actor, key, bytes)),
    clock,
    random: seededRandom(1),
    telemetry: recording.telemetry,
    workerId: 'me',
    backoffMaxMs: 100,
    shards,
    actor: () => actor,
    refreshActor: async () => {},
    lose: (shard) => {
      shards.delete(shard);
      lost.push(shard);
    },
    settleDoubts: async () => {},
    inDoubt: () => false,
    noGaps: async () => {},
    onSettled: () => {},
    replies: { send: ({ to }) => sent.push(to) },
    pace: { cut: 1000, max: 1000 },
  };
  pipeline = new Pipeline(deps, SIGNAL);
});

function own(shard: number): void {
  const revision = store.putShard(shard, { owner: 'me', epoch: 1 });
  shards.set(shard, {
    shard,
    record: store.shard(shard)!,
    revision,
    applied: undefined,
    provenAt: 0,
    reader: log.open(shard, 0, () => {}),
    releasing: false,
    lastCommitAtMs: 0,
    checkedAtMs: 0,
    recognised: 1,
  });
}

/** Appends the notes and applies them in one run. */
async function apply(...notes: readonly (Note & { shard?: number })[]): Promise<void> {
  const messages = notes.map(({ shard = 0, ...note }) => log.append(shard, note));
  pipeline.add(messages.map((message) => workOf(message, shards.get(message.shard)!)));
  await drain();
}

async function drain(): Promise<void> {
  while (!pipeline.isEmpty) if (!(await pipeline.advance())) await pipeline.land();
}

const touch = (name: string, more: Note & { shard?: number } = {}) =>
  ({ touch: [name], stampable: true, ...more }) as const;
const state = (name: string) => store.json(keyOf(name)) as { seen: number[]; stamps?: string[] };
const commits = () => store.commits.map((writes) => writes.map(({ key }) => key).join(' '));

describe('a plain commit', () => {
  beforeEach(async () => {
    for (const name of ['a', 'b']) store.put(keyOf(name), { seen: [], bytes: 0 });
  });

  it('writes each record for itself, stamped, and no checkpoint', async () => {
    await apply(touch('a', { reply: 'r1' }), touch('b', { shard: 1 }), touch('a'));
    expect(commits().sort()).toEqual(['p.a', 'p.b']);
    expect(state('a')).toMatchObject({ seen: [1, 3], stamps: ['0.1', '0.3'] });
    expect(store.shard(0)?.seq).toBe(0);
    expect(sent).toEqual(['r1']);
    expect(recording.told.filter(({ name }) => name === 'committed')).toHaveLength(1);
  });

  it('is none when a message does more, makes its record, or cannot be stamped', async () => {
    await apply(touch('a', { send: 1 }));
    await apply(touch('new'));
    await apply({ touch: ['a', 'b'], stampable: true });
    await apply({ touch: ['a'] });
    expect(commits().every((keys) => keys.includes('s.0'))).toBe(true);
  });

  it('is none for more records than a batch is cheaper for', async () => {
    const names = Array.from({ length: 17 }, (_, index) => `n${index}`);
    for (const name of names) store.put(keyOf(name), { seen: [], bytes: 0 });
    await apply(...names.map((name) => touch(name)));
    expect(store.commits.map((writes) => writes.length)).toEqual([18]);
  });

  it('is none when the record has no room for stamps', async () => {
    await apply(...Array.from({ length: 5 }, () => touch('a')));
    expect(commits()).toEqual(['p.a s.0']);
  });

  it('is none over a record that was loaded when the shard was not proven to be ours', async () => {
    store.stale.set('s.0', { key: 's.0', value: null, revision: 0 });
    await apply(touch('a'));
    expect(commits()).toEqual(['p.a s.0']);
    // The batch has proven it, for what was loaded before it.
    await apply(touch('a'));
    expect(commits()).toEqual(['p.a s.0', 'p.a']);
  });

  it('decides again what its record has changed under, and what stood behind it in the shard', async () => {
    store.next.push((_writes, applyNow) => {
      store.put(keyOf('a'), { seen: [77], bytes: 0 });
      return applyNow();
    });
    await apply(
      touch('a', { reply: 'r1' }),
      touch('b', { reply: 'r2' }),
      touch('b', { shard: 1, reply: 'r3' }),
    );
    expect(state('a').seen).toEqual([77, 1]);
    expect(state('b').seen).toEqual([2, 3]);
    expect([...sent].sort()).toEqual(['r1', 'r2', 'r3']);
    expect(store.shard(0)?.seq).toBe(2);
    expect(countOf(recording.told, 'conflict')).toBeGreaterThan(0);
  });

  it('is sent again when there is no answer, and recognised when it had been stored', async () => {
    store.next.push((_writes, applyNow) => {
      applyNow();
      return { kind: 'unknown', reason: 'lost' };
    });
    await apply(touch('a', { reply: 'r1' }));
    expect(state('a').seen).toEqual([1]);
    expect(store.shard(0)?.seq).toBe(1);
    expect(recording.told.find(({ name }) => name === 'resolved')?.detail).toEqual([
      'redone',
      expect.anything(),
    ]);
  });

  it('gives up a shard that another worker has taken over', async () => {
    store.next.push((_writes, applyNow) => {
      store.putShard(0, { owner: 'other', epoch: 2 });
      store.put(keyOf('a'), { seen: [77], bytes: 0 });
      return applyNow();
    });
    await apply(touch('a'));
    expect(lost).toEqual([0]);
    expect(state('a').seen).toEqual([77]);
  });
});

describe('the checkpoints behind plain commits', () => {
  beforeEach(() => {
    store.put(keyOf('a'), { seen: [], bytes: 0 });
  });

  it('follow together after a while, and the stamps go with the next plain commit', async () => {
    await apply(touch('a'), touch('a', { shard: 1 }));
    expect(pipeline.settleDueMs).toBeGreaterThan(clock.ms);
    clock.ms = pipeline.settleDueMs!;
    await pipeline.advance();
    await drain();
    expect(commits().at(-1)).toBe('s.0 s.1');
    expect([store.shard(0)?.seq, store.shard(1)?.seq]).toEqual([1, 2]);
    expect(pipeline.settleDueMs).toBeUndefined();
    await apply(touch('a'));
    expect(state('a').stamps).toEqual(['0.3']);
  });

  it('are tried again when one of them is fenced', async () => {
    await apply(touch('a'), touch('a', { shard: 1 }));
    store.putShard(0, { owner: 'other', epoch: 2 });
    clock.ms = pipeline.settleDueMs!;
    await pipeline.advance();
    await drain();
    expect(lost).toEqual([0]);
    clock.ms = pipeline.settleDueMs!;
    await pipeline.advance();
    await drain();
    expect(store.shard(1)?.seq).toBe(2);
  });

  it('go with a batch of the same shard', async () => {
    await apply(touch('a'));
    await apply(touch('new'));
    expect(store.shard(0)?.seq).toBe(2);
  });
});

describe('what decisions are counted as', () => {
  const counted = () =>
    recording.told
      .filter(({ name }) => name === 'counted')
      .flatMap(({ detail }) => (detail as { kind: string }[]).map(({ kind }) => kind));
  const conflictOnce = () =>
    store.next.push((_writes, applyNow) => {
      store.put(keyOf('a'), { seen: [77], bytes: 0 });
      return applyNow();
    });

  beforeEach(() => {
    for (const name of ['a', 'b']) store.put(keyOf(name), { seen: [], bytes: 0 });
  });

  it('is told once a commit, of a batch that was decided again too', async () => {
    conflictOnce();
    await apply(touch('a', { send: 1, count: 'x' }), touch('b', { send: 1, count: 'y' }));
    expect(countOf(recording.told, 'conflict')).toBe(1);
    expect(counted()).toEqual(['x', 'y']);
  });

  it('is told when the answer is lost and the batch was stored', async () => {
    store.next.push((_writes, applyNow) => {
      applyNow();
      return { kind: 'unknown', reason: 'lost' };
    });
    await apply(touch('a', { send: 1, count: 'x' }));
    expect(counted()).toEqual(['x']);
  });

  it('is told once of plain commits, also of what stood behind one that failed', async () => {
    conflictOnce();
    await apply(touch('a', { count: 'x' }), touch('b', { count: 'y' }), touch('b', { shard: 1, count: 'z' }));
    expect(commits().every((keys) => keys === 'p.a' || keys === 'p.b')).toBe(false);
    expect(counted().sort()).toEqual(['x', 'y', 'z']);
    expect(state('b').seen).toEqual([2, 3]);
  });

  it('is not told of what was not committed', async () => {
    store.next.push((_writes, applyNow) => {
      store.putShard(0, { owner: 'other', epoch: 2 });
      return applyNow();
    });
    await apply(touch('a', { send: 1, count: 'x' }));
    expect(lost).toEqual([0]);
    expect(counted()).toEqual([]);
  });
});
