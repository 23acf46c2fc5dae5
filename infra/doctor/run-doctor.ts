// All checks of `stitchwork doctor`, in the order in which one thing rests on another. What needs a server that does not
// answer is skipped; everything else is still looked at.
import { segmentNames } from '../../shared/contract/names.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { errorText, isStitchworkError } from '../../shared/kernel/errors.ts';
import { connectNats, type NatsDoor } from '../../shared/nats/connect.ts';
import { callApi } from '../../shared/nats/jetstream-api.ts';
import type { ClientSettings, Env } from '../../shared/settings.ts';
import { type CheckResult, guarded, ok, problem, skipped, warning } from './check.ts';
import {
  type CheckedFiles,
  checkConfigFiles,
  checkDisk,
  checkEnvironment,
  checkKeys,
  checkNode,
} from './local-checks.ts';
import { checkSegment } from './segment-checks.ts';
import {
  checkClock,
  checkDurability,
  checkJetStream,
  checkPayload,
  checkServerVersion,
  readMonitor,
} from './server-checks.ts';

export interface DoctorInput {
  readonly settings: ClientSettings;
  /** Only this segment; undefined: all that are deployed. */
  readonly segment: string | undefined;
  readonly env: Env;
  readonly clock: Clock;
  readonly nodeVersion: string;
  readonly configFiles: readonly string[];
  readonly monitorUrl: string | undefined;
  /** The servers are those of a dev process on this machine. */
  readonly dev: boolean;
  /** The gateway was named, or noted by a dev process: it has to answer. */
  readonly gatewayExpected: boolean;
}

export interface Diagnosis {
  readonly checks: readonly CheckResult[];
  /** False when nats-server did not answer. */
  readonly reachable: boolean;
}

const GATEWAY_DEADLINE_MS = 3000;

export async function runDoctor(input: DoctorInput): Promise<Diagnosis> {
  const { settings, env } = input;
  const files = await checkConfigFiles(input.configFiles);
  const local = [
    checkNode(input.nodeVersion),
    checkEnvironment(env),
    checkKeys(env, settings),
    ...files.results,
  ];
  const connected = await connect(settings);
  const { door } = connected;
  if (!door) {
    const disk = await guarded('disk', () => checkDisk(settings.dataDir, undefined));
    const rest = skipped('everything behind nats-server', 'not looked at: no connection');
    const gateway = await checkGateway(input);
    return { checks: [...local, connected.result, ...disk, gateway, rest], reachable: connected.answered };
  }
  try {
    const checks = await checkConnected(door, files, input);
    return { checks: [...local, connected.result, ...checks], reachable: true };
  } finally {
    await door.close();
  }
}

interface Connected {
  readonly door: NatsDoor | undefined;
  readonly result: CheckResult;
  /** Something that is nats-server was there. */
  readonly answered: boolean;
}

async function connect({ natsUrl }: ClientSettings): Promise<Connected> {
  const name = 'nats-server';
  const shown = withoutPassword(natsUrl);
  try {
    const door = await connectNats({ url: natsUrl, name: 'stitchwork doctor' });
    return { door, result: ok(name, `answers at ${shown}`), answered: true };
  } catch (error) {
    if (isStitchworkError(error, 'SERVER_TOO_OLD')) {
      const result = problem('nats-server version', error.message, 'update nats-server');
      return { door: undefined, result, answered: true };
    }
    const reason = withoutPassword(errorText(error));
    const result = problem(name, reason, 'start it with nats.conf, or name another by --nats-url');
    return { door: undefined, result, answered: false };
  }
}

