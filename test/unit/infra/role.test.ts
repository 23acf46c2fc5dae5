// The life of a role's process: signals, failure, the deadline for stopping.
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { type RunningRole, runRole } from '../../../infra/role.ts';
import type { Clock } from '../../../shared/kernel/clock.ts';

const log = pino({ level: 'silent' });
const NEVER = new Promise<never>(() => {});
/** Never lets time pass; rejects when aborted, as the real one does. */
const frozen: Clock = {
  nowMs: () => 0,
  elapsedMs: () => 0,
  sleep: (_ms, signal) =>
    new Promise((_, reject) =>
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true }),
    ),
};
/** Every wait is over at once. */
const hasty: Clock = { nowMs: () => 0, elapsedMs: () => 0, sleep: async () => {} };

function role(given: Partial<RunningRole> = {}): { role: RunningRole; stopped: () => number } {
  let stops = 0;
  const stop = async () => {
    stops += 1;
  };
  return { role: { stop, failed: NEVER, ...given }, stopped: () => stops };
}

describe('a role', () => {
  it('stops once on a signal and exits 0', async () => {
    const { role: running, stopped } = role();
    const ended = runRole(async () => running, { log, clock: frozen, stopDeadlineMs: 1 });
    process.emit('SIGTERM', 'SIGTERM');
    expect(await ended).toEqual({ exitCode: 0 });
    expect(stopped()).toBe(1);
    expect(process.listenerCount('SIGTERM')).toBe(0);
  });

  it('told to stop while it starts, stops when it has started', async () => {
    const { role: running, stopped } = role();
    let started: (role: RunningRole) => void = () => {};
    const ended = runRole(
      () =>
        new Promise((resolve) => {
          started = resolve;
        }),
      { log, clock: frozen, stopDeadlineMs: 1 },
    );
    process.emit('SIGINT', 'SIGINT');
    expect(stopped()).toBe(0);
    started(running);
    expect(await ended).toEqual({ exitCode: 0 });
    expect(stopped()).toBe(1);
  });

  it('that fails is stopped and exits 1', async () => {
    const { role: running, stopped } = role({ failed: Promise.resolve(new Error('broke')) });
    expect(await runRole(async () => running, { log, clock: frozen, stopDeadlineMs: 1 })).toEqual({
      exitCode: 1,
    });
    expect(stopped()).toBe(1);
  });

  it('that does not stop in time, or fails to, exits 1', async () => {
    const cases = [
      { stop: () => NEVER, clock: hasty },
      { stop: () => Promise.reject(new Error('stuck')), clock: frozen },
    ];
    for (const { stop, clock } of cases) {
      const { role: running } = role({ stop });
      const ended = runRole(async () => running, { log, clock, stopDeadlineMs: 1 });
      process.emit('SIGTERM', 'SIGTERM');
      expect(await ended).toEqual({ exitCode: 1 });
    }
  });

  it('that cannot start throws, and leaves no handler behind', async () => {
    const start = () => Promise.reject(new Error('no server'));
    await expect(runRole(start, { log, clock: frozen, stopDeadlineMs: 1 })).rejects.toThrow('no server');
    expect(process.listenerCount('SIGTERM')).toBe(0);
  });
});
