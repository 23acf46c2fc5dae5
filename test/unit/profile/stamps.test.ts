// Stamps: what was applied by a plain write is recognised when it is read again, whatever became of the profile.
import { describe, expect, it } from 'vitest';
import { createProfileActor } from '../../../actors/profile/actor.ts';
import { newProfile } from '../../../actors/profile/lifecycle.ts';
import type { Profile } from '../../../actors/profile/profile.ts';
import { isStamped, mergeStamps, STAMPS_MAX, stamped } from '../../../actors/profile/stamps.ts';
import type { ActorMessage, Apply } from '../../../shared/contract/actor.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { configOf, eventOf, ProfileFold, T0 } from './harness.ts';

const message = (shard: number, sequence: number, text = 'x'): ActorMessage => ({
  shard,
  sequence,
  source: 'ingest',
  nowMs: T0,
  payload: Buffer.from(text),
  logId: 'log',
});
const NEVER = () => false;
const bare = newProfile('p1', T0, 1);

describe('stamps of a profile', () => {
  it('recognise the message by place and content', () => {
    const profile = stamped(bare, [message(3, 7)], NEVER)!;
    expect(isStamped(profile, message(3, 7))).toBe(true);
    expect(isStamped(profile, message(3, 8))).toBe(false);
    expect(isStamped(profile, message(4, 7))).toBe(false);
    expect(isStamped(profile, message(3, 7, 'another that took its place in a restored log'))).toBe(false);
    expect(isStamped(bare, message(3, 7))).toBe(false);
  });

  it('go when the checkpoint is behind them', () => {
    const first = stamped(bare, [message(1, 5), message(2, 6)], NEVER)!;
    const second = stamped(first, [message(1, 9)], (shard, sequence) => shard === 1 && sequence <= 5)!;
    expect(second.stamps).toMatchObject([
      { shard: 2, sequence: 6 },
      { shard: 1, sequence: 9 },
    ]);
  });

  it('have no room for more than the limit, counted after those that go', () => {
    const many = Array.from({ length: STAMPS_MAX }, (_, sequence) => message(1, sequence));
    const full = stamped(bare, many, NEVER)!;
    expect(full.stamps).toHaveLength(STAMPS_MAX);
    expect(stamped(full, [message(1, 99)], NEVER)).toBeUndefined();
    expect(stamped(full, [message(1, 99)], (_, sequence) => sequence === 0)?.stamps).toHaveLength(STAMPS_MAX);
  });

  it('of both count after a merge', () => {
    const a = stamped(bare, [message(1, 1)], NEVER)!;
    const b = stamped(bare, [message(2, 2)], NEVER)!;
    const both = { ...bare, stamps: mergeStamps(a, b)! };
    expect([message(1, 1), message(2, 2)].every((one) => isStamped(both, one))).toBe(true);
    expect(mergeStamps(bare, b)).toBe(b.stamps);
    expect(mergeStamps(bare, bare)).toBeUndefined();
  });
});

describe('the profile actor', () => {
  const config = configOf(`
events: [{ name: viewed, when: 'event.name == "Viewed"' }]
attributes: [{ name: views, type: counter, total: true, on: viewed }]
`);
  const actor = createProfileActor(config, { shards: 8, configVersion: 1 });

  /** What is decided about an event over the records of a fold. */
  function decide(fold: ProfileFold, at: ActorMessage): Apply {
    const view = { get: (key: string) => fold.records.get(key) ?? null };
    const decision = actor.decide(at, actor.parse(at), view);
    if (decision.kind !== 'apply') throw new Error(decision.kind);
    return decision;
  }

  const eventAt = (sequence: number, id: string, keys: Record<string, string>) =>
    message(1, sequence, JSON.stringify({ v: 1, type: 'event', event: eventOf({ id, keys }) }));

  it('says that an event can be stamped which changes one profile that exists and does nothing else', () => {
    const fold = new ProfileFold(config);
    expect(decide(fold, eventAt(900, 'a', { device: 'd1' })).stampable).toBeUndefined();
    fold.send({ id: 'a', keys: { device: 'd1' } });
    expect(decide(fold, eventAt(901, 'b', { device: 'd1' })).stampable).toBe(true);
    expect(decide(fold, eventAt(902, 'c', { device: 'd1', email: 'new@x' })).stampable).toBeUndefined();
    expect(decide(fold, eventAt(903, 'a', { device: 'd1' })).stampable).toBeUndefined();
  });

  it('does nothing when it reads a stamped event again, even one whose id is not known any more', () => {
    const fold = new ProfileFold(config);
    fold.send({ id: 'a', keys: { device: 'd1' } });
    const at = eventAt(901, 'b', { device: 'd1' });
    const holder = fold.holder('device', 'd1')!;
    const key = recordKeys.profile(holder.id);
    const changed = decide(fold, at).writes.get(key) as Profile;
    fold.records.set(key, actor.stamp!({ ...changed, seen: holder.seen }, [at], NEVER));
    const again = decide(fold, at);
    expect(again.writes.size).toBe(0);
    expect(again.outbox).toEqual([]);
    expect(again.stampable).toBeUndefined();
  });
});