async function checkConnected(
  door: NatsDoor,
  files: CheckedFiles,
  input: DoctorInput,
): Promise<readonly CheckResult[]> {
  const { settings, clock } = input;
  const monitor = await readMonitor(input.monitorUrl);
  const jetStream = await guarded('JetStream', () => checkJetStream(door, monitor));
  const server = [
    checkServerVersion(door.serverVersion),
    checkPayload(door),
    ...jetStream,
    checkDurability(monitor, input.dev),
  ];
  if (jetStream[0]?.status === 'problem') {
    const disk = await guarded('disk', () => checkDisk(settings.dataDir, undefined));
    return [...server, ...disk, skipped('segments', 'not looked at: no JetStream')];
  }
  const streams = await streamNames(door);
  const deployed = segmentsOf(streams);
  const timed = deployed[0] ? segmentNames(deployed[0]).eventsStream : undefined;
  const clocks = timed
    ? await guarded('clock', () => checkClock(door, timed, clock))
    : [skipped('clock', 'nats-server tells its time with a stream, and there is none yet')];
  const disk = await guarded('disk', async () => checkDisk(settings.dataDir, await mayGrow(door, deployed)));
  const asked = segmentsToCheck(input, files, deployed);
  const segments = await Promise.all(
    asked.map((segment) =>
      guarded(`${segment}: streams`, () => {
        const file = files.sources.find(({ source }) => source.config.segment === segment);
        return checkSegment({ door, names: segmentNames(segment), clock, file });
      }),
    ),
  );
  const none =
    asked.length === 0 ? [warning('segments', 'none is deployed', 'start a worker with --config FILE')] : [];
  return [...server, ...clocks, ...disk, await checkGateway(input), ...none, ...segments.flat()];
}

/** The one that was asked for, else all that are deployed or have a file. */
function segmentsToCheck(
  { segment }: DoctorInput,
  files: CheckedFiles,
  deployed: readonly string[],
): readonly string[] {
  if (segment !== undefined) return [segment];
  return [...new Set([...deployed, ...files.sources.map(({ source }) => source.config.segment)])].sort();
}

async function streamNames(door: NatsDoor): Promise<readonly string[]> {
  const answer = await callApi(door, 'STREAM.NAMES');
  return answer.kind === 'ok' ? ((answer.body.streams as string[] | null) ?? []) : [];
}

/** Segments whose event log is there. */
function segmentsOf(streams: readonly string[]): readonly string[] {
  const prefix = segmentNames('').eventsStream;
  return streams.filter((stream) => stream.startsWith(prefix)).map((stream) => stream.slice(prefix.length));
}

async function mayGrow(door: NatsDoor, segments: readonly string[]): Promise<number> {
  let bytes = 0;
  for (const segment of segments) {
    const answer = await callApi(door, `STREAM.INFO.${segmentNames(segment).eventsStream}`);
    if (answer.kind !== 'ok') continue;
    const { config, state } = answer.body as { config: { max_bytes: number }; state: { bytes: number } };
    bytes += Math.max(0, config.max_bytes - state.bytes);
  }
  return bytes;
}

async function checkGateway({ settings, gatewayExpected }: DoctorInput): Promise<CheckResult> {
  const name = 'gateway';
  const { url, adminKey } = settings;
  try {
    const signal = () => AbortSignal.timeout(GATEWAY_DEADLINE_MS);
    const ready = await fetch(`${url}/health/ready`, { signal: signal() });
    if (!ready.ok) {
      const reason = (await ready.text()).slice(0, 300);
      return problem(name, `${url} is not ready: ${reason}`, 'see its log');
    }
    if (adminKey === undefined) return ok(name, `${url} is ready`);
    const headers = { authorization: `Bearer ${adminKey}` };
    const asked = await fetch(`${url}/v1/status`, { headers, signal: signal() });
    if (asked.status === 401 || asked.status === 403) {
      return problem(
        name,
        `${url} is ready, and refuses the admin key of this environment`,
        'use the key that the gateway was started with',
      );
    }
    return ok(name, `${url} is ready, and takes the admin key`);
  } catch (error) {
    const cause =
      error instanceof Error && error.cause instanceof Error ? error.cause.message : errorText(error);
    const found = `nothing answers at ${url}: ${cause}`;
    if (gatewayExpected) return problem(name, found, 'start it: stitchwork gateway');
    return skipped(name, found, 'name a gateway by --url');
  }
}

function withoutPassword(text: string): string {
  return text.replace(/(\w+:\/\/)[^@\s/,]*@/g, '$1…@');
}
