// Checks of one parent segment: its streams, its log, the server's copies, who works on it and by which config. Reads
// what GET /v1/status reads, straight from the streams: no gateway needed.
import { readSegmentStatus, type SegmentStatus } from '../../gateway/status/read-status.ts';
import type { SegmentNames } from '../../shared/contract/names.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { createConfigStore } from '../../shared/nats/config-store.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import { createEventLogReader } from '../../shared/nats/event-log-reader.ts';
import { type StreamState, streamInfo } from '../../shared/nats/jetstream-api.ts';
import { createMembership } from '../../shared/nats/membership.ts';
import { createOutboxCopies } from '../../shared/nats/outbox-copies.ts';
import { createRecordStore } from '../../shared/nats/record-store.ts';
import { describeTopology, diffTopology, readShards, type Topology } from '../../shared/nats/topology.ts';
import type { StoredConfig } from '../../shared/ports/config-store.ts';
import { describeProblem, readSegmentText, type SegmentSource } from '../segment-files.ts';
import { showSize } from '../show-size.ts';
import { type CheckResult, guarded, ok, problem, skipped, warning } from './check.ts';

const PROBE_TIMEOUT_MS = 1000;
const COPY_LAG_WARNING = 10_000;
const LAG_WARNING = 100_000;
/** A lag without a commit for this long is a stall. */
const STALL_MS = 60_000;
/** Above it the housekeeper cannot have been purging; from the second on the gateway answers 503. */
const LOG_WARNING_SHARE = 0.8;
const LOG_PROBLEM_SHARE = 0.95;
const SHOWN_MAX = 5;

export interface SegmentDeps {
  readonly door: NatsDoor;
  readonly names: SegmentNames;
  readonly clock: Clock;
  /** The config file of this segment, if one was named. */
  readonly file: { readonly file: string; readonly source: SegmentSource } | undefined;
}

export async function checkSegment(deps: SegmentDeps): Promise<readonly CheckResult[]> {
  const { door, names } = deps;
  const at = (what: string) => `${names.segment}: ${what}`;
  const shards = await readShards(door, names);
  if (shards === undefined) {
    return [problem(at('streams'), 'not deployed', `start a gateway or worker with its config file`)];
  }
  const stored = await createConfigStore(door, names).current();
  const topology = await topologyAsDeployed(door, names, shards);
  const groups = await Promise.all([
    guarded(at('topology'), () => checkTopology(door, topology, at('topology'))),
    guarded(at('replicas'), () => checkReplicas(door, topology, at('replicas'))),
    guarded(at('config'), async () => checkConfig(deps, stored, at('config'))),
    guarded(at('status'), () => checkStatus(deps, shards, stored?.version ?? 0, at)),
    guarded(at('dead letters'), () => checkDeadLetters(door, names, at('dead letters'))),
  ]);
  return groups.flat();
}

/** What the segment's streams should be, with the sizes, ages and replicas that its operator chose. */
async function topologyAsDeployed(door: NatsDoor, names: SegmentNames, shards: number): Promise<Topology> {
  const of = async (stream: string) => (await streamInfo(door, stream, 'LOG_UNAVAILABLE'))?.config ?? {};
  const [events, activations] = await Promise.all([of(names.eventsStream), of(names.activationsStream)]);
  const age = Number(activations.max_age ?? 0) / 1e6;
  return describeTopology(names, {
    shards,
    replicas: Number(events.num_replicas ?? 1),
    eventsBytesMax: Number(events.max_bytes),
    ...(age > 0 ? { activationsAgeMs: age } : {}),
  });
}

async function checkTopology(door: NatsDoor, topology: Topology, name: string): Promise<CheckResult> {
  const differences = await diffTopology(door, topology);
  if (differences.length === 0) return ok(name, `${topology.length} streams as they should be`);
  const list = differences.map(
    ({ stream, field, wanted, found }) =>
      `${stream}.${field} is ${JSON.stringify(found)}, not ${JSON.stringify(wanted)}`,
  );
  const fix = 'restart a worker or gateway: it mends what can be changed, and refuses to run on the rest';
  return problem(name, some(list), fix);
}

