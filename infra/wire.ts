// The composition root: roles made of ports and their implementations. Nothing else constructs them.
//
//   gateway: HTTP -> event log; reads profiles        worker: event log -> atomic commits; keeps house
//   batch:   event log -> archive (batch-role.ts)     activator: activations -> destinations (activator-role.ts)
//   dev:     all in one process, with a nats-server child
import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { resolve as resolvePath } from 'node:path';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { createWorker, type Worker } from '../actors/runtime/worker.ts';
import type { GatewaySegment } from '../gateway/deps.ts';
import { createGateway } from '../gateway/server.ts';
import { systemClock } from '../shared/kernel/clock.ts';
import { StitchworkError } from '../shared/kernel/errors.ts';
import { systemRandom } from '../shared/kernel/random.ts';
import { createAuditLog, createLogBack } from '../shared/nats/audit-log.ts';
import type { NatsDoor } from '../shared/nats/connect.ts';
import { createEventLogAppender } from '../shared/nats/event-log-appender.ts';
import { createEventLogReader } from '../shared/nats/event-log-reader.ts';
import { createMembership } from '../shared/nats/membership.ts';
import { createOutboxCopies } from '../shared/nats/outbox-copies.ts';
import { createRecentEvents } from '../shared/nats/recent-events.ts';
import { createRecordStore } from '../shared/nats/record-store.ts';
import { createReplies, createReplyBoxes } from '../shared/nats/replies.ts';
import { withSnapshotRows } from '../shared/nats/snapshots.ts';
import type { EventHistory } from '../shared/ports/event-history.ts';
import type { Membership, WorkerActivity } from '../shared/ports/membership.ts';
import type { RoleSettings } from '../shared/settings.ts';
import { DEFAULT_PORT } from '../shared/settings.ts';
import { runActivator } from './activator-role.ts';
import { openHistory, runBatch } from './batch-role.ts';
import { type Belongings, owning } from './belongings.ts';
import { actorOf, type DeployedSegment } from './deploy.ts';
import { devSecrets, environmentSecret, tokensIn } from './dev-tokens.ts';
import { Housekeeper } from './housekeeper.ts';
import {
  createHousekeeperMetrics,
  createHousekeeperTelemetry,
  type HousekeeperMetrics,
} from './housekeeper-telemetry.ts';
import { lazyDuck } from './lazy-duck.ts';
import type { Log } from './log.ts';
import { endOrphan, forgetServer, noteServer } from './nats-orphan.ts';
import { resolveNatsServer } from './nats-server/resolve.ts';
import { startNatsServer } from './nats-server/start.ts';
import { openSegments, processId, type RoleDeps, serveAlone } from './open-segments.ts';
import { registerBuildInfo } from './process-metrics.ts';
import type { RunningRole } from './role.ts';
import { withTestSeams } from './test-seams.ts';
import { openTls } from './tls/open-tls.ts';
import { createIngestTracing, withTracing } from './tracing.ts';
import { ActivityMeter } from './worker-activity.ts';
import {
  createWorkerMetrics,
  createWorkerTelemetry,
  type SegmentReport,
  type WorkerMetrics,
} from './worker-telemetry.ts';

export interface RunningGateway extends RunningRole {
  readonly url: string;
  /** The same for https, when asked for. */
  readonly tlsUrl: string | undefined;
  readonly segments: readonly string[];
}

export interface RunningWorker extends RunningRole {
  readonly id: string;
  /** Where /metrics and /health are, when asked for. */
  readonly url: string | undefined;
  readonly segments: readonly string[];
}

export interface RunningDev extends RunningRole {
  readonly url: string;
  readonly tlsUrl: string | undefined;
  readonly natsUrl: string;
  readonly adminKey: string;
  readonly writeKey: string;
  readonly segments: readonly string[];
  /** Of personalization, by service. */
  readonly tokens: Readonly<Record<string, string>>;
}

const KEY_BYTES = 18;

/** A registry with the metrics of the process itself. */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  registerBuildInfo(registry);
  return registry;
}

