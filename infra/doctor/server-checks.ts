// Checks of nats-server as a client sees it, and of what only its monitoring port tells (sync interval, storage limit).
import type { Clock } from '../../shared/kernel/clock.ts';
import { errorText } from '../../shared/kernel/errors.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import { callApi } from '../../shared/nats/jetstream-api.ts';
import { isAtLeast, SERVER_VERSION_MIN } from '../../shared/nats/server-version.ts';
import { showSize } from '../show-size.ts';
import { type CheckResult, ok, problem, skipped, warning } from './check.ts';

export const SERVER_VERSION_RECOMMENDED = '2.15.1';
/** An event of 1 MB with its envelope, or in a dead letter as base64. */
const PAYLOAD_BYTES_MIN = 2 * 1024 * 1024;
const CLOCK_WARNING_MS = 1000;
/** Event times further ahead of the log's clock are clamped. */
const CLOCK_PROBLEM_MS = 5 * 60_000;
const CLOCK_SAMPLES = 5;
const MONITOR_DEADLINE_MS = 3000;

export function checkServerVersion(version: string): CheckResult {
  const name = 'nats-server version';
  if (!isAtLeast(version, SERVER_VERSION_MIN))
    return problem(name, version, `update to ${SERVER_VERSION_MIN} or newer`);
  if (!isAtLeast(version, SERVER_VERSION_RECOMMENDED))
    return warning(
      name,
      version,
      `update to ${SERVER_VERSION_RECOMMENDED} or newer, which is what is tested`,
    );
  return ok(name, version);
}

export function checkPayload(door: NatsDoor): CheckResult {
  const name = 'max_payload';
  const bytes = door.nc.info?.max_payload ?? 0;
  const found = `${showSize(bytes)}`;
  if (bytes >= PAYLOAD_BYTES_MIN) return ok(name, found);
  return problem(
    name,
    `${found}: large events and their dead letters cannot be stored`,
    'set max_payload: 2MB (nats.conf)',
  );
}

/** JetStream of the account: on, and with room for what the event logs reserve. */
export async function checkJetStream(
  door: NatsDoor,
  monitor: MonitorAnswer,
): Promise<readonly CheckResult[]> {
  const answer = await callApi(door, 'INFO');
  if (answer.kind !== 'ok') {
    const reason = answer.kind === 'error' ? answer.error.description : answer.reason;
    const fix = 'add a jetstream block to the configuration of nats-server (see nats.conf)';
    return [problem('JetStream', `not available: ${reason}`, fix)];
  }
  const info = answer.body as unknown as AccountInfo;
  const found = `on; ${info.streams} streams, ${showSize(info.storage)} stored`;
  return [ok('JetStream', found), storageCheck(info, monitor)];
}

interface AccountInfo {
  readonly streams: number;
  readonly storage: number;
  readonly reserved_storage: number;
  readonly limits: { readonly max_storage: number };
}

function storageCheck(info: AccountInfo, monitor: MonitorAnswer): CheckResult {
  const name = 'JetStream storage';
  const limits = [info.limits.max_storage, monitor.kind === 'ok' ? monitor.maxStorage : -1].filter(
    (limit) => limit > 0,
  );
  const reserved = showSize(info.reserved_storage);
  if (limits.length === 0) {
    const found = `no limit of the account; the event logs reserve ${reserved}; the limit of the server is not visible to a client`;
    return skipped(name, found, 'start nats-server with a monitoring port and name it by --monitor-url');
  }
  const limit = Math.min(...limits);
  const taken = Math.max(info.storage, info.reserved_storage);
  const found = `${showSize(limit)} allowed, ${showSize(info.storage)} stored, ${reserved} reserved by the event logs`;
  if (taken > limit) return problem(name, found, 'raise max_file_store, or lower --events-max-bytes');
  // Profiles, audit and activations are not in the reservation.
  if (taken > limit * 0.9) return warning(name, found, 'raise max_file_store, or lower --events-max-bytes');
  return ok(name, found);
}

