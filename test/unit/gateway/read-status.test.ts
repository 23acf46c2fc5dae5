import { beforeEach, describe, expect, it } from 'vitest';
import type { GatewaySegment } from '../../../gateway/deps.ts';
import { readSegmentStatus } from '../../../gateway/status/read-status.ts';
import { createReadiness } from '../../../gateway/status/readiness.ts';
import { recordKeys, segmentNames } from '../../../shared/contract/names.ts';
import { encodeShardRecord, type ShardRecord, UNCLAIMED } from '../../../shared/contract/shard-record.ts';
import { systemClock } from '../../../shared/kernel/clock.ts';
import { StitchworkError } from '../../../shared/kernel/errors.ts';
import { memoryConfigStore } from '../../support/memory-config-store.ts';
import { fakeAudit } from './support/fake-audit.ts';
import {
  fakeAppender,
  fakeCopies,
  fakeHistory,
  fakeLog,
  fakeMembership,
  fakeReplyBoxes,
  fakeStore,
  report,
} from './support/fakes.ts';

function makeSegment() {
  const log = fakeLog();
  return {
    config: () => {
      throw new Error('status needs no config');
    },
    configVersion: () => 7,
    configs: memoryConfigStore(),
    recentEvents: { read: async function* () {} },
    appender: fakeAppender(),
    log,
    history: fakeHistory(log),
    store: fakeStore(),
    membership: fakeMembership(),
    copies: fakeCopies(),
    audit: fakeAudit(),
    decisions: fakeAudit(),
    deliveries: fakeAudit(),
    runs: () => ({}),
    replyBoxes: fakeReplyBoxes(),
    names: segmentNames('shop'),
    shards: 3,
  } satisfies GatewaySegment;
}

let segment: ReturnType<typeof makeSegment>;
beforeEach(() => {
  segment = makeSegment();
});

function checkpoint(shard: number, part: Partial<ShardRecord>): void {
  const record = { ...UNCLAIMED, streamCreated: 'log-1', ...part };
  segment.store.leader.set(recordKeys.shard(shard), encodeShardRecord(record));
}

