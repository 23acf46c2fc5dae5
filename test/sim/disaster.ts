// The event log is not what it was: replaced by another, cut at its end, or purged before it was read. The shards whose
// checkpoints no longer fit must stop with an alarm, the others go on.
import { decodeShardRecord } from '../../shared/contract/shard-record.ts';
import { build, converged, type Run, type SimResult } from './simulate.ts';
import { toBytes } from './tally-model.ts';
import { EPOCH_MS } from './world.ts';

export type Disaster = 'replaced' | 'truncated' | 'purged' | 'overtaken';

const CALM_MS = 30_000;
const AFTERMATH_MS = 45_000;
const TRACE_LINES = 40;

export async function disaster(seed: number, kind: Disaster, traceLines = TRACE_LINES): Promise<SimResult> {
  const run = build({ seed, noFaults: true, traceLines });
  const { world, fleet, log, checkers } = run;
  const failed = () => world.violations.length > 0;
  for (let i = world.between(1, 3); i > 0; i--) fleet.start();
  send(run, 40);
  const calm = await world.run(() => failed() || converged(run), EPOCH_MS + CALM_MS);
  if (calm !== 'done') world.violate(`not converged before the disaster: ${calm}`);
  if (kind === 'overtaken') await overtake(run);
  const doomed = kind === 'overtaken' ? [] : strike(run, kind);
  const frozen = new Map(doomed.map((shard) => [shard, checkpoint(run, shard)]));
  await world.run(failed, world.nowMs + AFTERMATH_MS);
  for (const [shard, seq] of frozen) {
    if (checkpoint(run, shard) !== seq) world.violate(`shard ${shard} went on from ${seq} in another log`);
    if (!isHalted(run, shard)) world.violate(`shard ${shard} stopped without an alarm`);
  }
  for (let shard = 0; shard < run.shards; shard++) {
    if (hasLost(run, shard) && !isHalted(run, shard))
      world.violate(`shard ${shard} lost messages without an alarm`);
    const behind = !isHalted(run, shard) && checkpoint(run, shard) < log.lastSequenceOf(shard);
    if (behind) world.violate(`shard ${shard} is sound and did not go on`);
  }
  return {
    seed,
    violations: world.violations,
    marks: world.marks,
    traceHash: world.traceHash,
    tail: world.tail(traceLines),
    steps: world.steps,
    messages: checkers.history.size,
    convergedMs: 0,
  };
}

function checkpoint({ store }: Run, shard: number): number {
  const stored = store.latest(`s.${shard}`)?.value;
  return stored ? decodeShardRecord(stored).seq : 0;
}

function isHalted({ fleet }: Run, shard: number): boolean {
  return fleet.living.some(({ worker }) => worker.report().halted.some((halt) => halt.shard === shard));
}

/** Does it, and says which shards must stop. */
function strike(run: Run, kind: Exclude<Disaster, 'overtaken'>): readonly number[] {
  const { world, server, log, checkers, fleet, shards } = run;
  const all = Array.from({ length: shards }, (_, shard) => shard);
  const applied = all.filter((shard) => checkpoint(run, shard) > 0);
  world.trace(`disaster: ${kind}`);
  switch (kind) {
    case 'replaced':
      server.restart(200);
      log.replace();
      checkers.forget(0);
      sendLater(run);
      return applied;
    case 'truncated': {
      const end = world.between(0, log.lastSequence - 1);
      server.restart(200);
      log.truncate(end);
      checkers.forget(end);
      sendLater(run);
      return all.filter((shard) => checkpoint(run, shard) > end);
    }
    case 'purged': {
      for (const { process } of fleet.living) process.crash();
      send(run, 20);
      log.purge(log.lastSequence);
      world.after(3000, '', () => fleet.start());
      return all.filter((shard) => checkpoint(run, shard) < log.lastSequence);
    }
  }
}

/** Purges what workers that run have not read yet. */
async function overtake(run: Run): Promise<void> {
  const { world, log } = run;
  send(run, 400);
  await world.run(() => false, world.nowMs + world.between(1, 60));
  log.purge(log.lastSequence - world.between(0, 10));
}

/** Whether messages of the shard are gone that were never applied. */
function hasLost(run: Run, shard: number): boolean {
  return run.checkers.due(shard, checkpoint(run, shard), run.log.firstSequence - 1).length > 0;
}

/** What comes into the changed log: nothing, little, or more than was lost, before or after the workers are back. */
function sendLater(run: Run): void {
  const { world } = run;
  const count = world.pick([0, 5, 100]);
  world.after(world.pick([201, 400, 3000]), '', () => send(run, count));
}

function send({ world, log, shards }: Run, count: number): void {
  for (let i = 0; i < count; i++) {
    const message = { id: `m${i}`, touch: [`n${world.between(0, 5)}`] };
    log.append([{ shard: world.between(0, shards - 1), source: 'ingest', payload: toBytes(message) }]);
  }
}
