// The keeper of an archive: every message once, whatever step it dies at, and whoever else writes at the same time.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Fenced, Keeper, Unsound } from '../../../batch/archive/keeper.ts';
import { loadManifest } from '../../../batch/archive/manifest-store.ts';
import { decodeArchiveRecord } from '../../../shared/contract/archive-record.ts';
import type { ArchiveStorage } from '../../../shared/ports/archive-storage.ts';
import { HOUR_MS, makeRig, NO_LIMITS, numbers, type Rig, T0 } from './rig.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await makeRig();
});
afterEach(() => rig.close());

const record = () => decodeArchiveRecord(rig.store.record('h.archive').value!);
const names = async () =>
  (await rig.storage.list('')).map(({ name }) => name).filter((name) => name.endsWith('parquet'));
const compactAll = { nowMs: T0 + 48 * HOUR_MS, graceMs: 0, bytesMax: 1e9, filesMax: 100 };

describe('a commit', () => {
  it('puts each hour in a file of its own and tells how far the archive has come', async () => {
    rig.log.fill(10, T0 + HOUR_MS - 4000);
    const keeper = await rig.claim('a');
    expect(await keeper.commit(await rig.log.state(), NO_LIMITS)).toBe(0);
    expect(await names()).toEqual([
      'date=2026-11-23/hour=10/1-4.1.parquet',
      'date=2026-11-23/hour=11/5-10.1.parquet',
    ]);
    expect(await rig.archived()).toEqual(numbers(1, 10));
    expect(record()).toMatchObject({ owner: 'a', position: 10, rows: 10, files: 2, logId: 'log-1' });
  });

  it('closes at its limits and goes on behind them', async () => {
    rig.log.fill(50);
    const keeper = await rig.claim('a');
    const state = await rig.log.state();
    expect(await keeper.commit(state, { ...NO_LIMITS, rowsMax: 20 })).toBe(30);
    expect(await keeper.commit(state, { ...NO_LIMITS, bytesMax: 1 })).toBe(23);
    expect(await keeper.commit(state, NO_LIMITS)).toBe(0);
    expect(await rig.archived()).toEqual(numbers(1, 50));
  });

  it('passes over what was removed from the log, and tells', async () => {
    rig.log.fill(10);
    rig.log.messages = rig.log.messages.filter(({ sequence }) => sequence !== 4 && sequence < 9);
    const keeper = await rig.claim('a');
    await keeper.commit(await rig.log.state(), NO_LIMITS);
    expect(await rig.archived()).toEqual([1, 2, 3, 5, 6, 7, 8]);
    expect(keeper.manifest.position).toBe(10);
    expect(rig.told.filter(({ name }) => name === 'missing').map(({ detail }) => detail)).toEqual([[3, 10]]);
  });

  it('begins with what the log still has', async () => {
    rig.log.fill(10);
    rig.log.purge(6);
    const keeper = await rig.claim('a');
    await keeper.commit(await rig.log.state(), NO_LIMITS);
    expect(await rig.archived()).toEqual([7, 8, 9, 10]);
    expect(keeper.manifest.startsAfter).toBe(6);
    expect(rig.told.some(({ name }) => name === 'missing')).toBe(false);
  });
});

describe('a compaction', () => {
  it('makes one file of a finished hour, with the same rows', async () => {
    const keeper = await rig.claim('a');
    for (const from of [0, 60, 120]) {
      rig.log.fill(5, T0 + from * 1000);
      await keeper.commit(await rig.log.state(), NO_LIMITS);
    }
    rig.log.fill(5, T0 + HOUR_MS);
    await keeper.commit(await rig.log.state(), NO_LIMITS);
    const notYet = { ...compactAll, nowMs: T0 + HOUR_MS + 60_000, graceMs: 60_001 };
    expect(await keeper.compact(notYet)).toBe(false);
    expect(await keeper.compact({ ...notYet, graceMs: 60_000 })).toBe(true);
    expect(await names()).toEqual([
      'date=2026-11-23/hour=10/1-15.1.parquet',
      'date=2026-11-23/hour=11/16-20.1.parquet',
    ]);
    expect(await rig.archived()).toEqual(numbers(1, 20));
    expect(await keeper.compact(compactAll)).toBe(false);
  });
});

/** A storage that dies at its n-th step: before it or after it. */
function dying(storage: ArchiveStorage, at: number, when: 'before' | 'after'): ArchiveStorage {
  let steps = 0;
  const step = async <T>(run: () => Promise<T>): Promise<T> => {
    steps += 1;
    if (steps > at || (steps === at && when === 'before')) throw new Error('dead');
    const result = await run();
    if (steps === at) throw new Error('dead');
    return result;
  };
  return {
    ...storage,
    put: (name, content) => step(() => storage.put(name, content)),
    remove: (name) => step(() => storage.remove(name)),
    removeUnfinished: () => step(() => storage.removeUnfinished()),
  };
}

