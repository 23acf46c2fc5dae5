// The sketch of hottest keys, the rates and the counts that a worker tells of itself.
import fc from 'fast-check';
import { beforeEach, describe, expect, it } from 'vitest';
import { HotKeys, SpaceSaving } from '../../../infra/hot-keys.ts';
import { ActivityMeter, publicRecordName } from '../../../infra/worker-activity.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { systemClock } from '../../../shared/kernel/clock.ts';
import { seededRandom } from '../../../shared/kernel/random.ts';

let elapsedMs = 0;
const clock = { ...systemClock, elapsedMs: () => elapsedMs };
beforeEach(() => {
  elapsedMs = 0;
});

describe('space saving', () => {
  it('is exact while the keys fit', () => {
    const sketch = new SpaceSaving(3);
    for (const key of 'aababc') sketch.add(key);
    expect(sketch.certain()).toEqual([
      { key: 'a', count: 3 },
      { key: 'b', count: 2 },
      { key: 'c', count: 1 },
    ]);
  });

  it('never tells more than was seen, keeps every key above its share, and stays within its slots', () => {
    const stream = fc.array(fc.integer({ min: 0, max: 30 }).map(String), { maxLength: 400 });
    fc.assert(
      fc.property(stream, fc.integer({ min: 1, max: 12 }), (keys, slots) => {
        const sketch = new SpaceSaving(slots);
        const exact = new Map<string, number>();
        for (const key of keys) {
          sketch.add(key);
          exact.set(key, (exact.get(key) ?? 0) + 1);
        }
        const told = new Map(sketch.certain().map(({ key, count }) => [key, count]));
        expect(told.size).toBeLessThanOrEqual(slots);
        for (const [key, count] of told) expect(count).toBeLessThanOrEqual(exact.get(key)!);
        for (const [key, count] of exact) if (count > keys.length / slots) expect(told.has(key)).toBe(true);
      }),
    );
  });

  it('finds the hot ones among a hundred thousand', () => {
    const random = seededRandom(7);
    const hot = new HotKeys(clock);
    for (let i = 0; i < 200_000; i++) {
      const isHot = random.next() < 0.2;
      hot.add(isHot ? `hot${Math.floor(random.next() * 4)}` : `cold${Math.floor(random.next() * 100_000)}`);
    }
    const top = hot.top(4);
    expect(top.map(({ key }) => key).sort()).toEqual(['hot0', 'hot1', 'hot2', 'hot3']);
    for (const { count } of top) expect(count).toBeGreaterThan(7000);
  });
});

describe('the hottest lately', () => {
  it('counts two windows and forgets what is older', () => {
    const hot = new HotKeys(clock);
    for (let i = 0; i < 5; i++) hot.add('old');
    elapsedMs = 60_000;
    for (let i = 0; i < 3; i++) hot.add('new');
    expect(hot.top(10)).toEqual([
      { key: 'old', count: 5 },
      { key: 'new', count: 3 },
    ]);
    elapsedMs = 120_000;
    expect(hot.top(10)).toEqual([{ key: 'new', count: 3 }]);
    elapsedMs = 600_000;
    expect(hot.top(10)).toEqual([]);
  });

  it('leaves out what was seen once, and gives no more than asked', () => {
    const hot = new HotKeys(clock);
    for (const key of ['once', 'a', 'a', 'b', 'b', 'b']) hot.add(key);
    expect(hot.top(10).map(({ key }) => key)).toEqual(['b', 'a']);
    expect(hot.top(1)).toEqual([{ key: 'b', count: 3 }]);
  });
});

describe('activity', () => {
  it('counts since the start and rates the last whole seconds', () => {
    const meter = new ActivityMeter(clock);
    expect(meter.read()).toMatchObject({ commitsPerSecond: 0, eventsPerSecond: 0 });
    for (let second = 0; second < 20; second++) {
      elapsedMs = second * 1000;
      meter.committed({ messages: 100, records: ['p.1', `p.x${second}`] });
      meter.committed({ messages: 50, records: ['p.1'] });
    }
    // The second that is not over does not count.
    expect(meter.read()).toMatchObject({ commitsPerSecond: 2, eventsPerSecond: 150 });
    elapsedMs = 25_000;
    expect(meter.read()).toMatchObject({ commitsPerSecond: 1, eventsPerSecond: 75 });
    elapsedMs = 60_500;
    expect(meter.read()).toMatchObject({ commitsPerSecond: 0, eventsPerSecond: 0 });
    expect(meter.read().hotWrites).toEqual([{ record: 'p.1', count: 40 }]);
  });

  it('counts what goes wrong, and names the records of conflicts without their values', () => {
    const meter = new ActivityMeter(clock);
    const link = recordKeys.link('email', 'ann@example.com');
    for (const key of [link, link, '']) meter.conflict(key);
    meter.fenced();
    meter.unknownOutcome();
    meter.deadLettered();
    meter.residents({ count: 3, bytes: 300 });
    const told = meter.read();
    expect(told).toMatchObject({
      conflicts: 3,
      fences: 1,
      unknownOutcomes: 1,
      deadLetters: 1,
      residents: { count: 3, bytes: 300 },
      hotConflicts: [{ record: expect.stringMatching(/^k\.email\.#[\w-]{4}$/), count: 2 }],
    });
    const text = JSON.stringify(told);
    expect(text).not.toContain(link);
    expect(text).not.toContain(Buffer.from('ann@example.com').toString('base64url'));
  });

  it('a profile is named by its id, a shard by its number', () => {
    expect(publicRecordName('p.0192f7c1')).toBe('p.0192f7c1');
    expect(publicRecordName('s.7')).toBe('s.7');
    expect(publicRecordName(recordKeys.link('email', 'a'))).not.toBe(
      publicRecordName(recordKeys.link('email', 'b')),
    );
  });
});
