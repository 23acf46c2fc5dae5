// Metrics that are more than a counter: values that go stale, many observations at once, one connection of many roles.

import { pino } from 'pino';
import { Registry } from 'prom-client';
import { expect, it } from 'vitest';
import { createArchiveMetrics, createArchiveTelemetry } from '../../../infra/archive-telemetry.ts';
import { BulkHistogram } from '../../../infra/bulk-histogram.ts';
import {
  createHousekeeperMetrics,
  createHousekeeperTelemetry,
} from '../../../infra/housekeeper-telemetry.ts';
import { watchConnection } from '../../../infra/process-metrics.ts';
import { systemClock } from '../../../shared/kernel/clock.ts';
import type { NatsDoor } from '../../../shared/nats/connect.ts';

it('what the housekeeper no longer looks at disappears', async () => {
  let elapsedMs = 0;
  const registry = new Registry();
  const metrics = createHousekeeperMetrics(registry, { ...systemClock, elapsedMs: () => elapsedMs });
  const telemetry = createHousekeeperTelemetry(metrics, 'shop', pino({ level: 'silent' }));
  telemetry.copyState('audit', 7, true);
  telemetry.copyState('dead', 0, false);
  telemetry.logUsage(0.25);
  const first = await registry.metrics();
  expect(first).toContain('stitchwork_copy_lag_messages{segment="shop",copy="audit"} 7');
  expect(first).toContain('stitchwork_copy_running{segment="shop",copy="dead"} 0');
  expect(first).toContain('stitchwork_event_log_usage_ratio{segment="shop"} 0.25');
  elapsedMs = 10_000;
  telemetry.copyState('audit', 3, true);
  elapsedMs = 20_000;
  const later = await registry.metrics();
  expect(later).toContain('stitchwork_copy_lag_messages{segment="shop",copy="audit"} 3');
  expect(later).not.toContain('copy="dead"');
  expect(later).not.toContain('stitchwork_event_log_usage_ratio{');
  expect(later).toContain('# HELP stitchwork_event_log_usage_ratio');
});

it('what an archive holds is told by the process that keeps it', async () => {
  const registry = new Registry();
  const log = pino({ level: 'silent' });
  const telemetry = createArchiveTelemetry(createArchiveMetrics(registry), 'shop', log, systemClock);
  telemetry.state('keeping');
  telemetry.committed({ rows: 10, bytes: 700, files: 1, position: 12, durationMs: 500 });
  telemetry.committed({ rows: 5, bytes: 300, files: 2, position: 17, durationMs: 500 });
  telemetry.totals({ rows: 15, bytes: 1000, files: 3 });
  telemetry.lag(4);
  const keeping = await registry.metrics();
  for (const line of [
    'stitchwork_archive_committed_rows_total{segment="shop"} 15',
    'stitchwork_archive_committed_bytes_total{segment="shop"} 1000',
    'stitchwork_archive_commit_seconds_total{segment="shop"} 1',
    'stitchwork_archive_lag_messages{segment="shop"} 4',
    'stitchwork_archive_rows{segment="shop"} 15',
    'stitchwork_archive_files{segment="shop"} 3',
    'stitchwork_archive_keeping{segment="shop"} 1',
  ])
    expect(keeping).toContain(line);
  expect(keeping).toMatch(/stitchwork_archive_last_commit_timestamp_seconds\{segment="shop"\} \d{10}/);
  telemetry.fenced();
  telemetry.state('standby');
  const standby = await registry.metrics();
  expect(standby).toContain('stitchwork_archive_keeping{segment="shop"} 0');
  expect(standby).not.toContain('stitchwork_archive_lag_messages{');
  expect(standby).not.toContain('stitchwork_archive_rows{');
  telemetry.state('halted');
  expect(await registry.metrics()).toContain('stitchwork_archive_halted{segment="shop"} 1');
});

it('a bulk histogram is printed as the library prints its own', async () => {
  const registry = new Registry();
  const histogram = new BulkHistogram({ name: 'x_seconds', help: 'h.', buckets: [0.1, 1], registry });
  const series = histogram.of('shop');
  for (const value of [0.05, 0.1, 0.5, 9]) series.observe(value);
  expect(histogram.of('shop')).toBe(series);
  expect((await registry.metrics()).trim()).toBe(
    [
      '# HELP x_seconds h.',
      '# TYPE x_seconds histogram',
      'x_seconds_bucket{le="0.1",segment="shop"} 2',
      'x_seconds_bucket{le="1",segment="shop"} 3',
      'x_seconds_bucket{le="+Inf",segment="shop"} 4',
      'x_seconds_sum{segment="shop"} 9.65',
      'x_seconds_count{segment="shop"} 4',
    ].join('\n'),
  );
});

it('two roles of a process share the metrics of connections', async () => {
  const registry = new Registry();
  const doors = [fakeDoor(), fakeDoor()] as const;
  watchConnection(registry, 'gateway', doors[0].door);
  watchConnection(registry, 'worker', doors[1].door);
  doors[1].disconnect();
  expect(await registry.metrics()).toContain('stitchwork_nats_connected{role="gateway"} 1');
  expect(await registry.metrics()).toContain('stitchwork_nats_connected{role="worker"} 0');
  doors[1].reconnect();
  expect(await registry.metrics()).toContain('stitchwork_nats_connected{role="worker"} 1');
  expect(await registry.metrics()).toContain('stitchwork_nats_reconnects_total{role="worker"} 1');
  expect(await registry.metrics()).toContain('stitchwork_nats_reconnects_total{role="gateway"} 0');
});

function fakeDoor() {
  let disconnect = () => {};
  let reconnect = () => {};
  const door = {
    connected: true,
    onDisconnect: (callback: () => void) => {
      disconnect = callback;
      return () => {};
    },
    onReconnect: (callback: () => void) => {
      reconnect = callback;
      return () => {};
    },
  } as unknown as NatsDoor;
  return { door, disconnect: () => disconnect(), reconnect: () => reconnect() };
}
