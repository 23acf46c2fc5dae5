// Times of day near changes of the clocks, against reading the clock minute by minute.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isBetween, momentOfTime, momentOutside } from '../../../shared/kernel/time-zone.ts';

const MINUTE = 60_000;
/** The hours around changes of clocks of 2026, one of them by half an hour, one at midnight, and days like any other. */
const AROUND: readonly (readonly [zone: string, ms: number])[] = [
  ['Europe/Berlin', Date.UTC(2026, 2, 29, 1)],
  ['Europe/Berlin', Date.UTC(2026, 9, 25, 1)],
  ['America/New_York', Date.UTC(2026, 2, 8, 7)],
  ['America/New_York', Date.UTC(2026, 10, 1, 6)],
  ['Australia/Lord_Howe', Date.UTC(2026, 3, 4, 15)],
  ['Australia/Lord_Howe', Date.UTC(2026, 9, 3, 15, 30)],
  ['Africa/Cairo', Date.UTC(2026, 3, 23, 22)],
  ['Asia/Kolkata', Date.UTC(2026, 5, 1)],
  ['UTC', Date.UTC(2026, 5, 1)],
];

const time = fc
  .integer({ min: 0, max: 1439 })
  .map((minute) =>
    [minute / 60, minute % 60].map((part) => String(Math.trunc(part)).padStart(2, '0')).join(':'),
  );
const around = fc.constantFrom(...AROUND);
/** Seconds before and after. */
const offset = fc.integer({ min: -14 * 3600, max: 6 * 3600 });

const clocks = new Map(
  AROUND.map(([zone]) => [
    zone,
    new Intl.DateTimeFormat('de-DE', { timeZone: zone, hour: '2-digit', minute: '2-digit' }),
  ]),
);
function shown(ms: number, zone: string): string {
  return clocks.get(zone)!.format(ms);
}

describe('quiet hours by the clock on the wall', () => {
  it('end at the first minute that shows none of them', () => {
    fc.assert(
      fc.property(around, offset, time, time, ([zone, change], seconds, from, to) => {
        fc.pre(from !== to);
        const fromMs = change + seconds * 1000;
        const quiet = (ms: number) => {
          const now = shown(ms, zone);
          return from < to ? now >= from && now < to : now >= from || now < to;
        };
        let ms = fromMs;
        while (quiet(ms)) ms = Math.floor(ms / MINUTE) * MINUTE + MINUTE;
        expect(momentOutside(from, to, zone, fromMs)).toBe(ms);
        expect(isBetween(fromMs, from, to, zone)).toBe(quiet(fromMs));
      }),
      { numRuns: 400 },
    );
  });

  it('last into the hour that comes twice, and out of it', () => {
    const first = Date.UTC(2026, 9, 25, 0, 15);
    // 02:15 in summer time; 02:00 in winter time is outside, until 02:15 comes again.
    expect(momentOutside('02:15', '08:00', 'Europe/Berlin', first)).toBe(Date.UTC(2026, 9, 25, 1));
    expect(momentOutside('02:15', '08:00', 'Europe/Berlin', Date.UTC(2026, 9, 25, 1, 15))).toBe(
      Date.UTC(2026, 9, 25, 7),
    );
  });
});

describe('a time of day', () => {
  it('is the first moment at which the clock shows it, or at which it jumps over it', () => {
    fc.assert(
      fc.property(around, offset, time, ([zone, change], seconds, wanted) => {
        const fromMs = change + seconds * 1000;
        let ms = Math.floor(fromMs / MINUTE) * MINUTE + MINUTE;
        const minutes = (clock: string) => Number(clock.slice(0, 2)) * 60 + Number(clock.slice(3));
        const skipped = (at: number) => {
          const before = minutes(shown(at - MINUTE, zone));
          const jump = (minutes(shown(at, zone)) - before + 1440) % 1440;
          return jump <= 120 && (minutes(wanted) - before + 1440) % 1440 < jump && minutes(wanted) !== before;
        };
        while (shown(ms, zone) !== wanted && !skipped(ms)) ms += MINUTE;
        expect(momentOfTime(wanted, zone, fromMs)).toBe(ms);
      }),
      { numRuns: 400 },
    );
  });
});
