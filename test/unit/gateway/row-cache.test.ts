// The memory of catalog rows: bounded by number and bytes, the last used kept longest.
import { expect, it } from 'vitest';
import { createRowCache } from '../../../gateway/personalize/row-cache.ts';

it('knows what is there, what is not, and what was never asked for', () => {
  const cache = createRowCache();
  cache.put('a', { title: 'Mat' }, 10);
  cache.put('b', null, 0);
  expect([cache.get('a'), cache.get('b'), cache.get('c')]).toEqual([{ title: 'Mat' }, null, undefined]);
});

it('gives up what was not used for longest', () => {
  const cache = createRowCache(2);
  cache.put('a', { n: 1 }, 10);
  cache.put('b', { n: 2 }, 10);
  cache.get('a');
  cache.put('c', { n: 3 }, 10);
  expect(cache.get('b')).toBeUndefined();
  expect(cache.get('a')).toEqual({ n: 1 });
});

it('holds no more than its bytes, also when a row comes again', () => {
  const cache = createRowCache(100, 1_000);
  for (let i = 0; i < 10; i++) cache.put('a', { n: i }, 300);
  expect(cache.get('a')).toEqual({ n: 9 });
  cache.put('b', { n: 0 }, 300);
  expect(cache.get('a')).toBeUndefined();
  cache.put('huge', { n: 0 }, 5_000);
  expect(cache.get('huge')).toBeUndefined();
  expect(cache.get('b')).toBeUndefined();
});
