// One run of one seed: build the world, let clients send and chaos reign, heal, and require that everything has been
// applied as the oracle says.
import { decodeShardRecord } from '../../shared/contract/shard-record.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';
import { planChaos } from './chaos.ts';
import { Checkers } from './checkers.ts';
import { SimCopies } from './copies.ts';
import { drawFaults, type Faults, NO_FAULTS } from './faults.ts';
import { Fleet } from './fleet.ts';
import { SimLog } from './log.ts';
import { simEventLogAppender } from './log-port.ts';
import { SimMembers } from './membership.ts';
import { SimProcess, SimServer } from './process.ts';
import { NEWEST_CONFIG, type Scenario } from './scenario.ts';
import { SimStore } from './store.ts';
import { tallyScenario } from './tally-scenario.ts';
import { EPOCH_MS, World } from './world.ts';

export interface SimOptions {
  readonly seed: number;
  readonly wrapStore?: (store: RecordStore, server: SimStore, process: SimProcess) => RecordStore;
  /** Leave out the checks of each batch: what is wrong must show in what a user would see. */
  readonly outcomeOnly?: boolean;
  /** Faults on top of those drawn. */
  readonly faults?: Partial<Faults>;
  /** A calm world: the ports do as they should. */
  readonly noFaults?: boolean;
  readonly shards?: number;
  /** The toy actor's, if not said otherwise. */
  readonly scenario?: Scenario;
  /** Trace lines of the result. */
  readonly traceLines?: number;
}

export interface SimResult {
  readonly seed: number;
  readonly violations: readonly string[];
  readonly marks: ReadonlyMap<string, number>;
  readonly traceHash: string;
  readonly tail: readonly string[];
  readonly steps: number;
  readonly messages: number;
  /** How long it took to apply everything after the world was healed. */
  readonly convergedMs: number;
}

const CHAOS_MS = 8000;
const CONVERGE_MS = 60_000;
/** After this long nothing that was sent before is still under way. */
const SETTLE_MS = 8000;
const IN_FLIGHT_MS = 15_000;
const TRACE_LINES = 40;

export async function simulate(options: SimOptions): Promise<SimResult> {
  const run = build(options);
  await live(run);
  const convergedMs = await healAndConverge(run);
  await stopAll(run);
  const { world, checkers } = run;
  return {
    seed: options.seed,
    violations: world.violations,
    marks: world.marks,
    traceHash: world.traceHash,
    tail: world.tail(options.traceLines ?? TRACE_LINES),
    steps: world.steps,
    messages: checkers.history.size,
    convergedMs,
  };
}

export type Run = ReturnType<typeof build>;

/** The parts of a run, none of them doing anything yet. */
export function build(options: SimOptions) {
  const world = new World(options.seed);
  world.traceLinesKept = options.traceLines ?? TRACE_LINES;
  const server = new SimServer(world);
  const log = new SimLog(server, world.pick([5000, 120_000]));
  const store = new SimStore(server);
  const copies = new SimCopies(store, log);
  const members = new SimMembers(server);
  const drawnShards = world.pick([1, 2, 4, 8]);
  const shards = options.shards ?? drawnShards;
  const scenario = options.scenario ?? tallyScenario();
  const newestActor = scenario.actor(NEWEST_CONFIG, shards);
  const depth = options.outcomeOnly ? 'outcome' : scenario.marksEachMessage ? 'all' : 'chain';
  const checkers = new Checkers(store, log, newestActor, depth);
  const fleet = new Fleet(
    { store, log, members, checkers, actor: scenario.actor(world.pick([1, NEWEST_CONFIG]), shards) },
    {
      shards,
      residentBytesMax: world.pick([1500, 20_000, 10_000_000]),
      batchMessagesMax: world.pick([1, 5, 50, 1000]),
      idleCheckpointMs: world.pick([300, 2000, 30_000]),
      backoffMaxMs: world.pick([50, 1000]),
      readerLimits: { bufferMax: world.pick([2, 20, 256]), deliveryMax: world.pick([1, 10, 64]) },
      crashAtPhase: options.noFaults ? 0 : world.pick([0, 0, 0.003, 0.02]),
      wrapStore: options.wrapStore ?? ((port) => port),
    },
  );
  const { damagedKey } = scenario;
  if (damagedKey) {
    store.apply('setup', [{ kind: 'put', key: damagedKey, value: Buffer.from('{damaged'), expect: 0 }]);
  }
  world.faults = options.noFaults ? NO_FAULTS : { ...drawFaults(world), ...options.faults };
  return { world, server, log, store, copies, members, shards, checkers, fleet, newestActor, scenario };
}

