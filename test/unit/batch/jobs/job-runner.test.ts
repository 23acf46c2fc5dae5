// When jobs run, who runs them and what becomes of it, by a clock that the test drives.
import { describe, expect, it } from 'vitest';
import type { JobRunner } from '../../../../batch/jobs/job-runner.ts';
import { HOUR_MS, jobOf, MINUTE_MS, Rig, settled, T0 } from './rig.ts';

const HOURLY = { cron: '0 * * * *' };

/** Processes that have seen the folder, one after another. */
async function processes<T extends readonly string[]>(rig: Rig, ...names: T): Promise<JobRunner[]> {
  const runners = names.map((name) => rig.runner(name));
  for (const runner of runners) await look(runner);
  return runners;
}

async function look(...runners: readonly { look(): Promise<void> }[]): Promise<void> {
  await Promise.all(runners.map((runner) => runner.look().catch(() => {})));
  await settled();
}

describe('a job with a schedule', () => {
  it('does not run for times before it was first seen, and runs when its time comes', async () => {
    const rig = new Rig();
    rig.jobs = [jobOf('rfm', HOURLY)];
    const a = rig.runner('a');
    await look(a);
    await rig.clock.pass(HOUR_MS - 1);
    await look(a);
    expect(rig.calls).toHaveLength(0);
    await rig.clock.pass(1);
    await look(a);
    expect(rig.call(0).open).toMatchObject({ run: 1, cause: 'schedule', dueMs: T0 + HOUR_MS, attempt: 1 });
    rig.call(0).end(7);
    await a.idle();
    expect(await rig.record('rfm')).toMatchObject({
      open: null,
      history: [{ run: 1, state: 'succeeded', rows: 7, owner: 'a', missed: 0, overlapped: 0 }],
    });
    await look(a);
    expect(rig.calls).toHaveLength(1);
  });

  it('is run by one of several processes', async () => {
    const rig = new Rig();
    rig.jobs = [jobOf('rfm', HOURLY)];
    const all = await processes(rig, 'a', 'bb', 'ccc');
    for (let hour = 1; hour <= 5; hour++) {
      await rig.clock.pass(HOUR_MS);
      await look(...all);
      await look(...all);
      expect(rig.calls).toHaveLength(hour);
      rig.call(hour - 1).end(1);
      await settled();
    }
    expect((await rig.record('rfm')).history.map(({ run }) => run)).toEqual([1, 2, 3, 4, 5]);
  });

  it('catches up once what was missed, or skips it', async () => {
    const rig = new Rig();
    rig.jobs = [jobOf('once', HOURLY), jobOf('skip', { ...HOURLY, catchUp: 'skip' })];
    await look(rig.runner('a'));
    await rig.clock.pass(5 * HOUR_MS + 30 * MINUTE_MS);
    const b = rig.runner('b');
    await look(b);
    expect(rig.call(0).job.name).toBe('once');
    expect(rig.call(0).open).toMatchObject({ cause: 'catch_up', dueMs: T0 + 5 * HOUR_MS, missed: 4 });
    rig.call(0).end(1);
    await b.idle();
    await look(b);
    expect(rig.calls).toHaveLength(1);
    expect((await rig.record('skip')).history).toMatchObject([{ state: 'skipped', missed: 5, rows: null }]);
    await rig.clock.pass(30 * MINUTE_MS);
    await look(b);
    rig.call(1).end(1);
    await b.idle();
    await look(b);
    expect(rig.calls.map(({ job, open }) => [job.name, open.cause])).toEqual([
      ['once', 'catch_up'],
      ['once', 'schedule'],
      ['skip', 'schedule'],
    ]);
  });

  it('begins no second run while one goes on: the times are counted', async () => {
    const rig = new Rig();
    rig.jobs = [jobOf('rfm', { ...HOURLY, timeoutMs: 10 * HOUR_MS })];
    const [a, b] = (await processes(rig, 'a', 'b')) as [JobRunner, JobRunner];
    await rig.clock.pass(HOUR_MS);
    await look(a, b);
    await rig.clock.pass(3 * HOUR_MS + MINUTE_MS);
    await look(a, b);
    expect(rig.calls).toHaveLength(1);
    rig.call(0).end(1);
    await a.idle();
    await look(a, b);
    expect(rig.calls).toHaveLength(1);
    expect((await rig.record('rfm')).history).toMatchObject([{ overlapped: 3 }]);
    await rig.clock.pass(HOUR_MS - MINUTE_MS);
    await look(a, b);
    expect(rig.call(1).open).toMatchObject({ run: 2, cause: 'schedule', dueMs: T0 + 5 * HOUR_MS });
  });

  it('waits for a free process without being skipped', async () => {
    const rig = new Rig();
    rig.jobs = [jobOf('long', { timeoutMs: 5 * HOUR_MS }), jobOf('skip', { ...HOURLY, catchUp: 'skip' })];
    const a = rig.runner('a');
    await look(a);
    await rig.ask('long');
    await look(a);
    await rig.clock.pass(HOUR_MS);
    await look(a);
    await rig.clock.pass(10 * MINUTE_MS);
    rig.call(0).end(1);
    await a.idle();
    await look(a);
    expect(rig.call(1).job.name).toBe('skip');
  });
});

