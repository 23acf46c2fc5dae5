// One run of messages to its end, whatever the store answers: rules 2, 3, 4, 5 and 6 of the commit.
import { beforeEach, describe, expect, it } from 'vitest';
import { Pipeline, type PipelineDeps } from '../../actors/runtime/pipeline.ts';
import { decodeOrMark, Residents } from '../../actors/runtime/residents.ts';
import { type OwnedShard, workOf } from '../../actors/runtime/shard.ts';
import type { Actor } from '../../shared/contract/actor.ts';
import { seededRandom } from '../../shared/kernel/random.ts';
import { COMMIT_MESSAGES_MAX, RECORD_BYTES_MAX } from '../../shared/ports/record-store.ts';
import { countOf, FakeLog, FakeStore, JumpClock, recordingTelemetry } from './fakes.ts';
import { keyOf, type Note, noteActor } from './note-actor.ts';

const SIGNAL = new AbortController().signal;
const SHARDS = 4;
let store: FakeStore;
let log: FakeLog;
let clock: JumpClock;
let residents: Residents;
let shards: Map<number, OwnedShard>;
let lost: number[];
let sent: string[];
let actor: Actor;
let recording: ReturnType<typeof recordingTelemetry>;
let deps: PipelineDeps;

let refreshActor: () => Promise<void>;
beforeEach(() => {
  refreshActor = async () => {};
  store = new FakeStore();
  log = new FakeLog();
  clock = new JumpClock();
  residents = new Residents(1e9, (key, bytes) => decodeOrMark(actor, key, bytes));
  shards = new Map();
  lost = [];
  sent = [];
  actor = noteActor();
  recording = recordingTelemetry();
  for (let shard = 0; shard < SHARDS; shard++) own(shard);
  deps = {
    store,
    residents,
    clock,
    random: seededRandom(1),
    telemetry: recording.telemetry,
    workerId: 'me',
    backoffMaxMs: 100,
    shards,
    actor: () => actor,
    refreshActor: () => refreshActor(),
    lose: (shard) => {
      shards.delete(shard);
      lost.push(shard);
    },
    settleDoubts: async () => {},
    inDoubt: () => false,
    noGaps: async () => {},
    onSettled: () => {},
    replies: { send: ({ to, body }) => sent.push(`${to} ${Buffer.from(body)}`) },
    pace: { cut: 1000, max: 1000 },
  };
});

function own(shard: number): void {
  const revision = store.putShard(shard, { owner: 'me', epoch: 1 });
  const record = store.shard(shard)!;
  const reader = log.open(shard, 0, () => {});
  shards.set(shard, {
    shard,
    record,
    revision,
    applied: undefined,
    provenAt: 0,
    reader,
    releasing: false,
    lastCommitAtMs: 0,
    checkedAtMs: 0,
    recognised: 1,
  });
}

/** Appends the notes, alternating over the shards unless said otherwise, and applies them in one run. */
async function apply(notes: readonly (Note & { shard?: number })[]): Promise<number[]> {
  const messages = notes.map(({ shard = 0, ...note }) => log.append(shard, note));
  const works = messages.map((message) => workOf(message, shards.get(message.shard)!));
  const pipeline = new Pipeline(deps, SIGNAL);
  pipeline.add(works);
  while (!pipeline.isEmpty) if (!(await pipeline.advance())) await pipeline.land();
  return messages.map(({ sequence }) => sequence);
}

const seen = (name: string) => (store.json(keyOf(name)) as { seen: number[] } | null)?.seen;
const letter = (shard: number, sequence: number) => store.json(`o.dead.${shard}.${sequence}`);
const keysOf = (commit: number) => store.commits[commit]!.map(({ key }) => key);

