// Writes that are gathered: together when they come together, each written once, and one that is bad fails alone.
import { describe, expect, it } from 'vitest';
import { gather } from '../../../shared/nats/gather.ts';

const limits = { items: 3, bytes: 100, weigh: (item: string) => item.length };

describe('gathered writes', () => {
  it('go at once alone, then together within the limits, in order', async () => {
    const batches: string[][] = [];
    const writes = gather<string>(async (items) => {
      batches.push([...items]);
      await Promise.resolve();
    }, limits);
    const long = 'x'.repeat(99);
    await Promise.all(
      ['a', 'b', 'c', 'd', 'e', long, 'f', 'x'.repeat(500), 'g'].map((item) => writes.write(item)),
    );
    expect(batches).toEqual([['a'], ['b', 'c', 'd'], ['e', long], ['f'], ['x'.repeat(500)], ['g']]);
  });

  it('of which one is bad fail that one alone', async () => {
    const written: string[] = [];
    const writes = gather<string>(async (items) => {
      await Promise.resolve();
      if (items.includes('bad')) throw new Error('no');
      written.push(...items);
    }, limits);
    const outcomes = await Promise.allSettled(['a', 'b', 'bad', 'c', 'd'].map((item) => writes.write(item)));
    expect(outcomes.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ]);
    expect(written.sort()).toEqual(['a', 'b', 'c', 'd']);
    await writes.write('e');
    expect(written).toContain('e');
  });
});
