// Environment and flags as typed settings. Every problem is told in one message, by name and never with the value of a
// secret. A flag beats the environment, which beats the default; the environment is an input, read by the caller.
import { networkProblem } from './contract/config/network.ts';
import { parseDurationMs } from './kernel/duration.ts';
import { StitchworkError } from './kernel/errors.ts';

export type Env = Readonly<Record<string, string | undefined>>;
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Flags as the command line gives them: text, unchecked. */
export interface RoleFlags {
  readonly config?: readonly string[];
  readonly segment?: readonly string[];
  readonly natsUrl?: string;
  readonly port?: string;
  readonly host?: string;
  readonly dataDir?: string;
  readonly logLevel?: string;
  readonly shards?: string;
  readonly replicas?: string;
  readonly eventsMaxBytes?: string;
  readonly activationsAge?: string;
  readonly eventsRetention?: string;
  readonly archiveFlush?: string;
  readonly jobs?: string;
  readonly exportCron?: string;
  readonly exportTimezone?: string;
  readonly exportDir?: string;
  readonly exportKeep?: string;
  readonly allowNetwork?: readonly string[];
  readonly trustProxy?: readonly string[];
  readonly tdHost?: readonly string[];
  readonly tls?: boolean;
  readonly tlsPort?: string;
}

/** Exports on a schedule. */
export interface ExportSettings {
  /** Undefined: none. */
  readonly cron: string | undefined;
  /** IANA. */
  readonly timezone: string;
  /** Exports of each segment lie in a folder below. */
  readonly dir: string;
  /** So many stay. */
  readonly keep: number;
}

export interface TopologySettings {
  readonly shards: number;
  readonly replicas: number;
  /** Size limit of the event log of a segment. */
  readonly eventsBytesMax: number;
  readonly activationsAgeMs: number;
}

export interface RoleSettings {
  /** Segment config files, one a parent segment. */
  readonly configFiles: readonly string[];
  /** Segments whose config is taken from the config store. */
  readonly segments: readonly string[];
  readonly natsUrl: string | undefined;
  readonly host: string;
  readonly port: number | undefined;
  readonly dataDir: string;
  readonly logLevel: LogLevel;
  readonly adminKeys: readonly string[];
  readonly writeKeys: readonly string[];
  readonly topology: TopologySettings;
  /** Applied events are kept this long while the log has room. */
  readonly eventsRetentionMs: number;
  /** An event waits about so long for the archive. */
  readonly archiveFlushMs: number;
  /** Folder of batch jobs; it need not be there. */
  readonly jobsDir: string;
  readonly exports: ExportSettings;
  /** Networks outside of the public internet that destinations may be in, such as 10.1.0.0/16. */
  readonly allowNetworks: readonly string[];
  /** Proxies in front of gateways, as networks: what they say of a client's address is believed. */
  readonly trustedProxies: readonly string[];
  /** Hosts at whose root Treasure Data's addresses stand; `*`: at every one. */
  readonly treasureDataHosts: readonly string[];
  /** Port for https besides the other one, with a certificate of the process's own; undefined: none. */
  readonly tlsPort: number | undefined;
  /** Hooks of the crash tests; off unless asked for. */
  readonly testPhaseFile: string | undefined;
  readonly testCrashAt: { readonly phase: string; readonly count: number } | undefined;
}

export interface ClientFlags {
  readonly url?: string;
  readonly key?: string;
  readonly natsUrl?: string;
  readonly dataDir?: string;
  readonly segment?: string;
}

/** What a running `dev` leaves for clients on the same machine. */
export interface DevHandle {
  readonly url: string;
  readonly natsUrl: string;
  readonly adminKey: string;
  readonly writeKey: string;
  readonly segments: readonly string[];
  /** Of personalization, by service. */
  readonly tokens?: Readonly<Record<string, string>>;
  /** With --tls. */
  readonly tlsUrl?: string | undefined;
  readonly pid: number;
}

export interface ClientSettings {
  readonly url: string;
  readonly adminKey: string | undefined;
  readonly writeKey: string | undefined;
  readonly natsUrl: string;
  readonly dataDir: string;
  readonly segment: string | undefined;
}

export const DEFAULT_PORT = 8080;
export const DEFAULT_TLS_PORT = 8443;
export const DEFAULT_DATA_DIR = '.stitchwork';
export const DEFAULT_NATS_URL = 'nats://127.0.0.1:4222';
const KEY_LENGTH_MIN = 8;
const HOST_NAME = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/i;
const SEGMENT_NAME = /^[a-z0-9-]{1,32}$/;

