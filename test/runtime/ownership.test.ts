// Who should own what, who may claim, and how fast shards move. Liveness only: the fence is tested with the commit.
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { Members } from '../../actors/runtime/members.ts';
import { workerOptions } from '../../actors/runtime/options.ts';
import { type ClaimDeps, claimShard } from '../../actors/runtime/ownership.ts';
import { OwnershipTable } from '../../actors/runtime/ownership-table.ts';
import { preferredOwner } from '../../actors/runtime/rendezvous.ts';
import type { HaltedShard, OwnedShard } from '../../actors/runtime/shard.ts';
import { encodeHousekeeping } from '../../shared/contract/housekeeping-records.ts';
import { seededRandom } from '../../shared/kernel/random.ts';
import { FakeLog, FakeMembership, FakeStore, JumpClock, recordingTelemetry, reportOf } from './fakes.ts';

const SIGNAL = new AbortController().signal;
const SHARDS = 64;
let store: FakeStore;
let log: FakeLog;
let clock: JumpClock;
let membership: FakeMembership;
let members: Members;
let table: OwnershipTable;
let owned: Map<number, OwnedShard>;
let halted: Map<number, HaltedShard>;

beforeEach(async () => {
  store = new FakeStore();
  log = new FakeLog();
  clock = new JumpClock();
  membership = new FakeMembership();
  await membership.join('me', () => reportOf('me', []));
  const options = workerOptions({ segment: 's', workerId: 'me', shards: SHARDS });
  members = new Members(membership, clock, options);
  table = new OwnershipTable(members, clock, options);
  owned = new Map();
  halted = new Map();
});

/** Looks at the list and waits until every probe is answered. */
async function look(): Promise<void> {
  clock.ms += 500;
  await members.refresh(() => {});
  await new Promise((resolve) => setImmediate(resolve));
}

function alive(id: string, shards: readonly number[]): void {
  membership.answers.set(id, { kind: 'alive', report: reportOf(id, shards) });
}

function ownAll(): void {
  for (let shard = 0; shard < SHARDS; shard++) owned.set(shard, { shard, releasing: false } as OwnedShard);
}

const ids = fc.uniqueArray(fc.stringMatching(/^[a-z0-9-]{1,12}$/), { minLength: 1, maxLength: 8 });

describe('rendezvous hashing', () => {
  it('gives every shard one owner, whatever the order in which members are listed', () => {
    fc.assert(
      fc.property(ids, (members) => {
        for (let shard = 0; shard < SHARDS; shard++) {
          const owner = preferredOwner(shard, members);
          expect(members).toContain(owner);
          expect(preferredOwner(shard, [...members].reverse())).toBe(owner);
        }
      }),
    );
  });

  it('moves, when a member joins, only shards that go to it, and gives them back when it leaves', () => {
    fc.assert(
      fc.property(ids, fc.constant('~new'), (members, joiner) => {
        for (let shard = 0; shard < SHARDS; shard++) {
          const before = preferredOwner(shard, members);
          const after = preferredOwner(shard, [...members, joiner]);
          expect([before, joiner]).toContain(after);
        }
      }),
    );
  });

  it('shares shards out evenly enough', () => {
    const counts = new Map<string, number>();
    for (let shard = 0; shard < 1000; shard++) {
      const owner = preferredOwner(shard, ['w-1', 'w-2', 'w-3', 'w-4'])!;
      counts.set(owner, (counts.get(owner) ?? 0) + 1);
    }
    expect(counts.size).toBe(4);
    for (const count of counts.values()) expect(count).toBeGreaterThan(170);
  });

  it('knows no owner without members', () => {
    expect(preferredOwner(0, [])).toBeUndefined();
  });
});

