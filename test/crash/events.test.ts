// The workload must be what the oracle and the brief of the crash test suppose.
import { describe, expect, it } from 'vitest';
import { routingKeyOf, shardOf } from '../../shared/contract/routing.ts';
import { EventStream, ORDER, SHARDS, SIGNUP, type Unit } from './events.ts';
import { expectedOf } from './oracle.ts';

function unitsOf(seed: number, client: number, count: number): readonly Unit[] {
  const stream = new EventStream({ seed, client, clients: 2, startMs: 1_000_000_000 });
  return Array.from({ length: count }, () => stream.next());
}

const units = [...unitsOf(7, 0, 400), ...unitsOf(7, 1, 400)];
const posted = units.flatMap((unit) => unit.posts.flat());

describe('the workload', () => {
  it('is the same for the same seed, and another for another', () => {
    expect(unitsOf(7, 0, 400)).toEqual(unitsOf(7, 0, 400));
    expect(unitsOf(8, 0, 5)).not.toEqual(unitsOf(7, 0, 5));
  });

  it('has merges of customers met anonymously, from both clients', () => {
    const { profiles } = expectedOf(posted, { orderName: ORDER, signupName: SIGNUP });
    const many = profiles.filter((profile) => profile.keys.length >= 4 && !isSpecial(profile.keys));
    expect(many.length).toBeGreaterThan(50);
    const clients = many.filter(
      ({ messageIds }) => new Set([...messageIds].map((id) => id.split('-')[1])).size === 2,
    );
    expect(clients.length).toBeGreaterThan(50);
  });

  it('reaches no limit of a key and no end of the memory for message ids', () => {
    for (const { keys, messageIds } of expectedOf(posted, { orderName: ORDER, signupName: SIGNUP })
      .profiles) {
      expect(keys.filter((key) => key.startsWith('customer_id:')).length).toBeLessThanOrEqual(1);
      expect(keys.filter((key) => key.startsWith('email:')).length).toBeLessThanOrEqual(5);
      expect(keys.length).toBeLessThanOrEqual(1000);
      expect(messageIds.size).toBeLessThan(4000);
    }
  });

  it('sends some events twice, whole requests three times, and late repeats', () => {
    const counts = new Map<string, number>();
    const normal = units.filter((unit) => unit.kind === 'normal').flatMap((unit) => unit.posts.flat());
    for (const { messageId } of normal) counts.set(messageId, (counts.get(messageId) ?? 0) + 1);
    const twice = [...counts.values()].filter((count) => count === 2).length / counts.size;
    expect(twice).toBeGreaterThan(0.005);
    expect(twice).toBeLessThan(0.02);
    const burst = units.find((unit) => unit.kind === 'burst');
    expect(burst?.posts.map((post) => post.length)).toEqual([500, 500, 500]);
    const late = units.filter((unit) => unit.kind === 'late');
    expect(Math.max(...late.map((unit) => unit.posts.flat().length))).toBeGreaterThan(700);
    for (const { posts } of late) expect(posts.at(-1)).toEqual(posts[0]);
  });

  it('meets the hot customer in all 64 shards', () => {
    const hot = posted.filter((event) => event.keys.customer_id === 'hot');
    const shards = new Set(
      hot.map((event) => shardOf(routingKeyOf('device', event.keys.device ?? ''), SHARDS)),
    );
    expect(shards.size).toBe(SHARDS);
  });
});

function isSpecial(keys: readonly string[]): boolean {
  return keys.some((key) => /hot|late|burst/.test(key));
}
