// The archiver's life: when it commits, what it does after a failure, and what it tells.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Archiver, type ArchiverOptions } from '../../../batch/archive/archiver.ts';
import type { KeeperDeps } from '../../../batch/archive/keeper.ts';
import { decodeArchiveRecord } from '../../../shared/contract/archive-record.ts';
import { StitchworkError } from '../../../shared/kernel/errors.ts';
import { makeRig, NO_LIMITS, numbers, type Rig } from './rig.ts';

let rig: Rig;
let archivers: Archiver[];
beforeEach(async () => {
  rig = await makeRig();
  archivers = [];
});
afterEach(async () => {
  await Promise.all(archivers.map((archiver) => archiver.stop()));
  await rig.close();
});

function start(
  owner: string,
  options: Partial<ArchiverOptions> = {},
  part: Partial<KeeperDeps> = {},
): Archiver {
  const archiver = new Archiver(rig.deps(owner, part), options);
  archivers.push(archiver);
  archiver.start();
  return archiver;
}

const record = () => {
  const { value } = rig.store.record('h.archive');
  return value === null ? undefined : decodeArchiveRecord(value);
};
const toldOf = (name: string) => rig.told.filter((entry) => entry.name === name).map(({ detail }) => detail);

/** Turns of the event loop until it holds; the clock of the rig passes by itself. */
async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!condition()) {
    if (performance.now() > end)
      throw new Error(`never happened; told: ${JSON.stringify(rig.told.slice(-10))}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('an archiver', () => {
  it('lets messages gather for the flush time, and no longer', async () => {
    rig.log.fill(5);
    const startedMs = rig.clock.ms;
    start('a', { flushMs: 10_000, pollMs: 1000 });
    await until(() => record()?.position === 5);
    expect(rig.clock.ms - startedMs).toBeGreaterThanOrEqual(10_000);
    expect(toldOf('committed')).toMatchObject([[{ rows: 5, position: 5 }]]);
  });

  it('commits at once when enough have gathered, as often as it takes', async () => {
    rig.log.fill(50);
    start('a', { flushMs: 1e12, rowsMax: 10 });
    await until(() => record()?.position === 50);
    expect(toldOf('committed')).toHaveLength(5);
    expect(await rig.archived()).toEqual(numbers(1, 50));
  });

  it('lets the next one have the archive when it is stopped', async () => {
    rig.log.fill(5);
    const first = start('a', { flushMs: 0 });
    await until(() => record()?.position === 5);
    start('b', { flushMs: 0 });
    await first.stop();
    expect(record()?.owner).not.toBe('a');
    rig.log.fill(5);
    await until(() => record()?.position === 10);
    expect(record()?.owner).toBe('b');
    expect(await rig.archived()).toEqual(numbers(1, 10));
  });

  it('begins anew after whatever the store answers', async () => {
    rig.log.fill(40);
    const outcomes: Rig['store']['next'] = [];
    for (let round = 0; round < 10; round++) {
      outcomes.push(
        () => ({ kind: 'unknown', reason: 'not stored' }),
        (_, apply) => {
          apply();
          return { kind: 'unknown', reason: 'stored' };
        },
        () => ({ kind: 'busy', reason: 'busy' }),
        (_, apply) => apply(),
      );
    }
    rig.store.next.push(...outcomes);
    start('a', { flushMs: 0, rowsMax: 3 });
    await until(() => record()?.position === 40);
    expect(await rig.archived()).toEqual(numbers(1, 40));
  });

  it('begins anew after failures of log, store and storage', async () => {
    rig.log.fill(20);
    let failures = 0;
    const failing = <A extends unknown[], R>(run: (...args: A) => Promise<R>) => {
      let calls = 0;
      return (...args: A): Promise<R> => {
        calls += 1;
        if (calls % 4 !== 0 || failures >= 12) return run(...args);
        failures += 1;
        return Promise.reject(new StitchworkError('LOG_UNAVAILABLE'));
      };
    };
    const { storage, log, store } = rig;
    const part: Partial<KeeperDeps> = {
      log: { state: failing(() => log.state()) },
      store: {
        ...store,
        read: failing((...args) => store.read(...args)),
        commit: (w) => store.commit(w),
        keyAt: (s) => store.keyAt(s),
      },
      storage: { ...storage, put: failing((...args) => storage.put(...args)) },
    };
    start('a', { flushMs: 0, rowsMax: 3, retryMs: 1 }, part);
    await until(() => record()?.position === 20);
    expect(failures).toBe(12);
    expect(toldOf('failed').length).toBeGreaterThan(0);
    expect(await rig.archived()).toEqual(numbers(1, 20));
  });

  it('tells once why it is halted, and goes on when that is mended', async () => {
    rig.log.fill(5);
    const keeper = await rig.claim('before');
    await keeper.commit(await rig.log.state(), NO_LIMITS);
    rig.log.createdAt = 'log-2';
    start('a', { flushMs: 0 });
    await until(() => toldOf('state').filter(([state]) => state === 'halted').length > 3);
    expect(toldOf('halted')).toHaveLength(1);
    expect(toldOf('failed')).toEqual([]);
    rig.log.createdAt = 'log-1';
    rig.log.fill(5);
    await until(() => record()?.position === 10);
    expect(await rig.archived()).toEqual(numbers(1, 10));
  });

  it('stops as soon as the log is replaced under it', async () => {
    rig.log.fill(5);
    start('a', { flushMs: 0 });
    await until(() => record()?.position === 5);
    rig.log.createdAt = 'log-2';
    rig.log.fill(5);
    await until(() => toldOf('halted').length === 1);
    expect(record()?.position).toBe(5);
  });
});