export type MonitorAnswer =
  | {
      readonly kind: 'ok';
      readonly syncAlways: boolean;
      readonly syncIntervalMs: number;
      readonly maxStorage: number;
    }
  | { readonly kind: 'not_asked' }
  | { readonly kind: 'failed'; readonly reason: string };

/** What the monitoring port says of JetStream. */
export async function readMonitor(url: string | undefined): Promise<MonitorAnswer> {
  if (url === undefined) return { kind: 'not_asked' };
  try {
    const response = await fetch(`${url.replace(/\/+$/, '')}/jsz`, {
      signal: AbortSignal.timeout(MONITOR_DEADLINE_MS),
    });
    const { config } = (await response.json()) as { config?: Record<string, unknown> };
    if (!config) return { kind: 'failed', reason: 'it answers without a JetStream configuration' };
    return {
      kind: 'ok',
      syncAlways: config.sync_always === true,
      syncIntervalMs: Number(config.sync_interval) / 1e6,
      maxStorage: Number(config.max_storage),
    };
  } catch (error) {
    return { kind: 'failed', reason: errorText(error) };
  }
}

/** Whether what is acknowledged is on disk. A client cannot see it: only the monitoring port tells. */
export function checkDurability(monitor: MonitorAnswer, dev: boolean): CheckResult {
  const name = 'sync to disk';
  const fix =
    'set sync_interval: always in the jetstream block (nats.conf), or run three replicas over failure domains';
  switch (monitor.kind) {
    case 'ok':
      if (monitor.syncAlways) return ok(name, 'sync_interval: always');
      return problem(
        name,
        `sync_interval is ${monitor.syncIntervalMs / 1000} s: a power failure loses what was acknowledged in that time`,
        fix,
      );
    case 'failed':
      return problem(name, `the monitoring port does not answer: ${monitor.reason}`, 'correct --monitor-url');
    case 'not_asked':
      if (dev)
        return skipped(name, 'not visible to a client; dev starts nats-server with sync_interval: always');
      return skipped(
        name,
        'not visible to a client',
        'look for sync_interval: always in its configuration, or name its monitoring port by --monitor-url',
      );
  }
}

/**
 * Difference between this clock and that of a stream's leader, by Cristian's method: the answer of STREAM.INFO carries
 * the server's time, which lies between request and answer; of several the quickest is the most exact.
 */
export async function checkClock(door: NatsDoor, stream: string, clock: Clock): Promise<CheckResult> {
  const name = 'clock';
  let best: { readonly offsetMs: number; readonly errorMs: number } | undefined;
  for (let sample = 0; sample < CLOCK_SAMPLES; sample++) {
    const sentAtMs = clock.nowMs();
    const before = clock.elapsedMs();
    const answer = await callApi(door, `STREAM.INFO.${stream}`);
    const errorMs = (clock.elapsedMs() - before) / 2;
    const serverMs = answer.kind === 'ok' ? Date.parse(String(answer.body.ts)) : Number.NaN;
    if (Number.isNaN(serverMs) || (best && best.errorMs <= errorMs)) continue;
    best = { offsetMs: serverMs - (sentAtMs + errorMs), errorMs };
  }
  if (!best) return skipped(name, 'the server does not tell its time');
  return judgeClock(name, best.offsetMs, best.errorMs);
}

function judgeClock(name: string, offsetMs: number, errorMs: number): CheckResult {
  // A reading of the clock is whole milliseconds, on both sides.
  const surely = Math.max(0, Math.abs(offsetMs) - errorMs - 1);
  const side = offsetMs > 0 ? 'behind' : 'ahead of';
  const found = `this machine is ${Math.round(Math.abs(offsetMs))} ms ${side} nats-server (within ${Math.ceil(errorMs + 1)} ms)`;
  const fix = 'synchronise the clocks (NTP) of this machine and of nats-server';
  if (surely >= CLOCK_PROBLEM_MS) return problem(name, `${found}: event times would be clamped`, fix);
  return surely >= CLOCK_WARNING_MS ? warning(name, found, fix) : ok(name, found);
}