describe('a keeper that dies', () => {
  it.each(['before', 'after'] as const)('%s any step leaves neither a hole nor a double', async (when) => {
    let survived = false;
    for (let at = 1; !survived; at++) {
      await rig.close();
      rig = await makeRig();
      rig.log.fill(10, T0 + HOUR_MS - 5000);
      const storage = dying(rig.storage, at, when);
      try {
        const first = await rig.claim('a', { storage });
        await first.commit(await rig.log.state(), { ...NO_LIMITS, rowsMax: 4 });
        await first.commit(await rig.log.state(), NO_LIMITS);
        await first.compact(compactAll);
        survived = true;
      } catch (error) {
        expect(String(error)).toContain('dead');
      }
      rig.log.fill(5, T0 + 2 * HOUR_MS);
      const second = await rig.claim('b');
      await second.commit(await rig.log.state(), NO_LIMITS);
      expect(await rig.archived(), `died ${when} step ${at}`).toEqual(numbers(1, 15));
      expect((await names()).sort()).toEqual([...second.manifest.files.keys()].sort());
      while (await second.compact(compactAll));
      expect(await rig.archived()).toEqual(numbers(1, 15));
      if (at > 40) throw new Error('it never ran to its end');
    }
  });
});

describe('two keepers', () => {
  it('do not have the archive at once while the first is there', async () => {
    const gone = rig.presence.answer('a');
    await rig.claim('a');
    expect(await Keeper.claim(rig.deps('b'), new AbortController().signal)).toBeUndefined();
    gone();
    expect(await Keeper.claim(rig.deps('b'), new AbortController().signal)).toBeDefined();
  });

  it('the first cannot commit, compact or remove any more once the second has claimed', async () => {
    const first = await rig.claim('a');
    for (let part = 0; part < 2; part++) {
      rig.log.fill(5, T0 + part * 60_000);
      await first.commit(await rig.log.state(), NO_LIMITS);
    }
    rig.log.fill(5, T0 + 120_000);
    const second = await rig.claim('b');
    await expect(first.check()).rejects.toThrow(Fenced);
    await expect(first.commit(await rig.log.state(), NO_LIMITS)).rejects.toThrow(Fenced);
    await expect(first.compact(compactAll)).rejects.toThrow(Fenced);
    await second.commit(await rig.log.state(), NO_LIMITS);
    expect(await rig.archived()).toEqual(numbers(1, 15));
    expect(record()).toMatchObject({ owner: 'b', position: 15 });
  });

  it('the first removes nothing of the second, however long it was held up before it cleans up', async () => {
    rig.log.fill(5);
    let goOn: () => void = () => {};
    const heldUp = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    let reached: () => void = () => {};
    const atCleaning = new Promise<void>((resolve) => {
      reached = resolve;
    });
    const list = async (prefix: string) => {
      if (prefix === '') {
        reached();
        await heldUp;
      }
      return rig.storage.list(prefix);
    };
    const first = rig.claim('a', { storage: { ...rig.storage, list } });
    await atCleaning;
    const second = await rig.claim('b');
    await second.commit(await rig.log.state(), NO_LIMITS);
    goOn();
    await expect(first).rejects.toThrow(Fenced);
    expect(await rig.archived()).toEqual(numbers(1, 5));
  });

  it('every interleaving of two that both take themselves for the keeper: each message once', async () => {
    rig.log.fill(3);
    const keepers: Keeper[] = [];
    for (let round = 0; round < 12; round++) {
      keepers.push(await rig.claim(`k${round}`));
      rig.log.fill(3, T0 + round * 10 * 60_000);
      const state = await rig.log.state();
      const acts = keepers
        .slice(-2)
        .flatMap((keeper) => [keeper.commit(state, NO_LIMITS), keeper.compact(compactAll)]);
      await Promise.allSettled(acts);
      const { position } = await loadManifest(rig.storage);
      expect(await rig.archived()).toEqual(numbers(1, position));
    }
    const last = await rig.claim('last');
    await last.commit(await rig.log.state(), NO_LIMITS);
    expect(await rig.archived()).toEqual(numbers(1, rig.log.lastSequence));
  });
});

describe('an archive that does not belong to the log', () => {
  it.each([
    ['another log', { createdAt: 'log-2' }],
    ['a log that fell back', { lastSequence: 3 }],
  ])('is not written to: %s', async (_, change) => {
    rig.log.fill(5);
    const keeper = await rig.claim('a');
    await keeper.commit(await rig.log.state(), NO_LIMITS);
    Object.assign(rig.log, change);
    await expect(rig.claim('b')).rejects.toThrow(Unsound);
  });

  it('is not begun anew in an empty folder', async () => {
    rig.log.fill(5);
    const keeper = await rig.claim('a');
    await keeper.commit(await rig.log.state(), NO_LIMITS);
    for (const { name } of await rig.storage.list('')) await rig.storage.remove(name);
    await expect(rig.claim('b')).rejects.toThrow('batch archive detach');
  });
});