/** Settings of a role. Throws INVALID_SETTINGS that lists every problem. */
export function parseRoleSettings(flags: RoleFlags, env: Env): RoleSettings {
  const problems: string[] = [];
  const dataDir = flags.dataDir ?? present(env.STITCHWORK_DATA_DIR) ?? DEFAULT_DATA_DIR;
  const settings: RoleSettings = {
    configFiles: flags.config?.length ? flags.config : splitList(env.STITCHWORK_CONFIG),
    segments: segmentNamesOf(
      flags.segment?.length ? flags.segment : splitList(env.STITCHWORK_SEGMENT),
      problems,
    ),
    natsUrl: natsUrlOf(flags.natsUrl ?? present(env.NATS_URL), problems),
    host: flags.host ?? present(env.STITCHWORK_HOST) ?? '127.0.0.1',
    port: portOf(flags.port ?? present(env.STITCHWORK_PORT), problems),
    dataDir,
    jobsDir: flags.jobs ?? present(env.STITCHWORK_JOBS) ?? `${dataDir}/jobs`,
    logLevel: logLevelOf(flags.logLevel ?? present(env.STITCHWORK_LOG_LEVEL) ?? 'info', problems),
    adminKeys: keysOf('STITCHWORK_ADMIN_KEY', env, problems),
    writeKeys: keysOf('STITCHWORK_WRITE_KEY', env, problems),
    topology: topologyOf(flags, env, problems),
    eventsRetentionMs: durationOf(
      '--events-retention',
      flags.eventsRetention ?? present(env.STITCHWORK_EVENTS_RETENTION) ?? '7d',
      problems,
    ),
    archiveFlushMs: durationOf(
      '--archive-flush',
      flags.archiveFlush ?? present(env.STITCHWORK_ARCHIVE_FLUSH) ?? '10s',
      problems,
    ),
    exports: exportsOf(flags, env, dataDir, problems),
    allowNetworks: flags.allowNetwork?.length ? flags.allowNetwork : splitList(env.STITCHWORK_ALLOW_NETWORK),
    trustedProxies: networksOf(
      flags.trustProxy?.length ? flags.trustProxy : splitList(env.STITCHWORK_TRUST_PROXY),
      problems,
    ),
    treasureDataHosts: hostsOf(
      flags.tdHost?.length ? flags.tdHost : splitList(env.STITCHWORK_TD_HOST),
      problems,
    ),
    tlsPort: tlsPortOf(flags, problems),
    testPhaseFile: present(env.STITCHWORK_TEST_PHASE_FILE),
    testCrashAt: crashAtOf(present(env.STITCHWORK_TEST_CRASH_AT), problems),
  };
  throwIfAny(problems);
  return settings;
}

/** Settings of a client command: flag, then environment, then a dev process on this machine, then the default. */
export function parseClientSettings(
  flags: ClientFlags,
  env: Env,
  dev: DevHandle | undefined,
): ClientSettings {
  const problems: string[] = [];
  const url = flags.url ?? present(env.STITCHWORK_URL) ?? dev?.url ?? `http://127.0.0.1:${DEFAULT_PORT}`;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    problems.push('--url must be an http(s) URL');
  const segment = flags.segment ?? present(env.STITCHWORK_SEGMENT);
  const settings: ClientSettings = {
    url: url.replace(/\/+$/, ''),
    adminKey: flags.key ?? splitList(env.STITCHWORK_ADMIN_KEY)[0] ?? dev?.adminKey,
    writeKey: flags.key ?? splitList(env.STITCHWORK_WRITE_KEY)[0] ?? dev?.writeKey,
    natsUrl: natsUrlOf(flags.natsUrl ?? present(env.NATS_URL) ?? dev?.natsUrl, problems) ?? DEFAULT_NATS_URL,
    dataDir: clientDataDir(flags, env),
    segment: segmentNamesOf(segment === undefined ? [] : [segment], problems)[0] ?? onlyOne(dev?.segments),
  };
  throwIfAny(problems);
  return settings;
}

/** Where a client command looks for the handle of a dev process and keeps its own notes. */
export function clientDataDir(flags: ClientFlags, env: Env): string {
  return flags.dataDir ?? present(env.STITCHWORK_DATA_DIR) ?? DEFAULT_DATA_DIR;
}

function onlyOne(list: readonly string[] | undefined): string | undefined {
  return list?.length === 1 ? list[0] : undefined;
}

function networksOf(networks: readonly string[], problems: string[]): readonly string[] {
  for (const network of networks) {
    const problem = networkProblem(network);
    if (problem !== undefined) problems.push(`--trust-proxy: ${problem}`);
  }
  return networks;
}

function throwIfAny(problems: readonly string[]): void {
  if (problems.length === 0) return;
  throw new StitchworkError(
    'INVALID_SETTINGS',
    `wrong settings:\n${problems.map((p) => `  - ${p}`).join('\n')}`,
    {
      details: problems,
    },
  );
}

function present(value: string | undefined): string | undefined {
  return value === undefined || value.trim() === '' ? undefined : value.trim();
}

