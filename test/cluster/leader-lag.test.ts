// A leader that is a moment behind its followers is no log that lost messages and no bucket that fell back.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { checkLog } from '../../actors/runtime/log-check.ts';
import { assertNothingFellBack } from '../../infra/deploy.ts';
import { segmentNames } from '../../shared/contract/names.ts';
import { UNCLAIMED } from '../../shared/contract/shard-record.ts';
import { whileBehind } from '../../shared/nats/leader-lag.ts';
import type { EventLogReader, LogState } from '../../shared/ports/event-log.ts';
import type { CopyState } from '../../shared/ports/outbox-copies.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';

/** A leader whose stream ends at these sequences, one a look; the last one stays. */
function leader(...ends: readonly number[]) {
  let looks = 0;
  return (atLeast = 0) =>
    whileBehind(
      () => Promise.resolve(ends[Math.min(looks++, ends.length - 1)]!),
      (end) => end,
      atLeast,
    );
}

async function timed<T>(work: Promise<T>): Promise<T> {
  work.catch(() => {});
  await vi.advanceTimersByTimeAsync(10_000);
  return work;
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

describe('a leader that ends before what others have seen', () => {
  it('is asked again until it has caught up', async () => {
    expect(await timed(leader(5, 5, 10, 12)(10))).toBe(10);
    expect(await timed(leader(5)(5))).toBe(5);
  });

  it('is believed when it does not catch up', async () => {
    expect(await timed(leader(5)(10))).toBe(5);
  });
});

describe('a checkpoint', () => {
  const store = { read: () => Promise.resolve(new Map()) } as unknown as RecordStore;
  const record = { ...UNCLAIMED, seq: 10, streamCreated: 'today' };

  function logOf(end: (atLeast?: number) => Promise<number>): EventLogReader {
    const state = async (atLeast?: number): Promise<LogState> => {
      const lastSequence = await end(atLeast);
      return { createdAt: 'today', firstSequence: 1, lastSequence, messages: 1, bytes: 1, bytesMax: -1 };
    };
    return { state } as unknown as EventLogReader;
  }

  it('ahead of the leader for a moment is sound', async () => {
    expect(await timed(checkLog(record, logOf(leader(9, 10)), store))).toMatchObject({ kind: 'sound' });
  });

  it('ahead of the leader for good is not', async () => {
    expect(await timed(checkLog(record, logOf(leader(9)), store))).toMatchObject({ code: 'LOG_TRUNCATED' });
  });
});

describe('a copy', () => {
  const copies = (end: (atLeast?: number) => Promise<number>) => ({
    states: () => Promise.resolve([{ name: 'audit', copiedTo: 10 } as CopyState]),
    originSequence: end,
  });

  it('fed by a follower that is ahead of the leader for a moment is no reason to stop', async () => {
    await timed(assertNothingFellBack(copies(leader(9, 10)), segmentNames('lag')));
  });

  it('ahead of its origin for good is', async () => {
    await expect(timed(assertNothingFellBack(copies(leader(9)), segmentNames('lag')))).rejects.toMatchObject({
      code: 'TOPOLOGY_MISMATCH',
    });
  });
});