interface Clustered extends StreamState {
  readonly cluster?: {
    readonly leader?: string;
    readonly replicas?: readonly {
      readonly name: string;
      readonly current: boolean;
      readonly offline?: boolean;
    }[];
  };
}

async function checkReplicas(door: NatsDoor, topology: Topology, name: string): Promise<CheckResult> {
  const infos = await Promise.all(
    topology.map(async (spec) => ({
      stream: spec.name,
      info: (await streamInfo(door, spec.name, 'LOG_UNAVAILABLE')) as Clustered | undefined,
    })),
  );
  const copies = Math.min(...infos.map(({ info }) => Number(info?.config.num_replicas ?? 1)));
  const behind = infos.flatMap(({ stream, info }) => {
    if (info?.cluster && !info.cluster.leader) return [`${stream} has no leader`];
    const replicas = info?.cluster?.replicas ?? [];
    return replicas
      .filter((replica) => !replica.current || replica.offline)
      .map((replica) => `${stream}: ${replica.name} is ${replica.offline ? 'offline' : 'behind'}`);
  });
  if (behind.length > 0) return problem(name, some(behind), 'look at the nodes of the NATS cluster');
  if (copies > 1) return ok(name, `${copies} copies of each stream, all current`);
  return warning(
    name,
    'one copy of each stream: the loss of its disk is the loss of the data',
    'in production run a NATS cluster and --replicas 3, or back the store up',
  );
}

function checkConfig(
  { file, names }: SegmentDeps,
  stored: StoredConfig | undefined,
  name: string,
): CheckResult {
  if (!stored) return problem(name, 'none deployed', 'start a worker with --config FILE');
  const { source, problems } = readSegmentText(stored.yaml);
  if (!source) {
    const fix = 'deploy a corrected config, or run the version of Stitchwork that it was made for';
    return problem(name, `version ${stored.version}: ${some(problems.map(describeProblem))}`, fix);
  }
  if (file && file.source.digest !== stored.digest) {
    const found = `version ${stored.version} is in force, and ${file.file} is another`;
    return warning(
      name,
      found,
      `look at it with stitchwork diff ${file.file}, and put it in force with stitchwork apply ${file.file}`,
    );
  }
  const same = file ? `, the same as ${file.file}` : '';
  return ok(name, `version ${stored.version} of ${names.segment} validates${same}`);
}

async function checkStatus(
  deps: SegmentDeps,
  shards: number,
  newest: number,
  at: (what: string) => string,
): Promise<readonly CheckResult[]> {
  const { door, names, clock } = deps;
  const source = {
    log: createEventLogReader(door, names),
    store: createRecordStore(door, names),
    membership: createMembership(door, names),
    copies: createOutboxCopies(door, names),
    configVersion: () => newest,
    names,
    shards,
  };
  const { status } = await readSegmentStatus(source, PROBE_TIMEOUT_MS);
  return [
    judgeWorkers(status, at('workers')),
    judgeVersions(status, newest, at('config in use')),
    judgeShards(status, at('shards')),
    judgeLag(status, clock.nowMs(), at('lag')),
    judgeLog(status, at('event log')),
    judgeCopies(status, at('copies')),
  ];
}

export function judgeWorkers({ workers, alarms }: SegmentStatus, name: string): CheckResult {
  const silent = alarms.filter((alarm) => alarm.code === 'WORKER_SILENT').map(({ worker }) => worker ?? '');
  const fix = 'restart it; its shards are taken over meanwhile';
  if (silent.length > 0) return problem(name, `no answer from ${some(silent)}`, fix);
  if (workers.length === 0)
    return problem(name, 'none is alive: no event is applied', 'start one: stitchwork worker');
  return ok(name, `${workers.length} alive`);
}