/** The HTTP side. Stopping finishes requests in flight first. */
export function runGateway(
  settings: RoleSettings,
  deps: RoleDeps,
  secretOf = environmentSecret,
): Promise<RunningGateway> {
  return owning(async (belongings) => {
    const { door, segments } = await openSegments(settings, deps, 'gateway', belongings);
    const { dataDir } = settings;
    const duck = lazyDuck(dataDir, belongings);
    const history = ({ names, shards }: DeployedSegment) =>
      openHistory(door, names, { dataDir, shards, duck });
    const app = await createGateway(
      {
        segments: segments.map((segment) => gatewaySegment(door, segment, history(segment))),
        clock: systemClock,
        random: systemRandom,
        logger: deps.log,
        tracing: createIngestTracing(),
        secretOf,
        registry: deps.registry,
      },
      {
        adminKeys: settings.adminKeys,
        writeKeys: settings.writeKeys,
        trustedProxies: settings.trustedProxies,
        treasureDataHosts: settings.treasureDataHosts,
      },
    );
    belongings.own(() => app.close());
    await app.listen({ host: settings.host, port: settings.port ?? DEFAULT_PORT });
    const { port } = app.server.address() as AddressInfo;
    const url = `http://${urlHost(settings.host)}:${port}`;
    const tls = await openTls(app, settings);
    belongings.own(() => tls?.close());
    const tlsUrl = tls && `https://${urlHost(settings.host)}:${tls.port}`;
    deps.log.info({ url, tlsUrl, segments: segments.map((s) => s.names.segment) }, 'gateway ready');
    return {
      url,
      tlsUrl,
      segments: segments.map((segment) => segment.names.segment),
      failed: new Promise(() => {}),
      stop: () => belongings.close(),
    };
  });
}

/** The applying side: one worker a segment. Stopping finishes the commit in flight and releases every shard. */
export function runWorker(settings: RoleSettings, deps: RoleDeps): Promise<RunningWorker> {
  return owning(async (belongings) => {
    const { door, segments } = await openSegments(settings, deps, 'worker', belongings);
    const id = processId();
    const workers: { readonly segment: string; readonly worker: Worker }[] = [];
    const reports = (): readonly SegmentReport[] =>
      workers.map(({ segment, worker }) => ({ segment, report: worker.report() }));
    const metrics = {
      worker: createWorkerMetrics(deps.registry, reports),
      housekeeper: createHousekeeperMetrics(deps.registry, systemClock),
    };
    for (const segment of segments) {
      const worker = await startSegmentWorker({ settings, deps, door, segment, id, metrics }, belongings);
      workers.push({ segment: segment.names.segment, worker });
    }
    const url = await serveAlone(settings, deps, door, belongings);
    deps.log.info({ id, url, segments: segments.map((s) => s.names.segment) }, 'worker ready');
    return {
      id,
      url,
      segments: segments.map((segment) => segment.names.segment),
      failed: Promise.race(workers.map(({ worker }) => worker.failed)),
      stop: () => belongings.close(),
    };
  });
}

/** Everything in one process. With a NATS URL that server is used, else a child with its data in the data folder. */
export function runDev(settings: RoleSettings, deps: RoleDeps): Promise<RunningDev> {
  return owning(async (belongings) => {
    const nats = await natsForDev(settings, deps.log, belongings);
    const adminKeys = settings.adminKeys.length > 0 ? settings.adminKeys : [newKey('admin')];
    const writeKeys = settings.writeKeys.length > 0 ? settings.writeKeys : [newKey('write')];
    const role: RoleSettings = { ...settings, natsUrl: nats.url, adminKeys, writeKeys };
    const worker = await runWorker({ ...role, port: undefined }, deps);
    belongings.own(() => worker.stop());
    const batch = await runBatch({ ...role, port: undefined }, deps, { duckMayBeMissing: true });
    belongings.own(() => batch.stop());
    const activator = await runActivator({ ...role, port: undefined }, deps);
    belongings.own(() => activator.stop());
    const secretOf = devSecrets(adminKeys[0] ?? '');
    const gateway = await runGateway(role, deps, secretOf);
    belongings.own(() => gateway.stop());
    return {
      url: gateway.url,
      tokens: await tokensIn(settings.configFiles, secretOf),
      tlsUrl: gateway.tlsUrl,
      natsUrl: nats.url,
      adminKey: adminKeys[0] ?? '',
      writeKey: writeKeys[0] ?? '',
      segments: gateway.segments,
      failed: Promise.race([worker.failed, nats.failed]),
      stop: () => belongings.close(),
    };
  });
}

