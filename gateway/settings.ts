// Settings of a gateway: keys and every limit that bounds it. Defaults are for one process in production.
import { StitchworkError } from '../shared/kernel/errors.ts';

export interface GatewaySettings {
  /** Keys that may only ingest. */
  readonly writeKeys: readonly string[];
  /** Keys that may do everything. */
  readonly adminKeys: readonly string[];
  /** Proxies in front, as networks: what they say of a client's address is believed. */
  readonly trustedProxies: readonly string[];
  /** Whether /metrics answers without a key. */
  readonly metricsOpen: boolean;
  /** Hosts at whose root Treasure Data's two-segment addresses stand; `*`: at every host. */
  readonly treasureDataHosts: readonly string[];
  /** Body bytes held at one time over all requests; beyond it a request is refused with 429. */
  readonly bytesInFlightMax: number;
  readonly connectionsMax: number;
  readonly headersTimeoutMs: number;
  /** For a whole request, body included. */
  readonly requestTimeoutMs: number;
  readonly keepAliveTimeoutMs: number;
  /** How often the server looks for connections past their time-outs. */
  readonly connectionsCheckMs: number;
  /** Longest path parameter, in characters. */
  readonly paramLengthMax: number;
  /** How long a close waits for requests in flight before it cuts their connections. */
  readonly closeGraceMs: number;
  /** For a profile read, redirects included. */
  readonly readDeadlineMs: number;
  readonly statusDeadlineMs: number;
  readonly probeTimeoutMs: number;
  /** A readiness answer is reused for this long, so that an open address cannot load the log. */
  readonly readinessReuseMs: number;
}

const DEFAULTS: Omit<GatewaySettings, 'writeKeys' | 'adminKeys'> = {
  trustedProxies: [],
  metricsOpen: true,
  treasureDataHosts: [],
  bytesInFlightMax: 64 * 1024 * 1024,
  connectionsMax: 10_000,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  keepAliveTimeoutMs: 65_000,
  connectionsCheckMs: 5_000,
  paramLengthMax: 4_096,
  closeGraceMs: 10_000,
  readDeadlineMs: 3_000,
  statusDeadlineMs: 5_000,
  probeTimeoutMs: 500,
  readinessReuseMs: 500,
};

export type GatewaySettingsInput = Partial<GatewaySettings> &
  Pick<GatewaySettings, 'writeKeys' | 'adminKeys'>;

/** Fills in defaults. Throws INVALID_SETTINGS that lists every problem, and never a key. */
export function completeSettings(input: GatewaySettingsInput): GatewaySettings {
  const settings = { ...DEFAULTS, ...input };
  const problems: string[] = [];
  if (settings.adminKeys.length + settings.writeKeys.length === 0)
    problems.push('no write key and no admin key');
  if ([...settings.adminKeys, ...settings.writeKeys].some((key) => key === '')) problems.push('an empty key');
  for (const [name, value] of Object.entries(settings)) {
    if (typeof value === 'number' && !(Number.isSafeInteger(value) && value >= 0))
      problems.push(`${name} must be a whole number of at least 0`);
  }
  if (problems.length > 0)
    throw new StitchworkError('INVALID_SETTINGS', `gateway: ${problems.join('; ')}`, { details: problems });
  return settings;
}