describe('readSegmentStatus', () => {
  it('tells owner, lag and last commit of every shard', async () => {
    segment.log.shards.set(0, [1, 4]);
    segment.log.shards.set(1, [2, 3, 5]);
    checkpoint(0, { owner: 'w1', seq: 4 });
    checkpoint(1, { owner: 'w2', seq: 2 });
    segment.membership.answers.set('w1', {
      kind: 'alive',
      report: report('w1', { lastCommitAtMs: { 0: 2_000 } }),
    });
    const { status, workers } = await readSegmentStatus(segment, 10);
    expect(status).toEqual({
      name: 'shop',
      configVersion: 7,
      lag: 2,
      lastCommitAt: '1970-01-01T00:00:02.000Z',
      shards: [
        { shard: 0, owner: 'w1', lag: 0, lastCommitAt: '1970-01-01T00:00:02.000Z' },
        { shard: 1, owner: 'w2', lag: 2, lastCommitAt: null },
        { shard: 2, owner: null, lag: 0, lastCommitAt: null },
      ],
      alarms: [],
      workers: [
        {
          id: 'w1',
          startedAt: '1970-01-01T00:00:01.000Z',
          configVersion: 1,
          configSince: null,
          shards: 0,
          activity: null,
        },
      ],
      copies: [],
      log: { messages: 5, bytes: 0, bytesMax: null },
    });
    expect(workers).toEqual([{ id: 'w1', startedAt: '1970-01-01T00:00:01.000Z' }]);
  });

  it('counts all of a shard that nobody ever claimed', async () => {
    segment.log.shards.set(2, [1, 2, 3]);
    expect((await readSegmentStatus(segment, 10)).status.lag).toBe(3);
  });

  it('reads checkpoints from the leader, never from a replica', async () => {
    await readSegmentStatus(segment, 10);
    expect(segment.store.reads.map(({ from }) => from)).toEqual(['leader']);
  });

  it('does not take a checkpoint in another log for progress in this one', async () => {
    segment.log.createdAt = 'log-2';
    segment.log.shards.set(0, [1, 2]);
    checkpoint(0, { owner: 'w1', seq: 900 });
    const { status } = await readSegmentStatus(segment, 10);
    expect(status.lag).toBe(2);
    expect(status.alarms).toMatchObject([{ code: 'LOG_REPLACED', shard: 0 }]);
  });

  it('raises an alarm when the log ends before the checkpoint', async () => {
    segment.log.shards.set(0, [1, 2]);
    checkpoint(0, { owner: 'w1', seq: 3 });
    const { status } = await readSegmentStatus(segment, 10);
    expect(status.alarms).toMatchObject([{ code: 'LOG_TRUNCATED', shard: 0 }]);
    expect(status.lag).toBe(2);
  });

  it('tells of halted shards and silent workers, and leaves out those gone', async () => {
    const halted = [{ shard: 1, code: 'LOG_TRUNCATED', reason: 'shorter' }];
    segment.membership.answers.set('w1', { kind: 'alive', report: report('w1', { halted }) });
    segment.membership.answers.set('w2', { kind: 'silent' });
    segment.membership.answers.set('w3', { kind: 'gone' });
    const { status, workers } = await readSegmentStatus(segment, 10);
    expect(status.alarms).toEqual([
      { code: 'LOG_TRUNCATED', reason: 'shorter', shard: 1, worker: 'w1' },
      { code: 'WORKER_SILENT', reason: 'it has a heartbeat and does not answer', shard: null, worker: 'w2' },
    ]);
    expect(workers.map(({ id }) => id)).toEqual(['w1']);
  });

  it('tells what the workers do and how the copies stand', async () => {
    const activity = {
      conflicts: 1,
      fences: 2,
      unknownOutcomes: 3,
      deadLetters: 4,
      commitsPerSecond: 5.5,
      eventsPerSecond: 6,
      residents: { count: 7, bytes: 8 },
      hotWrites: [{ record: 'p.1', count: 9 }],
      hotConflicts: [],
    };
    segment.membership.answers.set('w1', {
      kind: 'alive',
      report: report('w1', { shards: [0, 1], activity }),
    });
    segment.copies.known.push(
      { name: 'audit', copiedTo: 5, lag: 3, activeMs: 10, error: undefined, targetCreatedAt: 't' },
      { name: 'dead', copiedTo: 5, lag: 0, activeMs: -1, error: undefined, targetCreatedAt: 't' },
      { name: 'timers', copiedTo: 5, lag: 0, activeMs: 1, error: 'stream not found', targetCreatedAt: 't' },
    );
    const { status } = await readSegmentStatus(segment, 10);
    expect(status.workers).toMatchObject([{ id: 'w1', shards: 2, activity }]);
    expect(status.copies).toEqual([
      { name: 'audit', lag: 3, running: true, error: null },
      { name: 'dead', lag: 0, running: false, error: null },
      { name: 'timers', lag: 0, running: false, error: 'stream not found' },
    ]);
  });

  it('fails whole when the store or the log cannot be read, or a record is damaged', async () => {
    segment.store.leader.set(recordKeys.shard(0), Buffer.from('junk'));
    await expect(readSegmentStatus(segment, 10)).rejects.toMatchObject({ code: 'RECORD_DAMAGED' });
    segment.store.leader.clear();
    segment.log.failure = async () => {
      throw new StitchworkError('LOG_UNAVAILABLE');
    };
    await expect(readSegmentStatus(segment, 10)).rejects.toMatchObject({ code: 'LOG_UNAVAILABLE' });
    segment.store.failure = async () => {
      throw new StitchworkError('STORE_UNAVAILABLE');
    };
    await expect(readSegmentStatus(segment, 10)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  });
});

describe('readiness', () => {
  let nowMs = 0;
  const check = () =>
    createReadiness({ segments: [segment], clock: { ...systemClock, nowMs: () => nowMs }, reuseMs: 100 });

  it('asks the log and the store once for all who ask at the same time', async () => {
    const ready = check();
    expect(await Promise.all([ready(), ready()])).toEqual([[], []]);
    expect(segment.store.reads).toHaveLength(1);
    nowMs += 100;
    await ready();
    expect(segment.store.reads).toHaveLength(2);
  });

  it('says why not, without naming hosts', async () => {
    segment.log.failure = async () => {
      throw new Error('connect 10.0.0.7:4222');
    };
    const [reason] = await check()();
    expect(reason).toMatch(/^shop: /);
    expect(reason).not.toContain('10.0.0.7');
    segment.appender.reachable = false;
    expect(await check()()).toEqual(['shop: the event log cannot be reached']);
  });
});