async function natsForDev(
  settings: RoleSettings,
  log: Log,
  belongings: Belongings,
): Promise<{ readonly url: string; readonly failed: Promise<unknown> }> {
  if (settings.natsUrl !== undefined) return { url: settings.natsUrl, failed: new Promise(() => {}) };
  const storeDir = resolvePath(settings.dataDir, 'nats');
  if (await endOrphan(storeDir))
    log.warn({ storeDir }, 'ended the nats-server that a killed dev process left');
  const binary = await resolveNatsServer();
  const server = await startNatsServer({ binary: binary.path, dataDir: storeDir, ownGroup: true });
  noteServer(storeDir, server.pid);
  let stopping = false;
  belongings.own(async () => {
    stopping = true;
    await server.stop();
    forgetServer(storeDir);
  });
  log.info({ url: server.url, version: binary.version, origin: binary.origin }, 'nats-server ready');
  const failed = server.exited.then((code) =>
    stopping
      ? new Promise<never>(() => {})
      : new StitchworkError('LOG_UNAVAILABLE', `nats-server ended with ${code}`),
  );
  return { url: server.url, failed };
}

function gatewaySegment(door: NatsDoor, segment: DeployedSegment, history: EventHistory): GatewaySegment {
  const { names, shards } = segment;
  return {
    config: segment.config,
    configVersion: segment.configVersion,
    configs: segment.configs,
    recentEvents: createRecentEvents(door, names),
    appender: createEventLogAppender(door, names, { clock: systemClock, random: systemRandom }),
    log: createEventLogReader(door, names, shards),
    history,
    store: withSnapshotRows(createRecordStore(door, names), door, names),
    runs: segment.runs,
    replyBoxes: createReplyBoxes(door),
    membership: createMembership(door, names, {}),
    copies: createOutboxCopies(door, names),
    audit: createAuditLog(door, names),
    decisions: createLogBack(door, { stream: names.activationsStream, filter: names.activationsFilter }),
    deliveries: createLogBack(door, { stream: names.deliveriesStream, filter: names.attemptsFilter }),
    names,
    shards,
  };
}

interface SegmentWorkerParts {
  readonly settings: RoleSettings;
  readonly deps: RoleDeps;
  readonly door: NatsDoor;
  readonly segment: DeployedSegment;
  readonly id: string;
  readonly metrics: { readonly worker: WorkerMetrics; readonly housekeeper: HousekeeperMetrics };
}

async function startSegmentWorker(parts: SegmentWorkerParts, belongings: Belongings): Promise<Worker> {
  const { settings, door, segment, id, metrics } = parts;
  const { names, shards } = segment;
  const log = parts.deps.log.child({ segment: names.segment });
  const store = withSnapshotRows(createRecordStore(door, names), door, names);
  const events = createEventLogReader(door, names, shards);
  const activity = new ActivityMeter(systemClock);
  const copies = createOutboxCopies(door, names);
  const telemetry = withTracing(
    createWorkerTelemetry(metrics.worker, { segment: names.segment, log, activity, clock: systemClock }),
    names.segment,
    copies,
    systemClock,
  );
  const worker = createWorker(
    {
      store,
      log: events,
      membership: withActivity(createMembership(door, names, {}), () => activity.read()),
      clock: systemClock,
      random: systemRandom,
      replies: createReplies(door),
      telemetry: withTestSeams(telemetry, settings),
      actor: actorOf(segment),
      refreshActor: () => segment.refresh(),
    },
    { segment: names.segment, workerId: id, shards },
  );
  segment.onConfig(() => worker.setActor(actorOf(segment)));
  const housekeeper = new Housekeeper(
    {
      store,
      log: events,
      copies,
      clock: systemClock,
      telemetry: createHousekeeperTelemetry(metrics.housekeeper, names.segment, log),
      onDuty: () => worker.report().shards.includes(0),
    },
    { shards, retentionMs: settings.eventsRetentionMs },
  );
  belongings.own(() => worker.stop());
  await worker.start();
  housekeeper.start();
  belongings.own(() => housekeeper.stop());
  return worker;
}

/** The membership of a worker that also tells, when asked for everything, what it has been doing. */
function withActivity(membership: Membership, read: () => WorkerActivity): Membership {
  return {
    ...membership,
    join: (id, report) =>
      membership.join(id, (detailed) => (detailed ? { ...report(), activity: read() } : report())),
  };
}

function newKey(kind: 'admin' | 'write'): string {
  return `${kind}_${randomBytes(KEY_BYTES).toString('base64url')}`;
}

function urlHost(host: string): string {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
}
