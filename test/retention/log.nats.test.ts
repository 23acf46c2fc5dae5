// The event log is kept until every shard has applied it, and a log that is not the one of a checkpoint, or has lost
// what was not applied, stops the shard with an alarm instead of being skipped.
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { describeTopology, ensureTopology } from '../../shared/nats/topology.ts';
import { startTestServer, type TestServer } from '../support/nats.ts';
import { eventually } from '../support/segment.ts';
import { RIG_SHARDS, Rig } from './rig.ts';

const TINY_BYTES = 200_000;
const PADDING = 2000;
let server: TestServer;
let rig: Rig;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());
afterEach(() => rig.close());

const KEEP = 7 * 86_400_000;

describe('a log with a tiny size limit', () => {
  it('is full while the worker is stopped, loses nothing, and flows again when it is back', async () => {
    rig = await Rig.open(server.url, { eventsBytesMax: TINY_BYTES });
    const housekeeper = rig.housekeeper({ retentionMs: KEEP });
    const stored: number[] = [];
    const fill = async () => {
      for (;;) {
        const outcome = await rig.append(
          stored.length % RIG_SHARDS,
          { touch: [`n${stored.length}`] },
          PADDING,
        );
        if (outcome.kind === 'full') return;
        expect(outcome).toEqual({ kind: 'stored' });
        stored.push(stored.length);
      }
    };
    await fill();
    expect(stored.length).toBeGreaterThan(40);
    const full = await rig.log.state();
    expect(full.messages).toBe(stored.length);
    for (let round = 0; round < 3; round++) await housekeeper.round();
    expect((await rig.log.state()).messages).toBe(stored.length);

    const worker = await rig.startWorker({ idleCheckpointMs: 100 });
    for (let cycle = 0; cycle < 3; cycle++) {
      await eventually('the housekeeper makes room', async () => {
        await housekeeper.round();
        return (await rig.log.state()).bytes < TINY_BYTES * 0.7;
      });
      await fill();
    }
    const { lastSequence } = await rig.log.state();
    await eventually('all is applied', async () => {
      const applied = await Promise.all([0, 1, 2, 3].map((shard) => rig.applied(shard)));
      return applied.every((seq) => seq === lastSequence);
    });
    for (const index of stored) expect(await rig.seen(`n${index}`)).toHaveLength(1);
    expect(worker.report().halted).toEqual([]);
  });

  it('is not purged below the checkpoint of a shard that stands still', async () => {
    rig = await Rig.open(server.url, { eventsBytesMax: TINY_BYTES });
    const worker = await rig.startWorker({ idleCheckpointMs: 50 });
    for (let i = 0; i < 60; i++) await rig.append(i % RIG_SHARDS, { touch: ['a'] }, PADDING);
    await eventually('all is applied', async () => (await rig.seen('a')).length === 60);
    await worker.stop();
    await rig.rewriteShard(2, { seq: 10, fingerprint: null });
    const housekeeper = rig.housekeeper({ retentionMs: 0 });
    await housekeeper.round();
    expect((await rig.log.state()).firstSequence).toBe(11);
    expect(rig.toldOf('logPurged')).toEqual([[10]]);
  });
});

describe('idle shards', () => {
  it('move on, so that a log with traffic in one shard only can be purged to its end', async () => {
    rig = await Rig.open(server.url);
    await rig.startWorker({ idleCheckpointMs: 100 });
    for (let i = 0; i < 20; i++) await rig.append(0, { touch: ['a'] });
    await rig.untilApplied(
      'a',
      Array.from({ length: 20 }, (_, index) => index + 1),
    );
    const housekeeper = rig.housekeeper({ retentionMs: 0 });
    await eventually('the log is purged', async () => {
      await housekeeper.round();
      return (await rig.log.state()).messages === 0;
    });
    await rig.append(3, { touch: ['b'] });
    await rig.untilApplied('b', [21]);
  });

  it('of a worker that comes back after the purge go on: the purge was written down', async () => {
    rig = await Rig.open(server.url);
    const first = await rig.startWorker({ idleCheckpointMs: 100 });
    for (let i = 0; i < 20; i++) await rig.append(0, { touch: ['a'] });
    const housekeeper = rig.housekeeper({ retentionMs: 0 });
    await eventually('the log is purged', async () => {
      await housekeeper.round();
      return (await rig.log.state()).messages === 0;
    });
    await first.stop();
    await rig.append(3, { touch: ['b'] });
    const second = await rig.startWorker();
    await rig.untilApplied('b', [21]);
    expect(second.report().halted).toEqual([]);
    expect(second.report().shards).toHaveLength(RIG_SHARDS);
  });
});

