// A worker is killed, or hangs, under a light steady load: how long until its shards commit again under other owners.
import { seedProfiles } from '../backlog.ts';
import { watchCommits } from '../commit-watch.ts';
import { BENCH_SHARDS, type BenchRole, openRig, type Rig } from '../rig.ts';
import type { BenchContext, Case, Scenario } from '../scenario.ts';
import { shopWorkload } from '../shop-workload.ts';
import { spreadOf } from '../statistics.ts';
import { waitFor } from '../wait-for.ts';

const WORKERS = 3;
const RATE = 2000;
const LOAD_SECONDS = 120;
const PROFILES = 5000;
const BALANCE_DEADLINE_MS = 60_000;
/** Rendezvous hashing gives no worker exactly its share. */
const OWNED_MIN = 8;
const TAKEOVER_DEADLINE_MS = 30_000;
/** How long nothing must have moved before the signal. */
const SETTLED_MS = 2000;

export const takeover: Scenario = {
  name: 'takeover',
  about: `one of ${WORKERS} workers gets SIGKILL or SIGSTOP under ${RATE} events/s; from the signal to the next commit of the shards it owned, which includes the wait for the next event of a shard`,
  remote: false,
  byDefault: true,
  async run(context) {
    const cases: Case[] = [];
    for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
      const rig = await openRig(context);
      try {
        cases.push({ name: signal, figures: await measureTakeover(rig, context, signal) });
      } finally {
        await rig.close();
      }
    }
    return cases;
  },
};

async function measureTakeover(
  rig: Rig,
  context: BenchContext,
  signal: 'SIGKILL' | 'SIGSTOP',
): Promise<Record<string, number>> {
  await seedProfiles(rig, context, PROFILES);
  /** When each shard of the victim committed again under another owner. */
  const again = new Map<number, number>();
  let victim: string | undefined;
  const committed = (shard: number) => {
    if (lost.has(shard) && !again.has(shard)) again.set(shard, performance.now());
  };
  /** The newest message of each shard that a profile carries a stamp of; and as it was when the signal was sent. */
  const stamped = new Map<number, number>();
  let stampedBefore: ReadonlyMap<number, number> = stamped;
  const watch = watchCommits(
    rig.door,
    rig.names,
    (shard, { owner }) => {
      if (victim !== undefined && owner !== victim) committed(shard);
    },
    (shard, sequence) => {
      stamped.set(shard, Math.max(sequence, stamped.get(shard) ?? 0));
      const isTaken = victim !== undefined && watch.latest.get(shard)?.owner !== victim;
      if (isTaken && sequence > (stampedBefore.get(shard) ?? 0)) committed(shard);
    },
  );
  let lost: ReadonlySet<number> = new Set();
  const workers: BenchRole[] = [];
  for (let i = 0; i < WORKERS; i++) workers.push(await rig.startWorker());
  const workload = { ...shopWorkload(context, 'uniform'), profiles: PROFILES };
  const events = RATE * LOAD_SECONDS;
  rig.startLoad({ ...rig.segment, kind: 'append', workloads: [workload], events, ratePerSecond: RATE });
  const ownedBy = (id: string) =>
    [...watch.latest].filter(([, { owner }]) => owner === id).map(([shard]) => shard);
  await untilSettled(() => workers.map(({ id }) => ownedBy(id).length));
  const [first] = workers;
  lost = new Set(ownedBy(first!.id));
  victim = first!.id;
  const killedMs = performance.now();
  process.kill(first!.pid, signal);
  stampedBefore = new Map(stamped);
  const isBack = () => again.size === lost.size;
  await waitFor('every shard commits again', isBack, { deadlineMs: TAKEOVER_DEADLINE_MS });
  watch.close();
  const { min, median, max } = spreadOf([...again.values()].map((atMs) => atMs - killedMs));
  return { 'first shard ms': min, 'median shard ms': median, 'last shard ms': max, shards: lost.size };
}

/** Waits until every shard has an owner, every worker its part, and nothing has moved for a while. */
async function untilSettled(owned: () => readonly number[]): Promise<void> {
  let last = '';
  let sinceMs = performance.now();
  const isSettled = () => {
    const counts = owned();
    if (String(counts) !== last) sinceMs = performance.now();
    last = String(counts);
    const all = counts.reduce((sum, count) => sum + count, 0) === BENCH_SHARDS;
    return all && counts.every((count) => count >= OWNED_MIN) && performance.now() - sinceMs > SETTLED_MS;
  };
  await waitFor('every worker owns its shards', isSettled, { deadlineMs: BALANCE_DEADLINE_MS });
}