export function judgeVersions({ workers }: SegmentStatus, newest: number, name: string): CheckResult {
  if (workers.length === 0) return skipped(name, 'no worker to ask');
  const old = workers.filter(({ configVersion }) => configVersion !== newest);
  if (old.length === 0) return ok(name, `version ${newest} on every worker`);
  const list = old.map(({ id, configVersion }) => `${id} decides by ${configVersion}`);
  const fix = 'it takes a new config up within a second; if not, its log says why it cannot run it';
  return problem(name, `version ${newest} is in force, but ${some(list)}`, fix);
}

export function judgeShards({ shards, alarms, workers }: SegmentStatus, name: string): CheckResult {
  const halted = alarms.filter((alarm) => alarm.shard !== null);
  if (halted.length > 0) {
    const list = halted.map(({ shard, code, reason }) => `${shard} ${code}: ${reason}`);
    const fix = 'nothing of these shards is applied; restore all streams of the segment from one backup';
    return problem(name, `stopped with an alarm: ${some(list)}`, fix);
  }
  const free = shards.filter(({ owner }) => owner === null).length;
  if (free === 0) return ok(name, `all ${shards.length} owned`);
  const found = `${free} of ${shards.length} have no owner`;
  if (workers.length === 0) return problem(name, found, 'start a worker');
  return warning(name, found, 'a moment after a worker came or went this is usual; look again');
}

export function judgeLag(status: SegmentStatus, nowMs: number, name: string): CheckResult {
  const { lag, lastCommitAt } = status;
  const since = lastCommitAt === null ? undefined : nowMs - Date.parse(lastCommitAt);
  const last = lastCommitAt === null ? 'no commit yet' : `last commit at ${lastCommitAt}`;
  const found = `${lag} messages to apply, ${last}`;
  if (lag > 0 && (since === undefined || since > STALL_MS)) {
    return problem(name, found, 'nothing is being applied: see the log of the workers');
  }
  return lag >= LAG_WARNING
    ? warning(name, found, 'add workers, or find what slows them: stitchwork status')
    : ok(name, found);
}

export function judgeLog({ log }: SegmentStatus, name: string): CheckResult {
  if (log.bytesMax === null)
    return warning(name, `${showSize(log.bytes)}, without a limit`, 'restart a worker: it sets one');
  const share = log.bytes / log.bytesMax;
  const found = `${showSize(log.bytes)} of ${showSize(log.bytesMax)} (${Math.round(share * 100)} %), ${log.messages} messages`;
  const fix = 'find what does not read (lag, workers), or raise --events-max-bytes';
  if (share >= LOG_PROBLEM_SHARE) return problem(name, `${found}: gateways answer 503`, fix);
  return share >= LOG_WARNING_SHARE ? warning(name, found, fix) : ok(name, found);
}

export function judgeCopies({ copies }: SegmentStatus, name: string): CheckResult {
  const still = copies.filter(({ running }) => !running);
  if (still.length > 0) {
    const list = still.map((copy) => `${copy.name}${copy.error === null ? '' : ` (${copy.error})`}`);
    const fix = 'the housekeeper of a worker sets them up anew within seconds; look again, and at its log';
    return problem(name, `not running: ${some(list)}`, fix);
  }
  const slow = copies.filter(({ lag }) => lag >= COPY_LAG_WARNING);
  const list = copies.map((copy) => `${copy.name} ${copy.lag}`).join(', ');
  if (slow.length > 0) return warning(name, `behind: ${list}`, 'nats-server is busy, or its disk is slow');
  return ok(name, `running, lag: ${list}`);
}

async function checkDeadLetters(door: NatsDoor, names: SegmentNames, name: string): Promise<CheckResult> {
  const messages = (await streamInfo(door, names.deadStream, 'STORE_UNAVAILABLE'))?.state.messages ?? 0;
  if (messages === 0) return ok(name, 'none');
  return warning(name, `${messages} kept`, `stitchwork dead list --segment ${names.segment}`);
}

/** The first few of a list, and how many more there are. */
function some(list: readonly string[]): string {
  const more = list.length > SHOWN_MAX ? `; and ${list.length - SHOWN_MAX} more` : '';
  return `${list.slice(0, SHOWN_MAX).join('; ')}${more}`;
}
