// The promise about duplicates: every id of the last 15 minutes up to 4,000, and always the last 128.
import { describe, expect, it } from 'vitest';
import {
  decodeSeen,
  encodeSeen,
  hasSeen,
  markSeen,
  mergeSeen,
  SEEN_HORIZON_MS,
  type Seen,
  seenIdOf,
} from '../../../actors/profile/seen.ts';
import { MINUTE, SECOND, T0 } from './harness.ts';

/** Marks ids `<prefix>0` … at a steady pace. */
function marked(prefix: string, count: number, startMs: number, stepMs: number, before: Seen = []): Seen {
  let seen = before;
  for (let i = 0; i < count; i++) seen = markSeen(seen, seenIdOf(`${prefix}${i}`), startMs + i * stepMs);
  return seen;
}

function missing(seen: Seen, prefix: string, from: number, to: number): readonly number[] {
  const indexes = Array.from({ length: to - from }, (_, i) => from + i);
  return indexes.filter((i) => !hasSeen(seen, seenIdOf(`${prefix}${i}`)));
}

const idsOf = (seen: Seen) => encodeSeen(seen).length / 12;

describe('the horizon', () => {
  it('knows nothing of what was not marked', () => {
    const seen = marked('a', 1000, T0, SECOND / 10);
    expect(missing(seen, 'b', 0, 1000)).toHaveLength(1000);
    expect(hasSeen([], seenIdOf('a0'))).toBe(false);
  });

  it('keeps every id of 15 minutes, to the second', () => {
    const seen = marked('new', 2000, T0 + SEEN_HORIZON_MS - 1, 0, marked('old', 1000, T0, 0));
    expect(missing(seen, 'old', 0, 1000)).toEqual([]);
  });

  it('keeps 4,000 of them and not many more', () => {
    const seen = marked('a', 10_000, T0, 1);
    expect(missing(seen, 'a', 6000, 10_000)).toEqual([]);
    expect(idsOf(seen)).toBeLessThan(4300);
  });

  it('keeps the last 128 for ever, and lets go of the rest', () => {
    const old = marked('old', 1000, T0, SECOND);
    const seen = marked('new', 1, T0 + 400 * 86_400_000, 0, old);
    expect(missing(seen, 'old', 1000 - 127, 1000)).toEqual([]);
    expect(idsOf(seen)).toBeLessThan(300);
  });

  it('holds when log times of shards go back and forth', () => {
    let seen: Seen = [];
    for (let i = 0; i < 1500; i++) seen = markSeen(seen, seenIdOf(`a${i}`), T0 + (i % 2) * 30_000 + i);
    expect(missing(seen, 'a', 0, 1500)).toEqual([]);
  });
});

describe('merging', () => {
  it('keeps what either side keeps', () => {
    const a = marked('a', 300, T0, SECOND);
    const b = marked('b', 300, T0 + 10, SECOND);
    const both = mergeSeen(a, b, T0 + 5 * MINUTE);
    expect([...missing(both, 'a', 0, 300), ...missing(both, 'b', 0, 300)]).toEqual([]);
    expect(idsOf(mergeSeen(b, a, T0 + 5 * MINUTE))).toBe(600);
  });

  it('with nothing changes nothing', () => {
    const a = marked('a', 300, T0, SECOND);
    expect(encodeSeen(mergeSeen(a, [], T0 + 300_000))).toEqual(encodeSeen(a));
    expect(encodeSeen(mergeSeen([], a, T0 + 300_000))).toEqual(encodeSeen(a));
  });

  it('does not depend on which side is which', () => {
    const a = marked('a', 200, T0, SECOND);
    const b = marked('b', 50, T0, SECOND);
    expect(encodeSeen(mergeSeen(a, b, T0))).toEqual(encodeSeen(mergeSeen(b, a, T0)));
  });

  it('keeps an id that both know once, so that merging again and again makes it no longer', () => {
    let seen = marked('a', 300, T0, 1);
    for (let turn = 0; turn < 10; turn++) seen = mergeSeen(seen, marked('a', 200, T0, 1), T0 + MINUTE);
    expect(idsOf(seen)).toBe(300);
    expect(missing(seen, 'a', 0, 300)).toEqual([]);
  });

  it('of thousands of small sets stays small and complete', () => {
    let seen: Seen = [];
    for (let i = 0; i < 1000; i++) seen = mergeSeen(seen, marked(`p${i}-`, 1, T0 + i, 0), T0 + i);
    expect(seen.length).toBeLessThanOrEqual(9);
    expect(hasSeen(seen, seenIdOf('p0-0'))).toBe(true);
  });

  it('keeps the last 128 of an idle profile that is merged into a busy one', () => {
    const idle = marked('idle', 100, T0, SECOND);
    const busy = marked('busy', 200, T0 + 60 * MINUTE, SECOND);
    const both = mergeSeen(busy, idle, T0 + 64 * MINUTE);
    expect(missing(both, 'busy', 72, 200)).toEqual([]);
  });
});

describe('the structure', () => {
  it('does not change what was there, and shares what it can', () => {
    const before = marked('a', 1000, T0, 1);
    const copy = encodeSeen(before);
    const after = markSeen(before, seenIdOf('b'), T0 + 1000);
    expect(encodeSeen(before)).toEqual(copy);
    expect(after.filter((chunk) => before.includes(chunk)).length).toBe(before.length - 1);
  });

  it('is the same after storing', () => {
    for (const count of [0, 1, 127, 128, 129, 5000]) {
      const seen = marked('a', count, T0, 1);
      expect(decodeSeen(encodeSeen(seen))).toEqual(seen);
    }
  });

  it('is read from any view of bytes', () => {
    const seen = marked('a', 200, T0, 1);
    const bytes = encodeSeen(seen);
    const shifted = Buffer.concat([Buffer.from([1]), bytes]).subarray(1);
    expect(decodeSeen(shifted)).toEqual(seen);
    const inside = new Uint8Array(bytes.length + 7);
    inside.set(bytes, 3);
    expect(decodeSeen(inside.subarray(3, 3 + bytes.length))).toEqual(seen);
  });

  it('takes 64 bits of the id: the same always, others for others', () => {
    expect(seenIdOf('m-1')).toEqual(seenIdOf('m-1'));
    const ids = new Set(Array.from({ length: 10_000 }, (_, i) => Object.values(seenIdOf(`m-${i}`)).join()));
    expect(ids.size).toBe(10_000);
  });
});
