// When a cron expression is due, checked against node-cron's own idea of what matches.
import fc from 'fast-check';
import { createTask } from 'node-cron';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createCron, cronProblems, wakeByCron } from '../../../../batch/jobs/cron.ts';

const at = (text: string) => Date.parse(text);
const shown = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString());

function times(expression: string, zone: string, from: string, count: number): (string | undefined)[] {
  const cron = createCron(expression, zone);
  const found: (string | undefined)[] = [];
  for (let ms: number | undefined = at(from); found.length < count && ms !== undefined; ) {
    ms = cron.next(ms);
    found.push(shown(ms));
  }
  return found;
}

describe('a cron expression', () => {
  it('is due at local times of its zone', () => {
    expect(times('30 3 * * *', 'Europe/Berlin', '2026-03-27T12:00:00Z', 3)).toEqual([
      '2026-03-28T02:30:00.000Z',
      '2026-03-29T01:30:00.000Z',
      '2026-03-30T01:30:00.000Z',
    ]);
    expect(times('0 0 1 1 *', 'Asia/Tokyo', '2026-03-27T12:00:00Z', 1)).toEqual(['2026-12-31T15:00:00.000Z']);
    expect(times('0 12 29 2 *', 'UTC', '2026-03-27T12:00:00Z', 1)).toEqual(['2028-02-29T12:00:00.000Z']);
  });

  it('is strictly after the time asked for', () => {
    expect(times('0 3 * * *', 'UTC', '2026-03-27T03:00:00Z', 1)).toEqual(['2026-03-28T03:00:00.000Z']);
    expect(times('0 3 * * *', 'UTC', '2026-03-27T02:59:59.999Z', 1)).toEqual(['2026-03-27T03:00:00.000Z']);
  });

  it('whose time the change of clocks leaves out is due at the end of the gap', () => {
    expect(times('30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 2)).toEqual([
      '2026-03-29T01:00:00.000Z',
      '2026-03-30T00:30:00.000Z',
    ]);
  });

  it('whose time is repeated is due once, unless it is due every hour', () => {
    expect(times('30 2 * * *', 'Europe/Berlin', '2026-10-24T12:00:00Z', 2)).toEqual([
      '2026-10-25T00:30:00.000Z',
      '2026-10-26T01:30:00.000Z',
    ]);
    expect(times('0 * * * *', 'Europe/Berlin', '2026-10-24T23:30:00Z', 4)).toEqual([
      '2026-10-25T00:00:00.000Z',
      '2026-10-25T01:00:00.000Z',
      '2026-10-25T02:00:00.000Z',
      '2026-10-25T03:00:00.000Z',
    ]);
  });

  it('is told to be wrong with what was meant', () => {
    expect(cronProblems('0 3 * * *', 'Europe/Berlin')).toEqual([]);
    expect(cronProblems('0 25 * * *', 'UTC').join()).toContain('hour');
    expect(cronProblems('0 12 31 2 *', 'UTC').join()).toContain('31 2 is an impossible day');
    expect(cronProblems('@daily', 'UTC')).toEqual([
      'it has 1 part: minute, hour, day of month, month and day of week are meant',
    ]);
    expect(cronProblems('0 3 * * *', 'Europe/Berlinn')).toEqual(["'Europe/Berlinn' is no IANA time zone"]);
  });

  it('is due when node-cron says that it matches, and at no other time', () => {
    const part = (max: number, min = 0) =>
      fc.oneof(
        fc.constant('*'),
        fc.integer({ min, max }).map(String),
        fc.integer({ min: 2, max: 20 }).map((n) => `*/${n}`),
      );
    const expressions = fc
      .tuple(part(59), part(23), part(28, 1), part(12, 1), part(6))
      .map((p) => p.join(' '));
    fc.assert(
      fc.property(
        expressions,
        // Without a change of clocks near.
        fc.integer({ min: at('2026-06-01T00:00:00Z') / 1000, max: at('2026-08-01T00:00:00Z') / 1000 }),
        fc.constantFrom('UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata'),
        (expression, seconds, timezone) => {
          const from = seconds * 1000;
          const task = createTask(expression, () => {}, { timezone });
          const next = createCron(expression, timezone).next(from);
          const end = Math.min(next ?? from + 3 * 86_400_000, from + 3 * 86_400_000);
          for (let ms = Math.floor(from / 60_000 + 1) * 60_000; ms < end; ms += 60_000)
            expect(task.match(new Date(ms)), shown(ms)).toBe(false);
          if (next !== undefined) expect(task.match(new Date(next)), shown(next)).toBe(true);
          void task.destroy();
        },
      ),
      { numRuns: 25 },
    );
  });
});

describe('being woken by node-cron', () => {
  afterEach(() => void vi.useRealTimers());

  it('happens at the times of the zone, and ends when it is told to', async () => {
    vi.useFakeTimers({ now: at('2026-03-27T01:59:30Z') });
    const woken: (string | undefined)[] = [];
    const stop = wakeByCron('0 3 * * *', 'Europe/Berlin', () => woken.push(shown(Date.now())?.slice(0, 16)));
    await vi.advanceTimersByTimeAsync(24 * 3_600_000);
    expect(woken).toEqual(['2026-03-27T02:00']);
    stop();
    await vi.advanceTimersByTimeAsync(48 * 3_600_000);
    expect(woken).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});
