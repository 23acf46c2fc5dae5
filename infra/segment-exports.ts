// Exports of one segment on a schedule, with what they tell of themselves.

import { join, resolve as resolvePath } from 'node:path';
import { Counter, Gauge, type Registry } from 'prom-client';
import { Exporter, type ExportTelemetry } from '../batch/export/exporter.ts';
import { EXPORTED_BY_DEFAULT, type Exported, isExported, writeExport } from '../batch/export/write-export.ts';
import { createCron, cronProblems } from '../batch/jobs/cron.ts';
import { openViews } from '../batch/query/open-views.ts';
import { systemClock } from '../shared/kernel/clock.ts';
import { errorText, StitchworkError } from '../shared/kernel/errors.ts';
import { systemRandom } from '../shared/kernel/random.ts';
import type { NatsDoor } from '../shared/nats/connect.ts';
import { createPresence } from '../shared/nats/presence.ts';
import { createRecordStore } from '../shared/nats/record-store.ts';
import type { ExportSettings, RoleSettings } from '../shared/settings.ts';
import type { DeployedSegment } from './deploy.ts';
import type { Log } from './log.ts';
import type { RoleDeps } from './open-segments.ts';
import { viewDeps } from './open-views.ts';

const MEMORY_BYTES = 500_000_000;

/** Of all segments of a process, one registry: call once. */
export function createExportMetrics(registry: Registry) {
  const registers = [registry];
  const labelNames = ['segment'] as const;
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `stitchwork_export_${name}`, help, labelNames, registers });
  return {
    failures: new Counter({
      name: 'stitchwork_export_failures_total',
      help: 'Exports that could not be written; they are tried again.',
      labelNames,
      registers,
    }),
    lastSuccess: gauge('last_success_timestamp_seconds', 'When an export was written here last, Unix time.'),
    seconds: gauge('duration_seconds', 'How long the last export took.'),
  };
}
export type ExportMetrics = ReturnType<typeof createExportMetrics>;

export interface ExportParts {
  readonly settings: RoleSettings;
  readonly deps: RoleDeps;
  readonly door: NatsDoor;
  readonly metrics: ExportMetrics;
  readonly id: string;
}

/** Where exports of a segment lie. */
export function exportFolder({ dir }: Pick<ExportSettings, 'dir'>, segment: string): string {
  return join(resolvePath(dir), segment);
}

/** Throws INVALID_SETTINGS when the schedule is none. */
export function assertSchedule({ cron, timezone }: ExportSettings): void {
  const problems = cron === undefined ? [] : cronProblems(cron, timezone);
  if (problems.length > 0)
    throw new StitchworkError('INVALID_SETTINGS', `--export-cron '${cron}': ${problems.join('; ')}`);
}

/** Undefined when no exports are asked for. */
export function segmentExports(parts: ExportParts, segment: DeployedSegment): Exporter | undefined {
  const { settings, deps, door, metrics, id } = parts;
  const { names } = segment;
  const { cron, timezone } = settings.exports;
  if (cron === undefined) return undefined;
  return new Exporter({
    store: createRecordStore(door, names),
    presence: createPresence(door, names),
    clock: systemClock,
    random: systemRandom,
    owner: `${id}-exports`,
    cron: createCron(cron, timezone),
    write: (dueMs, signal) => writeDue(parts, segment, dueMs, signal),
    telemetry: telemetryOf(metrics, names.segment, deps.log.child({ segment: names.segment })),
  });
}

async function writeDue(
  { settings, deps, door }: ExportParts,
  { names, config }: DeployedSegment,
  dueMs: number,
  signal: AbortSignal,
): Promise<Exported | undefined> {
  const { segment } = names;
  const to = exportFolder(settings.exports, segment);
  if (await isExported(to, dueMs)) return undefined;
  const log = (text: string) => deps.log.debug({ segment }, text);
  const options = { memoryBytes: MEMORY_BYTES, nowMs: systemClock.nowMs(), signal, log };
  const opened = await openViews(viewDeps(door, names, config(), settings.dataDir), options);
  try {
    const { keep } = settings.exports;
    const what = EXPORTED_BY_DEFAULT;
    return await writeExport(opened, { segment, to, what, atMs: dueMs, keep, random: systemRandom, signal });
  } finally {
    await opened.close();
  }
}

function telemetryOf(metrics: ExportMetrics, segment: string, log: Log): ExportTelemetry {
  return {
    exported({ folder, manifest, removed }, seconds) {
      metrics.lastSuccess.set({ segment }, systemClock.nowMs() / 1000);
      metrics.seconds.set({ segment }, seconds);
      const rows = Object.fromEntries(manifest.files.map(({ name, rows }) => [name, rows]));
      log.info({ folder, rows, removed: removed.length, seconds }, 'export written');
    },
    failed(error) {
      metrics.failures.inc({ segment });
      log.warn({ reason: errorText(error) }, 'an export is tried again');
    },
  };
}
