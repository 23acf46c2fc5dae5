// The memory of rows and links: bounded by number and bytes, the last used kept longest.
import { expect, it } from 'vitest';
import { createLastUsed } from '../../../gateway/personalize/last-used.ts';

const LARGE = 1_000_000;

it('knows what is there, what is not, and what was never asked for', () => {
  const cache = createLastUsed<object | null>({ entries: 10, bytes: LARGE });
  cache.put('a', { title: 'Mat' }, 10);
  cache.put('b', null, 0);
  expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([{ title: 'Mat' }, null, undefined]);
  cache.delete('a');
  expect(cache.get('a')).toBeUndefined();
});

it('gives up what was not used for longest', () => {
  const cache = createLastUsed<number>({ entries: 2, bytes: LARGE });
  cache.put('a', 1, 10);
  cache.put('b', 2, 10);
  cache.get('a');
  cache.put('c', 3, 10);
  expect(cache.get('b')).toBeUndefined();
  expect(cache.get('a')).toBe(1);
});

it('holds no more than its bytes, also when an entry comes again or goes', () => {
  const cache = createLastUsed<number>({ entries: 100, bytes: 1_000 });
  for (let i = 0; i < 10; i++) cache.put('a', i, 300);
  expect(cache.get('a')).toBe(9);
  cache.put('b', 0, 300);
  expect(cache.get('a')).toBeUndefined();
  for (let i = 0; i < 10; i++) {
    cache.put('c', i, 200);
    cache.delete('c');
  }
  cache.put('b', 1, 300);
  expect(cache.get('b')).toBe(1);
  cache.put('huge', 0, 5_000);
  expect(cache.get('huge')).toBeUndefined();
  expect(cache.get('b')).toBeUndefined();
});