/** Clients send, workers work, chaos reigns. */
async function live(run: Run): Promise<void> {
  const { world, server, log, store, fleet, shards } = run;
  const gateway = new SimProcess(server, 'gateway');
  const appender = simEventLogAppender(log, gateway);
  const spanMs = world.pick([200, 4000, CHAOS_MS]);
  for (const { atMs, shard, payload } of run.scenario.draw(world, shards, spanMs)) {
    world.after(atMs, '', () => {
      void sendUntilTaken(appender, gateway, shard, payload);
    });
  }
  const workers = world.between(1, 3);
  for (let i = 0; i < workers; i++) world.after(world.between(0, 1000), '', () => fleet.start());
  planChaos({ world, store, log, fleet, shards, newerActor: () => run.newestActor }, CHAOS_MS);
  await world.run(() => world.violations.length > 0, EPOCH_MS + CHAOS_MS);
}

async function sendUntilTaken(
  appender: ReturnType<typeof simEventLogAppender>,
  gateway: SimProcess,
  shard: number,
  payload: Uint8Array,
): Promise<void> {
  for (;;) {
    const outcome = await appender.append([{ shard, source: 'ingest', payload }]);
    if (outcome.kind === 'stored') return;
    await gateway.clock.sleep(200);
  }
}

/** Ends all faults; everything must then be applied soon. Says how soon, in ms. */
async function healAndConverge(run: Run): Promise<number> {
  const { world, fleet, log } = run;
  if (world.violations.length > 0) return 0;
  world.trace('heal');
  world.faults = NO_FAULTS;
  fleet.crashing = false;
  fleet.setActor(run.newestActor);
  for (const { process } of fleet.living) {
    process.resume();
    process.heal();
  }
  if (fleet.working.length === 0 || world.chance(0.5)) fleet.start();
  const failed = () => world.violations.length > 0;
  const healedAtMs = world.nowMs;
  const end = await world.run(() => failed() || converged(run), healedAtMs + CONVERGE_MS);
  const tookMs = world.nowMs - healedAtMs;
  if (end === 'done') {
    await world.run(failed, world.nowMs + SETTLE_MS);
    // What an alarm clock brought about meanwhile may wait for a copy that stands still since the last restart.
    await world.run(() => failed() || converged(run), world.nowMs + IN_FLIGHT_MS);
  }
  if (failed()) return tookMs;
  if (end !== 'done' || !converged(run)) {
    world.violate(`not converged: ${unfinished(run)}`);
    return tookMs;
  }
  const history = run.checkers.history.values();
  for (const text of run.scenario.judge({ ...run, history })) world.violate(text);
  if (log.lastSequence === 0) world.violate('nothing was sent');
  return tookMs;
}

/** Whether everything sent has been applied and copied. */
export function converged(run: Run): boolean {
  return unfinished(run) === '';
}

function unfinished({ log, store, copies, shards, scenario }: Run): string {
  for (let shard = 0; shard < shards; shard++) {
    const stored = store.latest(`s.${shard}`)?.value;
    const seq = stored ? decodeShardRecord(stored).seq : 0;
    if (seq < log.lastSequenceOf(shard)) {
      return `shard ${shard} is at ${seq} of ${log.lastSequenceOf(shard)}, ${stored ? JSON.stringify(decodeShardRecord(stored)) : 'unclaimed'}`;
    }
  }
  if (scenario.alarmsRing && store.armed > 0) return `${store.armed} alarm clocks have not rung`;
  return copies.settled ? '' : 'the outbox is not copied';
}

/** A clean stop, with nothing in its way, gives every shard back. */
async function stopAll({ world, fleet, store, shards }: Run): Promise<void> {
  if (world.violations.length > 0) return;
  const owners = new Set(fleet.living.filter(({ stopping }) => !stopping).map(({ process }) => process.name));
  const { incarnation } = store.server;
  let left = fleet.living.length;
  for (const member of fleet.living) {
    if (member.stopping) left--;
    else fleet.stop(member, () => left--);
  }
  const end = await world.run(() => left <= 0, world.nowMs + 10_000);
  if (end !== 'done') world.violate(`${left} workers do not stop`);
  // A restart that was still to come hit the stop: what could not be given back is taken over by fencing.
  if (store.server.incarnation !== incarnation) return;
  for (let shard = 0; shard < shards; shard++) {
    const stored = store.latest(`s.${shard}`)?.value;
    const owner = stored ? decodeShardRecord(stored).owner : null;
    if (owner !== null && owners.has(owner)) world.violate(`shard ${shard} was not released by ${owner}`);
  }
}
