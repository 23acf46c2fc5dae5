// What every role begins with: a connection, its segments, a name of its own, and a small HTTP door when it runs alone.
import { hostname } from 'node:os';
import type { Registry } from 'prom-client';
import { StitchworkError } from '../shared/kernel/errors.ts';
import { randomToken, systemRandom } from '../shared/kernel/random.ts';
import { connectNats, type NatsDoor } from '../shared/nats/connect.ts';
import type { RoleSettings } from '../shared/settings.ts';
import { DEFAULT_NATS_URL } from '../shared/settings.ts';
import type { Belongings } from './belongings.ts';
import { type DeployedSegment, deploySegment, type SegmentRequest } from './deploy.ts';
import type { Log } from './log.ts';
import { watchConnection } from './process-metrics.ts';
import { loadSegmentFiles } from './segment-files.ts';
import { serveWorkerHttp } from './worker-http.ts';

export interface RoleDeps {
  readonly log: Log;
  readonly registry: Registry;
}

export interface Opened {
  readonly door: NatsDoor;
  readonly segments: readonly DeployedSegment[];
}

/** Connects and makes every segment of the settings ready to run. */
export async function openSegments(
  settings: RoleSettings,
  { log, registry }: RoleDeps,
  role: 'gateway' | 'worker' | 'batch' | 'activator',
  belongings: Belongings,
): Promise<Opened> {
  const requests: SegmentRequest[] = [
    ...(await loadSegmentFiles(settings.configFiles)).map((source) => ({ kind: 'file', source }) as const),
    ...settings.segments.map((segment) => ({ kind: 'stored', segment }) as const),
  ];
  if (requests.length === 0) {
    throw new StitchworkError(
      'INVALID_SETTINGS',
      'nothing to run: give --config FILE, or --segment NAME of a deployed config',
    );
  }
  const door = await connectNats({ url: settings.natsUrl ?? DEFAULT_NATS_URL, name: `stitchwork ${role}` });
  belongings.own(() => door.close());
  watchConnection(registry, role, door);
  const segments: DeployedSegment[] = [];
  for (const request of requests) {
    const segment = await deploySegment(door, request, settings.topology, log);
    belongings.own(() => segment.close());
    segments.push(segment);
  }
  return { door, segments };
}

/** A role that runs alone has no HTTP of its own unless a port is asked for. */
export async function serveAlone(
  settings: RoleSettings,
  deps: RoleDeps,
  door: NatsDoor,
  belongings: Belongings,
): Promise<string | undefined> {
  if (settings.port === undefined) return undefined;
  const http = await serveWorkerHttp({
    host: settings.host,
    port: settings.port,
    registry: deps.registry,
    ready: () => door.connected,
  });
  belongings.own(() => http.close());
  return http.url;
}

/** Unique per process start, and a single subject token. */
export function processId(): string {
  const host = hostname()
    .replace(/[^A-Za-z0-9-]/g, '-')
    .slice(0, 40);
  return `${host}-${process.pid}-${randomToken(systemRandom, 6)}`;
}