function splitList(value: string | undefined): readonly string[] {
  return (value ?? '')
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function segmentNamesOf(names: readonly string[], problems: string[]): readonly string[] {
  for (const name of names) {
    if (!SEGMENT_NAME.test(name))
      problems.push(`--segment ${JSON.stringify(name)} must match [a-z0-9-]{1,32}`);
  }
  return names;
}

function hostsOf(hosts: readonly string[], problems: string[]): readonly string[] {
  for (const host of hosts) {
    if (host !== '*' && !HOST_NAME.test(host))
      problems.push(
        `--td-host ${JSON.stringify(host)} must be a host name without a port, or * for every host`,
      );
  }
  return hosts;
}

function natsUrlOf(text: string | undefined, problems: string[]): string | undefined {
  if (text === undefined) return undefined;
  const well = text.split(',').every((part) => /^(nats|tls):\/\/[^\s/]+\/?$/.test(part.trim()));
  // The URL may hold a password, so it is not repeated here.
  if (!well) problems.push('--nats-url (or NATS_URL) must look like nats://host:4222');
  return text;
}

function tlsPortOf({ tls, tlsPort, port }: RoleFlags, problems: string[]): number | undefined {
  if (tls !== true && tlsPort === undefined) return undefined;
  return portOf(tlsPort, problems, '--tls-port') ?? (port === '0' ? 0 : DEFAULT_TLS_PORT);
}

function portOf(text: string | undefined, problems: string[], flag = '--port'): number | undefined {
  if (text === undefined) return undefined;
  const port = Number(text);
  if (/^\d+$/.test(text) && port <= 65_535) return port;
  problems.push(`${flag} ${JSON.stringify(text)} must be a number from 0 (any free port) to 65535`);
  return undefined;
}

function logLevelOf(text: string, problems: string[]): LogLevel {
  const level = LOG_LEVELS.find((known) => known === text);
  if (level === undefined)
    problems.push(`--log-level ${JSON.stringify(text)} must be one of ${LOG_LEVELS.join(', ')}`);
  return level ?? 'info';
}

function keysOf(name: string, env: Env, problems: string[]): readonly string[] {
  const keys = splitList(env[name]);
  keys.forEach((key, index) => {
    const problem = key.length < KEY_LENGTH_MIN ? `is shorter than ${KEY_LENGTH_MIN} characters` : undefined;
    const bad =
      problem ?? (/^[\x21-\x7e]+$/.test(key) ? undefined : 'holds characters outside printable ASCII');
    if (bad) problems.push(`${name}: key number ${index + 1} ${bad}`);
  });
  return keys;
}

function topologyOf(flags: RoleFlags, env: Env, problems: string[]): TopologySettings {
  const whole = (
    flag: string,
    text: string | undefined,
    fallback: number,
    min: number,
    max: number,
  ): number => {
    if (text === undefined) return fallback;
    const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    problems.push(`${flag} ${JSON.stringify(text)} must be a whole number from ${min} to ${max}`);
    return fallback;
  };
  const bytes = bytesOf(flags.eventsMaxBytes ?? present(env.STITCHWORK_EVENTS_MAX_BYTES) ?? '10GB', problems);
  return {
    shards: whole('--shards', flags.shards ?? present(env.STITCHWORK_SHARDS), 64, 1, 1024),
    replicas: whole('--replicas', flags.replicas ?? present(env.STITCHWORK_REPLICAS), 1, 1, 5),
    eventsBytesMax: bytes,
    activationsAgeMs: durationOf(
      '--activations-age',
      flags.activationsAge ?? present(env.STITCHWORK_ACTIVATIONS_AGE) ?? '30d',
      problems,
    ),
  };
}

function exportsOf(flags: RoleFlags, env: Env, dataDir: string, problems: string[]): ExportSettings {
  const keep = flags.exportKeep ?? present(env.STITCHWORK_EXPORT_KEEP) ?? '7';
  if (!/^[1-9]\d{0,5}$/.test(keep))
    problems.push(`--export-keep ${JSON.stringify(keep)} must be a number from 1`);
  return {
    cron: flags.exportCron ?? present(env.STITCHWORK_EXPORT_CRON),
    timezone: flags.exportTimezone ?? present(env.STITCHWORK_EXPORT_TIMEZONE) ?? 'UTC',
    dir: flags.exportDir ?? present(env.STITCHWORK_EXPORT_DIR) ?? `${dataDir}/exports`,
    keep: Number(keep),
  };
}

function durationOf(flag: string, text: string, problems: string[]): number {
  const ms = parseDurationMs(text);
  if (ms === undefined) problems.push(`${flag} ${JSON.stringify(text)} must be a duration such as 30d`);
  return ms ?? 1;
}

const BYTE_UNITS = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12 } as const;

function bytesOf(text: string, problems: string[]): number {
  const match = /^(\d+)(B|KB|MB|GB|TB)?$/i.exec(text);
  if (match) return Number(match[1]) * BYTE_UNITS[(match[2] ?? 'B').toUpperCase() as keyof typeof BYTE_UNITS];
  problems.push(`--events-max-bytes ${JSON.stringify(text)} must be a size such as 10GB`);
  return 0;
}

function crashAtOf(text: string | undefined, problems: string[]): RoleSettings['testCrashAt'] {
  if (text === undefined) return undefined;
  const match = /^([a-z_]+):([1-9]\d*)$/.exec(text);
  if (match) return { phase: match[1]!, count: Number(match[2]) };
  problems.push('STITCHWORK_TEST_CRASH_AT must look like committing:3');
  return undefined;
}