describe('a log that is not sound', () => {
  /** A worker that has applied ten messages in each shard, stopped. */
  async function applied(): Promise<void> {
    rig = await Rig.open(server.url);
    const worker = await rig.startWorker({ idleCheckpointMs: 50 });
    for (let i = 0; i < 10 * RIG_SHARDS; i++)
      await rig.append(i % RIG_SHARDS, { touch: [`n${i % RIG_SHARDS}`] });
    await eventually('all checkpoints are at the end', async () => {
      const seqs = await Promise.all([0, 1, 2, 3].map((shard) => rig.applied(shard)));
      return seqs.every((seq) => seq === 10 * RIG_SHARDS);
    });
    await worker.stop();
  }

  it('because an operator purged what one shard had not applied stops that shard; others go on', async () => {
    await applied();
    await rig.rewriteShard(1, { seq: 30, fingerprint: null });
    for (let shard = 0; shard < RIG_SHARDS; shard++) await rig.append(shard, { touch: ['after'] });
    await rig.purgeStream(rig.names.eventsStream, 40);
    const worker = await rig.startWorker();
    await eventually('the shard is halted', () => worker.report().halted.length === 1);
    expect(worker.report().halted[0]).toMatchObject({ shard: 1, code: 'LOG_TRUNCATED' });
    await eventually('the others go on', async () => (await rig.seen('after')).length === 3);
    expect(await rig.applied(1)).toBe(30);
    expect((await rig.seen('after')).includes(42)).toBe(false);
  });

  it('because a message is not the one that was applied stops the shard; others go on', async () => {
    await applied();
    const { record } = await rig.shard(2);
    await rig.rewriteShard(2, { fingerprint: { seq: record.fingerprint!.seq, hash: 'of another message' } });
    const worker = await rig.startWorker();
    await eventually('the shard is halted', () => worker.report().halted.length === 1);
    expect(worker.report().halted[0]).toMatchObject({ shard: 2, code: 'LOG_REPLACED' });
    await rig.append(0, { touch: ['after'] });
    await rig.untilApplied('after', [41]);
  });

  it('because it was made anew stops every shard that had applied something, also under a running worker', async () => {
    await applied();
    const worker = await rig.startWorker();
    await eventually('all is claimed', () => worker.report().shards.length === RIG_SHARDS);
    await rig.deleteStream(rig.names.eventsStream);
    await ensureTopology(rig.door, describeTopology(rig.names, { shards: RIG_SHARDS }));
    for (let i = 0; i < 60; i++) await rig.append(i % RIG_SHARDS, { touch: ['anew'] });
    await eventually('all shards are halted', () => worker.report().halted.length === RIG_SHARDS);
    expect(worker.report().halted.map(({ code }) => code)).toEqual(Array(RIG_SHARDS).fill('LOG_REPLACED'));
    expect(await rig.seen('anew')).toEqual([]);
  });

  it('that a running worker lags behind when it is purged is noticed, not skipped', async () => {
    await applied();
    const lagging = 3;
    const { record } = await rig.shard(lagging);
    expect(record.seq).toBe(40);
    const worker = await rig.startWorker();
    await eventually('all is claimed', () => worker.report().shards.length === RIG_SHARDS);
    // More than a reader's buffer holds, while commits get no answer in time.
    rig.holdCommits();
    const many = 3000;
    for (let i = 0; i < many / 100; i++) {
      await rig.appender.append(
        Array.from({ length: 100 }, () => ({
          shard: lagging,
          source: 'ingest' as const,
          payload: Buffer.from(JSON.stringify({ touch: ['flood'] })),
        })),
      );
    }
    const { lastSequence } = await rig.log.state();
    await rig.purgeStream(rig.names.eventsStream, lastSequence - 10);
    rig.releaseCommits();
    await eventually('the shard is halted', () =>
      worker.report().halted.some(({ shard }) => shard === lagging),
    );
    expect(await rig.applied(lagging)).toBeLessThan(lastSequence - 10);
  });
});