describe('dependencies', () => {
  it('that are due run first', async () => {
    const rig = new Rig();
    rig.jobs = [jobOf('base', HOURLY), jobOf('next', { ...HOURLY, dependsOn: ['base'] })];
    const [a, b] = (await processes(rig, 'a', 'b')) as [JobRunner, JobRunner];
    await rig.clock.pass(HOUR_MS);
    await look(a, b);
    await look(a, b);
    expect(rig.calls.map(({ job }) => job.name)).toEqual(['base']);
    rig.call(0).end(1);
    await settled();
    await look(a, b);
    expect(rig.calls.map(({ job }) => job.name)).toEqual(['base', 'next']);
  });

  it('without a schedule are run for each that needs them', async () => {
    const rig = new Rig();
    rig.jobs = [jobOf('base'), jobOf('next', { ...HOURLY, dependsOn: ['base'] })];
    const a = rig.runner('a');
    await look(a);
    for (let hour = 0; hour < 2; hour++) {
      await rig.clock.pass(HOUR_MS);
      await look(a);
      await look(a);
      rig.call(2 * hour).end(1);
      await a.idle();
      await look(a);
      rig.call(2 * hour + 1).end(1);
      await a.idle();
    }
    expect(rig.calls.map(({ job, open }) => [job.name, open.cause])).toEqual([
      ['base', 'dependency'],
      ['next', 'schedule'],
      ['base', 'dependency'],
      ['next', 'schedule'],
    ]);
  });

  it('that failed, or are not done in time, refuse the run', async () => {
    const rig = new Rig();
    rig.jobs = [
      jobOf('base', { timeoutMs: 10 * HOUR_MS }),
      jobOf('next', { dependsOn: ['base'], timeoutMs: 10 * MINUTE_MS }),
    ];
    const [a, b] = (await processes(rig, 'a', 'b')) as [JobRunner, JobRunner];
    await rig.ask('next');
    await look(a);
    await look(a);
    rig.call(0).fail('no such column');
    await a.idle();
    await look(a);
    await rig.clock.pass(1);
    await rig.ask('next');
    await look(a);
    await look(a);
    await rig.clock.pass(10 * MINUTE_MS);
    await look(b);
    expect((await rig.record('next')).request).not.toBeNull();
    await rig.clock.pass(1);
    await look(b);
    await settled();
    expect((await rig.record('next')).history).toMatchObject([
      { state: 'refused', error: 'base, on which it depends, failed: no such column' },
      { state: 'refused', error: 'base, on which it depends, was not done in time' },
    ]);
    expect(rig.calls.map(({ job }) => job.name)).toEqual(['base', 'base']);
  });
});