describe('a run of messages', () => {
  it('is one batch: each record once, the checkpoint of each shard, the outbox', async () => {
    await apply([{ touch: ['a'], send: 1 }, { touch: ['a', 'b'] }, { touch: ['a'], shard: 1 }]);
    expect(store.commits).toHaveLength(1);
    expect(keysOf(0).sort()).toEqual(['o.activation.note.1x0', 'p.a', 'p.b', 's.0', 's.1']);
    expect(seen('a')).toEqual([1, 2, 3]);
    expect(store.shard(0)).toMatchObject({ seq: 2, owner: 'me', epoch: 1 });
    expect(store.shard(1)).toMatchObject({ seq: 3, commitId: store.shard(0)!.commitId });
    expect(shards.get(0)).toMatchObject({ revision: store.record('s.0').revision });
  });

  it('tells of nothing before the store has acknowledged it', async () => {
    let toldBefore: string[] = [];
    store.next.push((_writes, applyNow) => {
      toldBefore = recording.told.map(({ name }) => name);
      return applyNow();
    });
    await apply([{ touch: ['a'] }, { throws: 'decide' }]);
    expect(toldBefore).not.toContain('committed');
    expect(toldBefore).not.toContain('deadLettered');
    expect(countOf(recording.told, 'committed')).toBe(1);
    expect(countOf(recording.told, 'deadLettered')).toBe(1);
  });

  it('answers who waits for a message, once, after it was committed', async () => {
    let sentBefore: string[] = [];
    store.next.push(
      () => ({ kind: 'busy', reason: 'not yet' }),
      (_writes, applyNow) => {
        sentBefore = [...sent];
        return applyNow();
      },
    );
    clock.ms = 501_000;
    await apply([{ touch: ['a'], reply: 'one' }, { throws: 'decide', reply: 'two' }, { touch: ['a'] }]);
    expect(sentBefore).toEqual([]);
    expect(sent).toEqual(['one 1', 'two POISON_MESSAGE']);
  });

  it('that stood in the log for long answers nobody: whoever asked does not wait any more', async () => {
    clock.ms = 511_000;
    await apply([{ touch: ['a'], reply: 'one' }]);
    expect(sent).toEqual([]);
  });

  it('larger than a batch is cut, in order', async () => {
    await apply([{ send: 500 }, { send: 300 }, { send: 200, touch: ['a'] }, { touch: ['a'] }]);
    expect(store.commits).toHaveLength(2);
    for (const writes of store.commits) expect(writes.length).toBeLessThanOrEqual(COMMIT_MESSAGES_MAX);
    expect(store.shard(0)?.seq).toBe(4);
    expect(seen('a')).toEqual([3, 4]);
  });

  it('loads what is missing for many messages in one request', async () => {
    await apply(Array.from({ length: 50 }, (_, index) => ({ touch: [`n${index}`] })));
    expect(store.reads).toHaveLength(1);
    expect(store.reads[0]).toMatchObject({ from: 'replica' });
    expect(store.reads[0]?.keys.filter((key) => key.startsWith('p.'))).toHaveLength(50);
  });
});

