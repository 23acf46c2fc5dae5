// Real processes under load and fire, then everything at rest compared with the oracle. What runs and what strikes it is
// a scenario. `runCrash` returns what is wrong instead of throwing, so that a failure comes with the whole picture.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type NatsConnection } from 'nats';
import { checkProfiles, forEach, readProfileById } from './api-check.ts';
import { checkBucket } from './bucket-check.ts';
import { Canary } from './canary.ts';
import { checkDeliveries } from './delivery-check.ts';
import { ORDER, SIGNUP } from './events.ts';
import { ADMIN_KEY, Fleet, type FleetOptions, type Servers, tailOf, until, WRITE_KEY } from './fleet.ts';
import { expectedOf, type WireEvent } from './oracle.ts';
import { Rebalancer } from './rebalancer.ts';
import {
  duringOf,
  faultsOf,
  killsByPhase,
  killsOf,
  type Report,
  recoveryOf,
  requestsOf,
  type Struck,
} from './report.ts';
import { checkActivations, checkAudit, checkDeadLetters, untilCopied } from './stream-check.ts';
import { tallyLogs } from './worker-logs.ts';
import type { WorkloadStats } from './workload.ts';
import { startWorkload, type WorkloadChild } from './workload-child.ts';

export interface CrashOptions {
  readonly form: 'short' | 'long';
  readonly seed: number;
  /** How long the fire lasts at least; the deck of faults is always played to its end once. */
  readonly seconds: number;
  readonly rate: number;
  /** The first time that the receiver is down it is so for this long, while the other faults go on. */
  readonly receiverDownMs?: number | undefined;
}

/** What is put under fire, and by what. */
export interface Scenario<S extends Servers = Servers> {
  /** What to start; `folder` is there and empty. */
  fleet(folder: string): Promise<FleetOptions<S>>;
  /** Called when everything runs. */
  attack(fleet: Fleet<S>, canary: Canary, options: CrashOptions): Attack;
  /** What a run must have seen to count, and has not. */
  demands(report: Report, options: CrashOptions): readonly string[];
}

export interface Attack {
  /** A worker joins and leaves all the time. */
  readonly rebalance: boolean;
  /** The deck of faults: so many are struck at least. */
  readonly deckSize: number;
  /** Faults without end; each is struck when it is asked for. */
  strikes(): AsyncGenerator<Struck, void>;
  /** Ends what the attack has running. The servers are whole when it resolves. */
  finish(): Promise<AttackFindings>;
}

export interface AttackFindings {
  /** Events that the attack itself has sent. */
  readonly accepted: readonly WireEvent[];
  /** For the report. */
  readonly figures: Readonly<Record<string, unknown>>;
}

export interface CrashOutcome {
  readonly violations: readonly string[];
  readonly report: Report | undefined;
  /** What to look at when something is wrong. */
  readonly evidence: string;
}

const CLIENTS = 4;
const LANES = 3;
const DRAIN_MS = 120_000;
const SETTLE_DEADLINE_MS = 120_000;
/** Of each kind of check. */
const VIOLATIONS_SHOWN = 8;

export async function runCrash<S extends Servers>(
  scenario: Scenario<S>,
  options: CrashOptions,
): Promise<CrashOutcome> {
  const folder = mkdtempSync(join(tmpdir(), 'stitchwork-crash-'));
  let fleet: Fleet<S> | undefined;
  let workload: WorkloadChild | undefined;
  try {
    fleet = new Fleet(await scenario.fleet(folder));
    await fleet.start();
    const canary = new Canary(fleet, options.seed);
    await canary.untilAllShardsWork();
    const journal = join(folder, 'journal.ndjson');
    workload = startWorkload(folder, {
      seed: options.seed,
      clients: CLIENTS,
      lanes: LANES,
      rate: options.rate,
      gateways: fleet.gateways.map(({ url }) => url),
      writeKey: WRITE_KEY,
      startMs: Date.now(),
      journal,
      drainMs: DRAIN_MS,
    });
    const attack = scenario.attack(fleet, canary, options);
    const fire = await underFire(fleet, attack, workload, options);
    const stats = await workload.finish();
    const settledMs = await settle(fleet);
    const accepted = [...readJournal(journal), ...canary.accepted, ...fire.findings.accepted];
    const evidence = { fire, stats, settledMs, accepted };
    const { violations, report } = await judge(fleet, scenario, options, evidence);
    return { violations, report, evidence: violations.length > 0 ? evidenceOf(fleet) : '' };
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    if (!fleet) return { violations: [text], report: undefined, evidence: 'nothing was started' };
    const status = await statusOf(fleet).catch((cause: unknown) => `no status: ${cause}`);
    return { violations: [text], report: undefined, evidence: `${status}\n${evidenceOf(fleet)}` };
  } finally {
    workload?.kill();
    await fleet?.destroy();
    if (process.env.CRASH_KEEP) console.log(`logs and data: ${folder}`);
    else rmSync(folder, { recursive: true, force: true });
  }
}

