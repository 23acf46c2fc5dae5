// Who owns which shard, and how soon after something changed: joins, releases, deaths, hangs, restarts, clock jumps.
// Each scenario runs over several seeds in a world whose ports do as they should.
import { describe, expect, test } from 'vitest';
import { preferredOwner } from '../../actors/runtime/rendezvous.ts';
import { decodeShardRecord } from '../../shared/contract/shard-record.ts';
import type { Member } from './fleet.ts';
import { build, type Run } from './simulate.ts';

const SHARDS = 16;
const SEEDS = Array.from({ length: 6 }, (_, index) => index + 1);

interface Owned {
  readonly owner: string | null;
  readonly epoch: number;
}

function ownedShards({ store }: Run): readonly Owned[] {
  return Array.from({ length: SHARDS }, (_, shard) => {
    const stored = store.latest(`s.${shard}`)?.value;
    return stored ? decodeShardRecord(stored) : { owner: null, epoch: 0 };
  });
}

function asPreferred(run: Run, members: readonly Member[]): boolean {
  const ids = members.map(({ process }) => process.name);
  return ownedShards(run).every(({ owner }, shard) => owner === preferredOwner(shard, ids));
}

async function settled(run: Run, members: readonly Member[], withinMs: number, what: string): Promise<void> {
  const untilMs = run.world.nowMs + withinMs;
  const end = await run.world.run(() => asPreferred(run, members), untilMs);
  const found = ownedShards(run).map(({ owner }) => owner);
  expect(end, `seed ${run.world.seed}: ${what} within ${withinMs} ms; owners ${found}`).toBe('done');
}

async function wait(run: Run, ms: number): Promise<void> {
  await run.world.run(() => false, run.world.nowMs + ms);
}

/** Three workers that have shared out the shards. */
async function calm(seed: number): Promise<{ run: Run; members: Member[] }> {
  const run = build({ seed, noFaults: true, shards: SHARDS });
  const members = [run.fleet.start(), run.fleet.start(), run.fleet.start()];
  await settled(run, members, 15_000, 'three workers share the shards');
  await wait(run, 1000);
  return { run, members };
}

function eachSeed(name: string, scenario: (run: Run, members: Member[]) => Promise<void>): void {
  test(name, async () => {
    for (const seed of SEEDS) {
      const { run, members } = await calm(seed);
      await scenario(run, members);
      expect(run.world.violations).toEqual([]);
    }
  });
}

describe('ownership of shards', () => {
  eachSeed('nothing moves while nothing changes', async (run) => {
    const before = ownedShards(run);
    await wait(run, 20_000);
    expect(ownedShards(run).map(({ epoch }) => epoch)).toEqual(before.map(({ epoch }) => epoch));
  });

  eachSeed('a worker that joins gets its shards, and only those move', async (run, members) => {
    const before = ownedShards(run);
    const joined = run.fleet.start();
    await settled(run, [...members, joined], 8000, 'the new worker has its shards');
    ownedShards(run).forEach(({ owner, epoch }, shard) => {
      const moved = owner !== before[shard]!.owner;
      expect(owner === joined.process.name, `shard ${shard}`).toBe(moved);
      if (!moved) expect(epoch).toBe(before[shard]!.epoch);
    });
  });

  eachSeed('at most a quarter of the shards moves a second while their owners live', async (run, members) => {
    const movedAtMs: number[] = [];
    let before = ownedShards(run);
    run.store.onApplied(() => {
      const now = ownedShards(run);
      now.forEach(({ owner }, shard) => {
        if (owner === null && before[shard]!.owner !== null) movedAtMs.push(run.world.nowMs);
      });
      before = now;
    });
    await settled(
      run,
      [...members, run.fleet.start(), run.fleet.start()],
      12_000,
      'two more share the shards',
    );
    // Each worker counts its own seconds: any second may hold parts of two of them.
    const most = Math.max(
      0,
      ...movedAtMs.map((from) => movedAtMs.filter((at) => at >= from && at < from + 1000).length),
    );
    expect(most).toBeLessThanOrEqual(SHARDS / 2);
  });

  eachSeed('a worker that dies is replaced at once', async (run, [dead, ...rest]) => {
    dead!.process.crash();
    await settled(run, rest, 1000, 'the shards of the dead');
  });

  eachSeed('a worker that hangs is replaced, and is fenced when it wakes', async (run, [hung, ...rest]) => {
    hung!.process.pause();
    await settled(run, rest, 1500, 'the shards of the hung');
    hung!.process.resume();
    await settled(run, [hung!, ...rest], 8000, 'the woken has its shards again');
  });

  eachSeed('a clean stop hands over at once', async (run, [leaving, ...rest]) => {
    run.fleet.stop(leaving!, () => {});
    await settled(run, rest, 1000, 'the shards of the one that left');
  });

  eachSeed('a restart of the server moves nothing', async (run, members) => {
    const before = ownedShards(run);
    run.server.restart(700);
    await wait(run, 6000);
    expect(ownedShards(run).map(({ epoch }) => epoch)).toEqual(before.map(({ epoch }) => epoch));
    expect(asPreferred(run, members)).toBe(true);
  });

  eachSeed('a clock that jumps back does not keep a new worker from its shards', async (run, members) => {
    for (const { process } of members) process.skewMs -= 600_000;
    await settled(run, [...members, run.fleet.start()], 8000, 'the new worker has its shards');
  });
});
