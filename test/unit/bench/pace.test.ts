// Open loop on a clock that only moves when somebody waits: what is late counts from when it should have left.
import { describe, expect, it } from 'vitest';
import { measureOpenLoop, openLoop, type Timer } from '../../../infra/bench/pace.ts';

/** Time that stands still between waits; a stall makes one wait longer than it was asked to. */
function fakeTimer(stall?: {
  readonly fromMs: number;
  readonly toMs: number;
}): Timer & { setMs(ms: number): void } {
  let nowMs = 1000;
  return {
    nowMs: () => nowMs,
    setMs: (ms) => {
      nowMs = ms;
    },
    async waitUntil(atMs) {
      // What was answered before is noted before the time moves.
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
      nowMs = stall && atMs >= stall.fromMs && nowMs < stall.toMs ? stall.toMs : atMs;
    },
  };
}

describe('open loop', () => {
  it('sends by the schedule, the first at once', async () => {
    const timer = fakeTimer();
    const sent: [number, number, number][] = [];
    await openLoop({ ratePerSecond: 200, count: 4 }, timer, (index, intendedMs) =>
      sent.push([index, intendedMs, timer.nowMs()]),
    );
    expect(sent).toEqual([
      [0, 1000, 1000],
      [1, 1005, 1005],
      [2, 1010, 1010],
      [3, 1015, 1015],
    ]);
  });

  it('after a stall sends all that is late at once, leaves none out, and keeps to the old schedule', async () => {
    const timer = fakeTimer({ fromMs: 1020, toMs: 1052 });
    const sent: [number, number][] = [];
    await openLoop({ ratePerSecond: 100, count: 7 }, timer, (_, intendedMs) =>
      sent.push([intendedMs, timer.nowMs()]),
    );
    expect(sent).toEqual([
      [1000, 1000],
      [1010, 1010],
      [1020, 1052],
      [1030, 1052],
      [1040, 1052],
      [1050, 1052],
      [1060, 1060],
    ]);
  });

  it('counts the stall of the sender in every latency that it delayed', async () => {
    const timer = fakeTimer({ fromMs: 1020, toMs: 1052 });
    const answered = async () => true;
    const { latenciesMs } = await measureOpenLoop({ ratePerSecond: 100, count: 7 }, timer, answered);
    expect(latenciesMs).toEqual([0, 0, 32, 22, 12, 2, 0]);
  });

  it('counts a slow answer from the intended moment, and failures apart', async () => {
    const timer = fakeTimer();
    const open: ((ok: boolean) => void)[] = [];
    const measured = measureOpenLoop({ ratePerSecond: 1000, count: 3 }, timer, () => {
      return new Promise((resolve) => open.push(resolve));
    });
    while (open.length < 3) await Promise.resolve();
    timer.setMs(1100);
    open.forEach((resolve, index) => {
      resolve(index !== 1);
    });
    const { latenciesMs, failed } = await measured;
    expect(failed).toBe(1);
    expect(latenciesMs).toEqual([100, 98]);
  });
});