describe('a conflict on a data record', () => {
  it('is decided again over what the leader has, and nothing is applied twice or lost', async () => {
    await apply([{ touch: ['a'] }]);
    store.put(keyOf('a'), { seen: [1, 100], bytes: 0 });
    await apply([{ touch: ['b'] }, { touch: ['a'] }, { touch: ['b', 'a'], shard: 1 }]);
    expect(seen('a')).toEqual([1, 100, 3, 4]);
    expect(seen('b')).toEqual([2, 4]);
    expect(store.reads.at(-1)).toEqual({ keys: ['p.a'], from: 'leader' });
    expect(countOf(recording.told, 'conflict')).toBe(1);
  });

  it('found by a stale replica does not go round in circles', async () => {
    store.put(keyOf('a'), { seen: [100], bytes: 0 });
    store.stale.set(keyOf('a'), { key: keyOf('a'), value: null, revision: 0 });
    await apply([{ touch: ['a'] }]);
    expect(seen('a')).toEqual([100, 1]);
    expect(store.commits).toHaveLength(2);
  });

  it('whose record the store does not name makes all records of the batch be read again', async () => {
    await apply([{ touch: ['a', 'b'] }]);
    store.put(keyOf('b'), { seen: [1, 100], bytes: 0 });
    store.next.push(() => ({ kind: 'conflict', sequence: 0 }));
    await apply([{ touch: ['a', 'b'] }]);
    expect(seen('a')).toEqual([1, 2]);
    expect(seen('b')).toEqual([1, 100, 2]);
    expect(lost).toEqual([]);
  });

  it('twice on one record commits what stands before it alone, then the contested message alone, then the rest', async () => {
    let others = 100;
    for (let race = 0; race < 2; race++) {
      store.next.push((_writes, applyNow) => {
        store.put(keyOf('hot'), { seen: [others++], bytes: 0 });
        return applyNow();
      });
    }
    const notes = ['x', 'y', 'hot', 'z', 'hot', 'w'].map((name) => ({ touch: [name] }));
    await apply(notes);
    const after = store.commits.slice(2).map((writes) => writes.map(({ key }) => key));
    expect(after).toEqual([
      ['p.x', 'p.y', 's.0'],
      ['p.hot', 'p.z', 'p.w', 's.0'],
    ]);
    expect(seen('hot')).toEqual([101, 3, 5]);
    expect(store.shard(0)?.seq).toBe(6);
  });

  it('that goes on ends with the contested message alone, after a pause', async () => {
    let others = 100;
    for (let i = 0; i < 6; i++) {
      store.next.push((writes, applyNow) => {
        if (writes.some(({ key }) => key === keyOf('hot'))) {
          store.put(keyOf('hot'), { seen: [others++], bytes: 0 });
        }
        return applyNow();
      });
    }
    await apply([{ touch: ['x'] }, { touch: ['hot'] }, { touch: ['y'] }]);
    const alone = store.commits.findIndex((writes) => writes.map(({ key }) => key).join() === 'p.hot,s.0');
    expect(alone).toBeGreaterThan(2);
    expect(clock.slept.length).toBeGreaterThan(0);
    expect(seen('hot')?.slice(-1)).toEqual([2]);
    expect(seen('x')).toEqual([1]);
    expect(seen('y')).toEqual([3]);
  });
});

describe('conflicts on ever different records', () => {
  it('halve the next batches, and commits let them grow again', async () => {
    let others = 100;
    for (let race = 0; race < 4; race++) {
      store.next.push((writes, applyNow) => {
        store.put(writes[race]!.key, { seen: [others++], bytes: 0 });
        return applyNow();
      });
    }
    await apply(Array.from({ length: 64 }, (_, index) => ({ touch: [`n${index}`] })));
    const sizes = store.commits.map((writes) => writes.filter(({ key }) => key.startsWith('p.')).length);
    expect(sizes).toEqual([64, 32, 16, 8, 4, 8, 16, 32, 4]);
    for (let i = 0; i < 64; i++) expect(seen(`n${i}`)?.at(-1)).toBe(i + 1);
  });
});

describe('a shard lost to another owner', () => {
  it('takes its messages with it; those of other shards are committed at once', async () => {
    store.putShard(1, { owner: 'other', epoch: 2 });
    await apply([{ touch: ['a'] }, { touch: ['a', 'b'], shard: 1 }, { touch: ['a'] }]);
    expect(lost).toEqual([1]);
    expect(seen('a')).toEqual([1, 3]);
    expect(seen('b')).toBeUndefined();
    expect(store.shard(1)).toMatchObject({ owner: 'other', seq: 0 });
    expect(store.shard(0)?.seq).toBe(3);
  });

  it('by the same worker under an older epoch does not apply what was read then', async () => {
    store.putShard(1, { owner: 'me', epoch: 2 });
    await apply([{ touch: ['a'], shard: 1 }]);
    expect(lost).toEqual([1]);
    expect(seen('a')).toBeUndefined();
    expect(store.shard(1)).toMatchObject({ epoch: 2, seq: 0 });
  });
});