describe('a run whose process', () => {
  async function begun(rig: Rig) {
    rig.jobs = [jobOf('rfm')];
    const [a, b] = [rig.runner('a'), rig.runner('b')];
    await rig.ask('rfm');
    await look(a);
    await look(b);
    expect(rig.calls).toHaveLength(1);
    return { a, b };
  }

  it('died is taken over and finished once; what the dead one still says is refused', async () => {
    const rig = new Rig();
    const { a, b } = await begun(rig);
    rig.presence.there.delete('a');
    await look(b);
    expect(rig.call(1).open).toMatchObject({ run: 1, attempt: 2, owner: 'b', startedMs: T0 });
    rig.call(0).endBlindly(100);
    await a.idle();
    expect(rig.told).toEqual(['a lost rfm']);
    expect(await rig.record('rfm')).toMatchObject({ open: { owner: 'b' }, history: [] });
    rig.call(1).end(7);
    await b.idle();
    expect((await rig.record('rfm')).history).toMatchObject([{ run: 1, rows: 7, owner: 'b', attempt: 2 }]);
  });

  it('hangs ends its own when it comes back', async () => {
    const rig = new Rig();
    const { b } = await begun(rig);
    rig.presence.there.delete('a');
    await look(b);
    expect(rig.call(0).signal.aborted).toBe(false);
    await rig.clock.pass(2001);
    expect(rig.call(0).signal.aborted).toBe(true);
    expect(rig.call(1).signal.aborted).toBe(false);
  });

  it('died after its rows came into force is not computed again', async () => {
    const rig = new Rig();
    const { b } = await begun(rig);
    rig.presence.there.delete('a');
    rig.current.rfm = { run: 1, atMs: T0, rows: 42, by: 'job rfm, run 1' };
    await look(b);
    await b.idle();
    expect(rig.calls).toHaveLength(1);
    expect((await rig.record('rfm')).history).toMatchObject([
      { run: 1, state: 'succeeded', rows: 42, attempt: 2 },
    ]);
  });

  it('dies every time fails after some', async () => {
    const rig = new Rig();
    await begun(rig);
    rig.presence.there.delete('a');
    for (const name of ['bb', 'ccc', 'dddd']) {
      await look(rig.runner(name));
      rig.presence.there.delete(name);
    }
    expect(rig.calls).toHaveLength(3);
    expect((await rig.record('rfm')).history).toMatchObject([
      { state: 'failed', error: '3 processes ended while they had this run' },
    ]);
  });

  it('stops is given back, and begun anew elsewhere', async () => {
    const rig = new Rig();
    const { a, b } = await begun(rig);
    a.start();
    await settled();
    await a.stop();
    expect(rig.call(0).signal.aborted).toBe(true);
    expect(await rig.record('rfm')).toMatchObject({ open: null, request: { cause: 'request' }, history: [] });
    await look(b);
    rig.call(1).end(3);
    await b.idle();
    expect((await rig.record('rfm')).history).toMatchObject([{ run: 2, state: 'succeeded', owner: 'b' }]);
  });
});

describe('a run', () => {
  it('that takes longer than its timeout fails', async () => {
    const rig = new Rig();
    rig.jobs = [jobOf('rfm', { timeoutMs: 5 * MINUTE_MS })];
    const a = rig.runner('a');
    await rig.ask('rfm');
    await look(a);
    await rig.clock.pass(5 * MINUTE_MS - 1);
    expect(rig.call(0).signal.aborted).toBe(false);
    await rig.clock.pass(1);
    await a.idle();
    const { history } = await rig.record('rfm');
    expect(history).toMatchObject([{ state: 'failed', error: 'it took longer than its timeout of 300 s' }]);
  });

  it('is stored once when the store gives no answer', async () => {
    const rig = new Rig();
    rig.jobs = [jobOf('rfm')];
    const a = rig.runner('a');
    await rig.ask('rfm');
    await look(a);
    rig.call(0).log('a line');
    for (let i = 0; i < 2; i++)
      rig.store.next.push((_writes, apply) => {
        apply();
        return { kind: 'unknown', reason: 'no answer' };
      });
    rig.call(0).end(3);
    await rig.clock.pass(10_000);
    await a.idle();
    expect(await rig.record('rfm')).toMatchObject({ open: null, history: [{ run: 1, state: 'succeeded' }] });
  });

  it('remembers the last hundred', async () => {
    const rig = new Rig();
    rig.jobs = [jobOf('rfm')];
    const a = rig.runner('a');
    for (let i = 0; i < 103; i++) {
      await rig.ask('rfm');
      await look(a);
      rig.call(i).end(1);
      await a.idle();
    }
    const { history, lastRun } = await rig.record('rfm');
    expect([history.length, history[0]?.run, lastRun]).toEqual([100, 4, 103]);
  });
});