interface Fire {
  readonly struck: readonly Struck[];
  readonly joinsAndLeaves: number;
  readonly findings: AttackFindings;
}

/** The clients pause while more than this is waiting, so that a busy machine makes the run longer and not different. */
const LAG_HIGH = 1000;
const LAG_LOW = 300;
const GOVERN_MS = 250;

/** Keeps the load within what the workers can take, until `stop` aborts. */
async function govern(fleet: Fleet, workload: WorkloadChild, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    const lag = await lagOf(fleet).catch(() => undefined);
    if (lag !== undefined && lag > LAG_HIGH) workload.hold(true);
    if (lag !== undefined && lag < LAG_LOW) workload.hold(false);
    await new Promise((resolve) => setTimeout(resolve, GOVERN_MS));
  }
  workload.hold(false);
}

async function lagOf(fleet: Fleet): Promise<number | undefined> {
  const { segments } = (await readStatus(fleet)) as { segments: readonly SegmentStatus[] };
  return segments[0]?.lag;
}

/** Lets the attack strike while clients post, and a worker joins and leaves where it is asked for. */
async function underFire(
  fleet: Fleet,
  attack: Attack,
  workload: WorkloadChild,
  options: CrashOptions,
): Promise<Fire> {
  const rebalancer = new Rebalancer(fleet, options.seed);
  const struck: Struck[] = [];
  const done = new AbortController();
  const governed = govern(fleet, workload, done.signal);
  const endMs = Date.now() + options.seconds * 1000;
  const faults = (async () => {
    for await (const strike of attack.strikes()) {
      struck.push(strike);
      fleet.throwIfBroken();
      if (Date.now() > endMs && struck.length >= attack.deckSize) return;
    }
  })();
  let findings: AttackFindings;
  try {
    await Promise.race([faults, workload.broken, ...(attack.rebalance ? [rebalancer.run()] : [])]);
  } finally {
    done.abort();
    await governed;
    await rebalancer.stop();
    findings = await attack.finish();
  }
  return { struck, joinsAndLeaves: rebalancer.moves, findings };
}

interface SegmentStatus {
  readonly lag: number;
  readonly shards: readonly { readonly shard: number; readonly owner: string | null }[];
  readonly alarms?: readonly unknown[];
}

/** Waits until all that was accepted is applied and every shard has an owner. Returns how long that took. */
async function settle(fleet: Fleet): Promise<number> {
  const startedMs = Date.now();
  const lasting = [...fleet.gateways, ...fleet.workers, ...fleet.activators];
  await Promise.all(lasting.map((slot) => slot.untilReady()));
  await until('lag is 0 and every shard is owned', SETTLE_DEADLINE_MS, async () => {
    fleet.throwIfBroken();
    const { segments } = (await readStatus(fleet)) as { segments: readonly SegmentStatus[] };
    const [segment] = segments;
    return segment?.lag === 0 && segment.shards.every(({ owner }) => owner !== null);
  });
  return Date.now() - startedMs;
}

interface Evidence {
  readonly fire: Fire;
  readonly stats: WorkloadStats;
  readonly settledMs: number;
  readonly accepted: readonly WireEvent[];
}