describe('a commit whose acknowledgement was not seen', () => {
  it('is not applied again, and no revision is computed: all are read from the leader (G2)', async () => {
    store.next.push((_writes, applyNow) => {
      // A restart rolled the batch forward, and timers fired into the middle of it.
      store.skip(7);
      applyNow();
      store.skip(3);
      return { kind: 'unknown', reason: 'the server died' };
    });
    await apply([{ touch: ['a', 'b'] }, { touch: ['a'], shard: 2 }]);
    expect(seen('a')).toEqual([1, 2]);
    const before = store.commits.length;
    await apply([{ touch: ['a', 'b'] }, { touch: ['b'], shard: 2 }]);
    expect(store.commits.length - before).toBe(1);
    expect(seen('a')).toEqual([1, 2, 3]);
    expect(seen('b')).toEqual([1, 3, 4]);
    expect(countOf(recording.told, 'conflict')).toBe(0);
    expect(lost).toEqual([]);
  });

  it('does not trust a replica for the records of that batch', async () => {
    await apply([{ touch: ['a'] }]);
    store.stale.set(keyOf('a'), store.record(keyOf('a')));
    store.next.push((_writes, applyNow) => {
      applyNow();
      return { kind: 'unknown', reason: 'no answer' };
    });
    await apply([{ touch: ['a'] }]);
    await apply([{ touch: ['a'] }]);
    expect(seen('a')).toEqual([1, 2, 3]);
  });

  it('of which a shard was taken over meanwhile loses that shard and keeps the others', async () => {
    store.next.push((_writes, applyNow) => {
      applyNow();
      store.putShard(1, { owner: 'other', epoch: 2 });
      return { kind: 'unknown', reason: 'no answer' };
    });
    await apply([{ touch: ['a'] }, { touch: ['a'], shard: 1 }]);
    expect(lost).toEqual([1]);
    expect(seen('a')).toEqual([1, 2]);
    await apply([{ touch: ['a'] }]);
    expect(seen('a')).toEqual([1, 2, 3]);
  });

  it('and was not stored is sent again, once', async () => {
    store.next.push(() => ({ kind: 'unknown', reason: 'no answer' }));
    await apply([{ touch: ['a'] }]);
    expect(seen('a')).toEqual([1]);
    expect(store.commits).toHaveLength(2);
  });
});

describe('a message that cannot be applied', () => {
  it.each([
    ['cannot be read', { throws: 'parse' } as Note],
    ['cannot be decided', { throws: 'decide' } as Note],
    ['contradict one another', { touch: ['c'], neverEnough: true } as Note],
  ])('because it %s becomes a dead letter with the reason, and the shard goes on', async (reason, note) => {
    await apply([{ touch: ['a'] }, note, { touch: ['a'] }]);
    expect(letter(0, 2)).toMatchObject({ code: 'POISON_MESSAGE', message: expect.stringContaining(reason) });
    expect(seen('a')).toEqual([1, 3]);
    expect(store.shard(0)?.seq).toBe(3);
    expect(recording.told).toContainEqual({
      name: 'deadLettered',
      detail: expect.objectContaining({ shard: 0, sequence: 2, code: 'POISON_MESSAGE' }),
    });
  });

  it('because its result cannot be stored is found among the others', async () => {
    const notes: Note[] = Array.from({ length: 9 }, (_, index) => ({ touch: [`n${index}`] }));
    notes[5] = { touch: ['n5'], throws: 'encode' };
    await apply(notes);
    expect(letter(0, 6)).toMatchObject({
      code: 'POISON_MESSAGE',
      message: expect.stringContaining('cannot be stored'),
    });
    expect(store.outbox).toEqual(['o.dead.0.6']);
    for (let i = 0; i < 9; i++) expect(seen(`n${i}`)).toEqual(i === 5 ? undefined : [i + 1]);
  });

  it('because a record would grow beyond its limit leaves that record as it was', async () => {
    await apply([
      { touch: ['a'] },
      { touch: ['a', 'big'], grow: RECORD_BYTES_MAX },
      { touch: ['a'] },
      { touch: ['b'], shard: 1 },
    ]);
    expect(letter(0, 2)).toMatchObject({ code: 'RECORD_TOO_LARGE' });
    expect(seen('a')).toEqual([1, 3]);
    expect(seen('big')).toBeUndefined();
    expect(seen('b')).toEqual([4]);
  });

  it('because several messages together make a record too large sets aside only the one that is too much', async () => {
    const third = Math.ceil(RECORD_BYTES_MAX / 3);
    await apply(Array.from({ length: 4 }, () => ({ touch: ['a'], grow: third })));
    expect(seen('a')).toEqual([1, 2]);
    expect(store.outbox).toEqual(['o.dead.0.3', 'o.dead.0.4']);
  });

  it('because it would write more than a batch holds, or a message larger than the server takes', async () => {
    await apply([{ send: COMMIT_MESSAGES_MAX + 1 }, { send: 1, sendBytes: 2_000_000 }, { touch: ['a'] }]);
    expect(letter(0, 1)).toMatchObject({ code: 'DECISION_TOO_LARGE' });
    expect(letter(0, 2)).toMatchObject({ code: 'DECISION_TOO_LARGE' });
    expect(seen('a')).toEqual([3]);
  });

  it('because a record that it needs is damaged; the record is left alone', async () => {
    store.put(keyOf('a'), Buffer.from('not a record'));
    await apply([{ touch: ['a'] }, { touch: ['b'] }]);
    expect(letter(0, 1)).toMatchObject({ code: 'RECORD_DAMAGED' });
    expect(Buffer.from(store.record(keyOf('a')).value!).toString()).toBe('not a record');
    expect(seen('b')).toEqual([2]);
  });
});

