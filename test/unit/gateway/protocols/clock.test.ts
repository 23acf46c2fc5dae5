// Clock correction: what passed between a call and its sending is right whatever the client's clock says.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CLOCK_TOLERANCE_MS, correctedMs } from '../../../../gateway/protocols/segment/clock.ts';

const RECEIVED = Date.parse('2026-11-22T12:00:00Z');
const iso = (ms: number) => new Date(ms).toISOString();

describe('clock correction', () => {
  it('holds for any clock that is wrong by more than the tolerance', () => {
    const skew = fc.integer({ min: CLOCK_TOLERANCE_MS, max: 400 * 86_400_000 });
    fc.assert(
      fc.property(skew, fc.boolean(), fc.nat(60 * 86_400_000), (amount, ahead, waitedMs) => {
        const skewMs = ahead ? amount : -amount;
        const sentMs = RECEIVED + skewMs;
        const times = { timestamp: iso(sentMs - waitedMs), sentAt: iso(sentMs) };
        expect(correctedMs(times, RECEIVED)).toBe(RECEIVED - waitedMs);
      }),
    );
  });

  it('a clock that is about right is left alone, so that calls keep their order', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1 - CLOCK_TOLERANCE_MS, max: CLOCK_TOLERANCE_MS - 1 }), (skewMs) => {
        const saidMs = RECEIVED + skewMs - 70;
        expect(correctedMs({ timestamp: saidMs, sentAt: RECEIVED + skewMs }, RECEIVED)).toBe(saidMs);
      }),
    );
  });

  it.each([
    ['no times', {}, undefined],
    [
      'no sentAt: the time as it is said, as of an import',
      { timestamp: '2020-01-01T00:00:00Z' },
      1_577_836_800_000,
    ],
    ['a sentAt that cannot be read', { timestamp: 1000, sentAt: 'yesterday' }, 1000],
    ['a timestamp that cannot be read', { timestamp: 'yesterday', sentAt: iso(RECEIVED) }, undefined],
    ['a result before 1970', { timestamp: 0, sentAt: RECEIVED + 86_400_000 }, undefined],
    ['numbers that are none', { timestamp: Number.NaN, sentAt: Number.POSITIVE_INFINITY }, undefined],
  ])('%s', (_, times, expected) => {
    expect(correctedMs({ timestamp: undefined, sentAt: undefined, ...times }, RECEIVED)).toBe(expected);
  });
});
