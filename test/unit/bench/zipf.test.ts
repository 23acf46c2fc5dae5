// The sampler against the distribution that it claims, and the workload made of it.
import { describe, expect, it } from 'vitest';
import { createWorkload, SHOP_KEYS, type Workload } from '../../../infra/bench/workload.ts';
import { eachInTurn, scatter, uniform, zipf, zipfShare } from '../../../infra/bench/zipf.ts';
import { seededRandom } from '../../../shared/kernel/random.ts';

const COUNT = 1000;
const DRAWS = 400_000;

function frequencies(draw: () => number, count: number): readonly number[] {
  const found = new Array<number>(count).fill(0);
  for (let i = 0; i < DRAWS; i++) found[draw()]! += 1;
  return found;
}

describe('zipf', () => {
  it('draws each rank as often as its weight says', () => {
    const found = frequencies(zipf(COUNT, 1.1, seededRandom(7)), COUNT);
    for (const rank of [0, 1, 2, 9, 99, 500]) {
      const expected = zipfShare(rank, COUNT, 1.1) * DRAWS;
      // Five standard deviations of a binomial count.
      expect(Math.abs(found[rank]! - expected)).toBeLessThan(5 * Math.sqrt(expected) + 1);
    }
    expect(found[0]! / found[1]!).toBeCloseTo(2 ** 1.1, 1);
  });

  it('has shares that sum up to one, the greatest first', () => {
    const shares = Array.from({ length: COUNT }, (_, rank) => zipfShare(rank, COUNT, 1.1));
    expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 10);
    expect(shares[0]).toBe(Math.max(...shares));
  });

  it('reaches the first and the last rank at the ends of the random range, and nothing beyond', () => {
    expect(zipf(COUNT, 1.1, { next: () => 0 })()).toBe(0);
    expect(zipf(COUNT, 1.1, { next: () => 1 - Number.EPSILON / 2 })()).toBe(COUNT - 1);
    expect(zipf(1, 1.1, { next: () => 0.5 })()).toBe(0);
  });

  it('gives the same draws for the same seed', () => {
    const draws = (seed: number) => {
      const draw = zipf(COUNT, 1.1, seededRandom(seed));
      return Array.from({ length: 50 }, draw);
    };
    expect(draws(3)).toEqual(draws(3));
    expect(draws(3)).not.toEqual(draws(4));
  });
});

describe('other draws', () => {
  it('uniform draws are even', () => {
    const found = frequencies(uniform(10, seededRandom(1)), 10);
    for (const count of found) expect(Math.abs(count - DRAWS / 10)).toBeLessThan(5 * Math.sqrt(DRAWS / 10));
  });

  it('in turn means every index once a round', () => {
    const draw = eachInTurn(4);
    expect(Array.from({ length: 6 }, draw)).toEqual([0, 1, 2, 3, 0, 1]);
  });

  it.each([1, 2, 7, 1000, 1024, 99_991])('scattering %i indexes loses none', (count) => {
    const place = scatter(count);
    const places = new Set(Array.from({ length: count }, (_, index) => place(index)));
    expect(places.size).toBe(count);
    expect(Math.max(...places)).toBe(count - 1);
  });
});

describe('workload', () => {
  const workload: Workload = {
    name: 'w',
    seed: 5,
    profiles: 100,
    spread: 'zipf',
    keys: SHOP_KEYS,
    shape: 'shop',
  };
  const eventsOf = (changes: Partial<Workload>, count: number) => {
    const source = createWorkload({ ...workload, ...changes });
    return Array.from({ length: count }, () => source.next());
  };

  it('is the same for the same seed, with unique message ids, three keys and ten properties', () => {
    const events = eventsOf({}, 500);
    expect(eventsOf({}, 500)).toEqual(events);
    expect(new Set(events.map(({ messageId }) => messageId)).size).toBe(500);
    for (const { keys, properties } of events) {
      expect(Object.keys(keys)).toEqual([...SHOP_KEYS]);
      expect(Object.keys(properties)).toHaveLength(10);
    }
  });

  it('gives a profile the same keys in every workload, and no key to two profiles', () => {
    const once = eventsOf({ spread: 'once', name: 'a' }, 100);
    const values = once.flatMap(({ keys }) => Object.values(keys));
    expect(new Set(values).size).toBe(300);
    const known = new Set(values);
    for (const { keys } of eventsOf({ name: 'b' }, 200))
      for (const value of Object.values(keys)) expect(known.has(value)).toBe(true);
  });

  it('repeats one event in so many, with its id', () => {
    const ids = eventsOf({ repeatEvery: 10 }, 1000).map(({ messageId }) => messageId);
    expect(new Set(ids).size).toBe(900);
    expect(ids.filter((id, index) => ids.indexOf(id) < index)).toHaveLength(100);
  });
});