describe('the owner table', () => {
  it('claims everything when alone, nothing before the list of members is known', async () => {
    expect(table.decide(owned, halted).claim).toEqual([]);
    await look();
    expect(table.decide(owned, halted).claim).toHaveLength(SHARDS);
  });

  it('does not decide while a member has never been asked', async () => {
    let answer = () => {};
    membership.probe = () =>
      new Promise((resolve) => {
        answer = () => resolve({ kind: 'gone' });
      });
    alive('other', []);
    await look();
    expect(table.decide(owned, halted)).toEqual({ claim: [], release: [] });
    answer();
    await look();
    expect(table.decide(owned, halted).claim).toHaveLength(SHARDS);
  });

  it('shares with a live member, and leaves what that one still holds', async () => {
    alive('other', [...Array(SHARDS).keys()]);
    await look();
    expect(table.decide(owned, halted).claim).toEqual([]);
    alive('other', []);
    await look();
    const { claim } = table.decide(owned, halted);
    expect(claim.length).toBeGreaterThan(SHARDS / 5);
    expect(claim.length).toBeLessThan((SHARDS * 4) / 5);
    for (const shard of claim) expect(preferredOwner(shard, ['me', 'other'])).toBe('me');
  });

  it('counts a member that is gone as dead at once', async () => {
    alive('other', [...Array(SHARDS).keys()]);
    await look();
    expect(table.decide(owned, halted).claim).toEqual([]);
    membership.answers.set('other', { kind: 'gone' });
    await look();
    expect(table.decide(owned, halted).claim).toHaveLength(SHARDS);
  });

  it('counts a silent member as dead after two probes in a row', async () => {
    alive('other', [...Array(SHARDS).keys()]);
    await look();
    membership.answers.set('other', { kind: 'silent' });
    await look();
    expect(table.decide(owned, halted).claim).toEqual([]);
    await look();
    expect(table.decide(owned, halted).claim).toHaveLength(SHARDS);
  });

  it('calls for attention when a member is found dead, once', async () => {
    alive('other', []);
    await look();
    membership.answers.set('other', { kind: 'gone' });
    let calls = 0;
    for (let i = 0; i < 3; i++) {
      await members.refresh(() => calls++);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(calls).toBe(1);
  });

  it('does nothing while the list of members cannot be read', async () => {
    ownAll();
    alive('other', []);
    await look();
    membership.unavailable = true;
    await look();
    expect(table.decide(owned, halted)).toEqual({ claim: [], release: [] });
  });

  it('releases at most a quarter of all shards a second over all members, and asks for each once', async () => {
    ownAll();
    alive('other', []);
    await look();
    const perSecond = SHARDS / 4 / 2;
    const moved: number[] = [];
    for (let second = 0; second < 2; second++) {
      const first = table.decide(owned, halted).release;
      expect(first).toHaveLength(perSecond);
      for (const shard of first) owned.get(shard)!.releasing = true;
      expect(table.decide(owned, halted).release).toEqual([]);
      moved.push(...first);
      clock.ms += 1000;
    }
    expect(new Set(moved).size).toBe(2 * perSecond);
    for (const shard of moved) expect(preferredOwner(shard, ['me', 'other'])).toBe('other');
  });

  it('takes no shard of members that are not back yet for a second after its own reconnection', async () => {
    const theirs = [...Array(SHARDS).keys()].filter((s) => preferredOwner(s, ['me', 'other']) === 'other');
    alive('other', theirs);
    await look();
    for (const shard of table.decide(owned, halted).claim) owned.set(shard, { shard } as OwnedShard);
    membership.answers.clear();
    table.reconnected();
    await look();
    expect(table.decide(owned, halted)).toEqual({ claim: [], release: [] });
    clock.ms += 600;
    await look();
    expect([...table.decide(owned, halted).claim].sort()).toEqual([...theirs].sort());
  });

  it('releases nothing in the second after a reconnection', async () => {
    ownAll();
    await look();
    table.decide(owned, halted);
    table.reconnected();
    alive('other', []);
    await look();
    expect(table.decide(owned, halted).release).toEqual([]);
    clock.ms += 600;
    await look();
    expect(table.decide(owned, halted).release.length).toBeGreaterThan(0);
  });

  it('looks at a halted shard again after a while', async () => {
    await look();
    ownAll();
    owned.delete(5);
    halted.set(5, { shard: 5, code: 'LOG_REPLACED', reason: '', atMs: clock.ms });
    expect(table.decide(owned, halted).claim).toEqual([]);
    clock.ms += 10_000;
    expect(table.decide(owned, halted).claim).toEqual([5]);
  });
});

describe('a claim', () => {
  let deps: ClaimDeps;

  beforeEach(async () => {
    const { telemetry } = recordingTelemetry();
    const random = seededRandom(1);
    deps = { store, log, members, clock, random, telemetry, workerId: 'me', backoffMaxMs: 100 };
    await look();
  });

  it('of a shard that nobody ever owned begins at the start of the log', async () => {
    const result = await claimShard(deps, 3, SIGNAL);
    expect(result).toMatchObject({ kind: 'claimed', record: { owner: 'me', epoch: 1, seq: 0 } });
    expect(store.shard(3)).toMatchObject({ owner: 'me', epoch: 1, streamCreated: 'log-1' });
  });

  it('keeps checkpoint and commit id, and raises the epoch', async () => {
    for (let i = 0; i < 12; i++) log.append(3, {});
    store.putShard(3, { owner: null, epoch: 7, seq: 12, commitId: 'x.1' });
    await claimShard(deps, 3, SIGNAL);
    expect(store.shard(3)).toMatchObject({ owner: 'me', epoch: 8, seq: 12, commitId: 'x.1' });
  });

  it('is read from the leader', async () => {
    await claimShard(deps, 3, SIGNAL);
    expect(store.reads.length).toBeGreaterThan(0);
    expect(store.reads.every(({ from }) => from === 'leader')).toBe(true);
  });

  it('leaves a shard to an owner that lives and says that it is its own', async () => {
    alive('other', [3]);
    await look();
    store.putShard(3, { owner: 'other', epoch: 1 });
    expect(await claimShard(deps, 3, SIGNAL)).toEqual({ kind: 'taken' });
    expect(store.shard(3)?.owner).toBe('other');
  });

  it('takes a shard from an owner that lives and says that it is not its own', async () => {
    alive('other', []);
    await look();
    store.putShard(3, { owner: 'other', epoch: 1 });
    expect(await claimShard(deps, 3, SIGNAL)).toMatchObject({ kind: 'claimed' });
  });

  it('takes a shard from a dead owner', async () => {
    store.putShard(3, { owner: 'dead', epoch: 1 });
    expect(await claimShard(deps, 3, SIGNAL)).toMatchObject({ kind: 'claimed', record: { epoch: 2 } });
  });

  it('that comes second is told so', async () => {
    store.next.push((_writes, apply) => {
      store.putShard(3, { owner: 'faster', epoch: 1 });
      return apply();
    });
    expect(await claimShard(deps, 3, SIGNAL)).toEqual({ kind: 'taken' });
  });

  it('whose answer was lost is recognised as its own', async () => {
    store.next.push((_writes, apply) => {
      apply();
      return { kind: 'unknown', reason: 'no answer' };
    });
    const result = await claimShard(deps, 3, SIGNAL);
    expect(result).toMatchObject({ kind: 'claimed', revision: store.record('s.3').revision });
    expect(store.shard(3)?.epoch).toBe(1);
  });

  it('stops at a log that was made anew', async () => {
    store.putShard(3, { seq: 0, streamCreated: 'log-0' });
    expect(await claimShard(deps, 3, SIGNAL)).toMatchObject({ kind: 'unsound', code: 'LOG_REPLACED' });
    expect(store.commits).toHaveLength(0);
  });

  it('stops at a log that ends before the checkpoint', async () => {
    store.putShard(3, { seq: 5 });
    expect(await claimShard(deps, 3, SIGNAL)).toMatchObject({ kind: 'unsound', code: 'LOG_TRUNCATED' });
  });

  it('stops at a log whose applied message is another one', async () => {
    log.append(3, { touch: ['a'] });
    store.putShard(3, { seq: 1, fingerprint: { seq: 1, hash: 'of another message' } });
    expect(await claimShard(deps, 3, SIGNAL)).toMatchObject({ kind: 'unsound', code: 'LOG_REPLACED' });
  });

  it('stops at a log that lost messages, unless the housekeeper wrote down that it purged them', async () => {
    for (let i = 0; i < 10; i++) log.append(3, {});
    store.putShard(3, { seq: 4 });
    log.purge(7);
    expect(await claimShard(deps, 3, SIGNAL)).toMatchObject({ kind: 'unsound', code: 'LOG_TRUNCATED' });
    store.put('h.purge', encodeHousekeeping({ v: 1, purgedTo: 6 }));
    expect(await claimShard(deps, 3, SIGNAL)).toMatchObject({ kind: 'unsound', code: 'LOG_TRUNCATED' });
    store.put('h.purge', encodeHousekeeping({ v: 1, purgedTo: 7 }));
    expect(await claimShard(deps, 3, SIGNAL)).toMatchObject({ kind: 'claimed', record: { purgedTo: 7 } });
  });
});
