// Metrics of a process of any role: what it is, and its connection to NATS.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { NatsDoor } from '../shared/nats/connect.ts';
import { packageVersion } from './package-root.ts';

/** Call once a registry. */
export function registerBuildInfo(registry: Registry): void {
  const labelNames = ['version', 'node'] as const;
  const gauge = new Gauge({
    name: 'stitchwork_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames,
    registers: [registry],
  });
  gauge.set({ version: packageVersion(), node: process.versions.node }, 1);
}

/** Follows a role's connection; several roles of a process share the metrics. */
export function watchConnection(
  registry: Registry,
  role: 'gateway' | 'worker' | 'batch' | 'activator',
  door: NatsDoor,
): void {
  const connected = sharedGauge(registry);
  const reconnects = sharedCounter(registry);
  connected.set({ role }, door.connected ? 1 : 0);
  reconnects.inc({ role }, 0);
  door.onDisconnect(() => connected.set({ role }, 0));
  door.onReconnect(() => {
    connected.set({ role }, 1);
    reconnects.inc({ role });
  });
}

function sharedGauge(registry: Registry): Gauge<'role'> {
  const name = 'stitchwork_nats_connected';
  const known = registry.getSingleMetric(name);
  if (known) return known as Gauge<'role'>;
  const help = '1 while the role is connected to NATS.';
  return new Gauge({ name, help, labelNames: ['role'], registers: [registry] });
}

function sharedCounter(registry: Registry): Counter<'role'> {
  const name = 'stitchwork_nats_reconnects_total';
  const known = registry.getSingleMetric(name);
  if (known) return known as Counter<'role'>;
  const help = 'Connections to NATS that were lost and made again.';
  return new Counter({ name, help, labelNames: ['role'], registers: [registry] });
}