async function judge<S extends Servers>(
  fleet: Fleet,
  scenario: Scenario<S>,
  options: CrashOptions,
  { fire, stats, settledMs, accepted }: Evidence,
): Promise<{ violations: string[]; report: Report }> {
  const nc = await connect({ servers: fleet.servers.url.split(',') });
  try {
    const expected = expectedOf(accepted, { orderName: ORDER, signupName: SIGNUP });
    await untilCopied(nc);
    const gateways = fleet.gateways.map(({ url }) => url);
    const api = await checkProfiles(gateways, expected);
    const bucket = await checkBucket(nc, expected, api.idOf);
    const activations = await checkActivations(nc, expected);
    const deliveries = fleet.receiver && (await checkDeliveries(nc, fleet, fleet.receiver));
    const audit = await checkAudit(nc);
    const { errors, ...workers } = tallyLogs(fleet);
    const report: Report = {
      seed: options.seed,
      seconds: Math.round(stats.durationMs / 1000),
      kills: killsOf(fleet.ends),
      faults: faultsOf(fire.struck),
      killsByPhase: killsByPhase(fleet.ends),
      joinsAndLeaves: fire.joinsAndLeaves,
      workers,
      events: {
        accepted: accepted.length,
        distinct: expected.events,
        perSecond: Math.round((accepted.length * 1000) / stats.durationMs),
      },
      requests: requestsOf(stats),
      refusals: stats.refusals,
      compared: {
        ...api.compared,
        activations: activations.count,
        audit: audit.count,
        links: bucket.links,
        largestProfile: Math.max(...expected.profiles.map(({ messageIds }) => messageIds.size)),
      },
      recoveryMs: recoveryOf(fire.struck),
      settledMs,
      ...(deliveries && {
        deliveries: { activatorKills: duringOf(fire.struck, 'kill activator'), ...deliveries.figures },
      }),
      figures: fire.findings.figures,
    };
    const found = {
      'requests of clients': stats.failures,
      'dead letters': await checkDeadLetters(nc),
      alarms: await checkAlarms(fleet),
      'errors in logs': errors,
      'profiles by the API': api.violations,
      'records of the bucket': bucket.violations,
      activations: activations.violations,
      'profiles of activations': await checkNamedProfiles(gateways, activations.named, api.idOf),
      'audit entries': audit.violations,
      deliveries: deliveries?.violations ?? [],
      'what the run must have seen': scenario.demands(report, options),
    };
    const violations = Object.entries(found).flatMap(([kind, list]) => [
      ...list.slice(0, VIOLATIONS_SHOWN).map((text) => `${kind}: ${text.slice(0, 600)}`),
      ...(list.length > VIOLATIONS_SHOWN ? [`${kind}: ${list.length} in all`] : []),
    ]);
    return { violations, report };
  } finally {
    await closeQuietly(nc);
  }
}

/** The profile that an activation named, perhaps retired since, leads to the customer whose event fired it. */
async function checkNamedProfiles(
  gateways: readonly string[],
  named: Awaited<ReturnType<typeof checkActivations>>['named'],
  idOf: Awaited<ReturnType<typeof checkProfiles>>['idOf'],
): Promise<string[]> {
  const violations: string[] = [];
  const byId = [...new Map(named.map((entry) => [entry.profileId, entry])).values()];
  await forEach(byId, async ({ profileId, expected }, index) => {
    const answer = await readProfileById(gateways[index % gateways.length]!, profileId);
    const due = idOf.get(expected);
    const found = typeof answer === 'string' ? answer : answer.id;
    if (found !== due) violations.push(`activation names ${profileId}, now ${found}, expected ${due}`);
  });
  return violations;
}

async function checkAlarms(fleet: Fleet): Promise<string[]> {
  const { segments } = (await readStatus(fleet)) as { segments: readonly SegmentStatus[] };
  return segments
    .flatMap((segment) => segment.alarms ?? [])
    .map((alarm) => `alarm: ${JSON.stringify(alarm)}`);
}

/** The answer of the first gateway that gives one. */
async function readStatus(fleet: Fleet): Promise<unknown> {
  for (const gateway of fleet.gateways) {
    try {
      const response = await fetch(`${gateway.url}/v1/status`, {
        headers: { authorization: `Bearer ${ADMIN_KEY}` },
        signal: AbortSignal.timeout(20_000),
      });
      const text = await response.text();
      if (response.status === 200) return JSON.parse(text);
    } catch {
      // It was just killed: the other one is asked.
    }
  }
  return { segments: [] };
}

async function statusOf(fleet: Fleet): Promise<string> {
  return fleet.gateways.length > 0 ? JSON.stringify(await readStatus(fleet)).slice(0, 6000) : 'no gateway';
}

function* readJournal(file: string): Generator<WireEvent> {
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line !== '') yield* JSON.parse(line) as WireEvent[];
  }
}

function evidenceOf(fleet: Fleet): string {
  const ends = fleet.ends.map(
    ({ slot, life, how, phase, detail }) => `${slot}.${life} ${how} ${phase} ${detail}`,
  );
  const tails = fleet.slots.map((slot) => `--- ${slot.name}\n${tailOf(slot.lastLog)}`);
  return ['--- ends', ...ends, ...tails].join('\n');
}

async function closeQuietly(nc: NatsConnection): Promise<void> {
  await nc.close().catch(() => {});
}