describe('what a decision only read', () => {
  it('is guarded: absent', async () => {
    await apply([{ touch: ['b'], relyOn: 'a' }]);
    expect(store.commits[0]).toContainEqual({ kind: 'delete', key: 'p.a', expect: 0 });
  });

  it('is guarded: there, and written again unchanged', async () => {
    const revision = store.put(keyOf('a'), { seen: [77], bytes: 0 });
    await apply([{ touch: ['b'], relyOn: 'a' }]);
    expect(store.commits[0]).toContainEqual(
      expect.objectContaining({ kind: 'put', key: 'p.a', expect: revision }),
    );
    expect(seen('a')).toEqual([77]);
  });

  it('is guarded when the decision was to do nothing: write skew does not pass', async () => {
    store.put(keyOf('a'), { seen: [], bytes: 0 });
    store.next.push((_writes, applyNow) => {
      // Another worker removes the record while the decision that saw it is under way.
      store.put(keyOf('a'), Buffer.from('null'));
      return applyNow();
    });
    await apply([{ unless: 'a', touch: ['b'] }]);
    expect(store.commits).toHaveLength(2);
    expect(seen('b')).toEqual([1]);
  });

  it('of a message that became a dead letter is guarded too', async () => {
    store.put(keyOf('a'), { seen: [], bytes: 0 });
    await apply([{ touch: ['a'], neverEnough: true }]);
    expect(keysOf(0)).toContain('p.a');
  });
});

describe('a message of a newer config', () => {
  it('fetches the actor that knows it, without waiting when that one is there', async () => {
    refreshActor = async () => {
      actor = noteActor(2);
    };
    await apply([{ touch: ['a'] }, { touch: ['a'], configVersion: 2 }]);
    expect(seen('a')).toEqual([1, 2]);
    expect(clock.slept).not.toContain(100);
  });

  it('waits for an actor that knows it; what stands before it is committed', async () => {
    const done = apply([{ touch: ['a'] }, { touch: ['a'], configVersion: 2 }, { touch: ['a'] }]);
    while (store.shard(0)?.seq !== 1) await new Promise((resolve) => setImmediate(resolve));
    expect(seen('a')).toEqual([1]);
    actor = noteActor(2);
    await done;
    expect(seen('a')).toEqual([1, 2, 3]);
  });
});

describe('a store that cannot be read', () => {
  it('is waited for', async () => {
    store.readsToFail = 4;
    await apply([{ touch: ['a'] }]);
    expect(seen('a')).toEqual([1]);
    expect(clock.slept.length).toBeGreaterThanOrEqual(4);
  });
});
