// Archive and log as one list: the same as the log alone would have been, wherever the one ends and whatever happens to
// either while it is read.
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createEventHistory } from '../../../batch/archive/history.ts';
import { createMemoryStorage } from '../../../batch/archive/memory-storage.ts';
import type { HistoryQuery } from '../../../shared/ports/event-history.ts';
import type { LogMessage } from '../../../shared/ports/event-log.ts';
import { HOUR_MS, makeRig, NO_LIMITS, numbers, type Rig, T0 } from './rig.ts';

let rig: Rig;
beforeEach(async () => {
  rig = await makeRig();
});
afterEach(() => rig.close());

const signal = new AbortController().signal;
const compactAll = { nowMs: T0 + 48 * HOUR_MS, graceMs: 0, bytesMax: 1e9, filesMax: 100 };
const history = (storage = rig.storage) =>
  createEventHistory({
    storage,
    log: rig.log,
    scan: rig.log,
    duck: rig.duck,
    scratch: `${rig.folder}/scratch`,
  });

/** Reads all; `between` is called after each part, with how many messages have come. */
async function sequencesOf(
  query: HistoryQuery,
  between: (count: number) => Promise<void> = async () => {},
  reader = history(),
): Promise<readonly number[]> {
  const found: number[] = [];
  for await (const messages of reader.read(query, signal)) {
    found.push(...messages.map(({ sequence }) => sequence));
    await between(found.length);
  }
  return found;
}

async function archive(rowsMax = NO_LIMITS.rowsMax): Promise<void> {
  const keeper = await rig.claim('a');
  while ((await keeper.commit(await rig.log.state(), { ...NO_LIMITS, rowsMax })) > 0);
}

function expected(all: readonly LogMessage[], query: HistoryQuery): readonly number[] {
  const { fromSequence = 1, toSequence = Number.POSITIVE_INFINITY, shards, keys } = query;
  const { fromTimeMs = 0, toTimeMs = Number.POSITIVE_INFINITY } = query;
  return all
    .filter(({ sequence, timeMs, shard, payload }) => {
      const sent = JSON.parse(Buffer.from(payload).toString()).event.keys as Record<string, string>;
      const hasKey =
        keys === undefined || Object.entries(keys).some(([name, list]) => list.includes(sent[name]!));
      const isInRange = sequence >= fromSequence && sequence <= toSequence;
      return (
        isInRange && timeMs >= fromTimeMs && timeMs < toTimeMs && hasKey && (shards?.includes(shard) ?? true)
      );
    })
    .map(({ sequence }) => sequence);
}

describe('a reading', () => {
  it('without an archive is the log', async () => {
    rig.log.fill(20);
    rig.log.purge(5);
    expect(await sequencesOf({})).toEqual(numbers(6, 20));
    expect(await history().beginning()).toEqual({ logId: 'log-1', firstSequence: 6, keptFromMs: T0 + 5000 });
  });

  it('tells from when the archive reaches back', async () => {
    rig.log.fill(20);
    rig.log.purge(5);
    await archive();
    rig.log.purge(20);
    expect(await history().beginning()).toEqual({ logId: 'log-1', firstSequence: 6, keptFromMs: T0 + 5000 });
    expect(await sequencesOf({})).toEqual(numbers(6, 20));
  });

  it('is the same wherever the archive ends, by any query', async () => {
    const times = fc.integer({ min: T0 - 1000, max: T0 + 70_000 });
    const places = fc.integer({ min: 0, max: 65 });
    const query = fc.record(
      {
        fromSequence: places,
        toSequence: places,
        fromTimeMs: times,
        toTimeMs: times,
        shards: fc.subarray([0, 1, 2, 3, 9]),
        keys: fc.record({ email: fc.subarray(['c1@example.com', 'c2@example.com', "it's"]) }),
      },
      { requiredKeys: [] },
    );
    rig.log.fill(20);
    await archive(7);
    rig.log.fill(20, T0 + 20_000);
    const all = [...rig.log.messages];
    rig.log.purge(11);
    await fc.assert(
      fc.asyncProperty(query, async (one) => {
        expect(await sequencesOf(one)).toEqual(expected(all, one));
      }),
      { numRuns: 80 },
    );
  });

  it('gives what stands in another order in the files in the order of the log', async () => {
    const hours = [0, 1, 0, 1, 1, 0];
    for (const hour of hours) rig.log.fill(2, T0 + hour * HOUR_MS);
    await archive();
    expect(await sequencesOf({})).toEqual(numbers(1, 12));
  });

  it('goes back to the archive when the log gives up what it was about to read', async () => {
    rig.log.fill(30);
    const seen = await sequencesOf({}, async (count) => {
      if (count !== 7) return;
      await archive();
      rig.log.purge(30);
    });
    expect(seen).toEqual(numbers(1, 30));
  });

  it('goes back to the archive when the log gives up part of what it was about to read', async () => {
    rig.log.fill(30);
    const seen = await sequencesOf({}, async (count) => {
      if (count !== 7) return;
      await archive();
      rig.log.purge(20);
    });
    expect(seen).toEqual(numbers(1, 30));
  });

  it('passes over what was removed from the log', async () => {
    rig.log.fill(30);
    rig.log.messages = rig.log.messages.filter(({ sequence }) => ![1, 10, 11, 30].includes(sequence));
    const kept = numbers(1, 30).filter((sequence) => ![1, 10, 11, 30].includes(sequence));
    expect(await sequencesOf({})).toEqual(kept);
    await archive(8);
    rig.log.fill(2);
    expect(await sequencesOf({})).toEqual([...kept, 31, 32]);
  });

  it('goes on when files are put together under it', async () => {
    const keeper = await rig.claim('a');
    for (let part = 0; part < 4; part++) {
      rig.log.fill(5, T0 + part * 60_000);
      await keeper.commit(await rig.log.state(), NO_LIMITS);
    }
    let compacted = false;
    const seen = await sequencesOf({}, async () => {
      if (!compacted) compacted = await keeper.compact(compactAll);
    });
    expect(compacted).toBe(true);
    expect(seen).toEqual(numbers(1, 20));
  });

  it('fetches files that do not lie on this machine', async () => {
    const storage = createMemoryStorage();
    rig.log.fill(10);
    const keeper = await rig.claim('a', { storage });
    await keeper.commit(await rig.log.state(), NO_LIMITS);
    rig.log.fill(5, T0 + 20_000);
    await keeper.commit(await rig.log.state(), NO_LIMITS);
    expect(await keeper.compact(compactAll)).toBe(true);
    rig.log.fill(5, T0 + 30_000);
    rig.log.purge(15);
    expect(await sequencesOf({}, undefined, history(storage))).toEqual(numbers(1, 20));
  });

  it('refuses an archive of another log', async () => {
    rig.log.fill(5);
    await archive();
    rig.log.createdAt = 'log-2';
    await expect(sequencesOf({})).rejects.toMatchObject({ code: 'LOG_REPLACED' });
  });

  it('says that a file is damaged instead of leaving it out', async () => {
    rig.log.fill(5);
    await archive();
    const [file] = (await rig.storage.list('date')).map(({ name }) => name);
    await rig.storage.remove(file!);
    await rig.storage.put(file!, Buffer.from('no parquet'));
    await expect(sequencesOf({})).rejects.toThrow(/parquet/i);
  });
});
