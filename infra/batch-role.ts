// The batch role: keeps the archive of each segment, runs its jobs, tells profiles of changed rows, and writes exports.
// Several may run; one at a time keeps an archive, has a run of a job, tells rows, or exports.
import { join, resolve as resolvePath } from 'node:path';
import { ARCHIVER_DEFAULTS, Archiver } from '../batch/archive/archiver.ts';
import { createEventHistory } from '../batch/archive/history.ts';
import { createLocalFolder, UNFINISHED_FOLDER } from '../batch/archive/local-folder.ts';
import { type Duck, openDuck } from '../batch/duck.ts';
import type { SegmentNames } from '../shared/contract/names.ts';
import { systemClock } from '../shared/kernel/clock.ts';
import { isStitchworkError } from '../shared/kernel/errors.ts';
import { systemRandom } from '../shared/kernel/random.ts';
import type { NatsDoor } from '../shared/nats/connect.ts';
import { createEventLogReader } from '../shared/nats/event-log-reader.ts';
import { createLogScan } from '../shared/nats/log-scan.ts';
import { createPresence } from '../shared/nats/presence.ts';
import { createRecordStore } from '../shared/nats/record-store.ts';
import type { EventHistory } from '../shared/ports/event-history.ts';
import type { RoleSettings } from '../shared/settings.ts';
import { archiveFolder } from './archive-folder.ts';
import { type ArchiveMetrics, createArchiveMetrics, createArchiveTelemetry } from './archive-telemetry.ts';
import { type Belongings, owning } from './belongings.ts';
import type { DeployedSegment } from './deploy.ts';
import { createJobMetrics } from './job-telemetry.ts';
import { openSegments, processId, type RoleDeps, serveAlone } from './open-segments.ts';
import type { RunningRole } from './role.ts';
import { createRowMetrics, startRowTeller } from './row-teller.ts';
import { assertSchedule, createExportMetrics, segmentExports } from './segment-exports.ts';
import { segmentJobs } from './segment-jobs.ts';

export interface RunningBatch extends RunningRole {
  readonly id: string;
  /** Where /metrics and /health are, when asked for. */
  readonly url: string | undefined;
  readonly segments: readonly string[];
}

const DUCK_MEMORY_BYTES = 1_000_000_000;
const DUCK_THREADS = 2;

/** Stopping ends the commit under way and lets another process have the archives. */
export function runBatch(
  settings: RoleSettings,
  deps: RoleDeps,
  options: { readonly duckMayBeMissing?: boolean } = {},
): Promise<RunningBatch> {
  return owning(async (belongings) => {
    assertSchedule(settings.exports);
    const id = processId();
    const failed = new Promise<never>(() => {});
    const stop = () => belongings.close();
    const duck = await duckFor(settings, deps, belongings, options.duckMayBeMissing ?? false);
    const { door, segments } = await openSegments(settings, deps, 'batch', belongings);
    const metrics = createArchiveMetrics(deps.registry);
    const rowMetrics = createRowMetrics(deps.registry);
    const jobMetrics = createJobMetrics(deps.registry);
    const exportMetrics = createExportMetrics(deps.registry);
    for (const segment of segments) {
      await startRowTeller({ deps, door, id, metrics: rowMetrics }, segment, belongings);
      if (!duck) continue;
      const archiver = segmentArchiver({ settings, deps, door, duck, metrics, id }, segment);
      archiver.start();
      belongings.own(() => archiver.stop());
      const runner = segmentJobs({ settings, deps, door, metrics: jobMetrics, id }, segment);
      runner.start();
      belongings.own(() => runner.stop());
      const exporter = segmentExports({ settings, deps, door, metrics: exportMetrics, id }, segment);
      exporter?.start();
      belongings.own(async () => exporter?.stop());
    }
    const url = await serveAlone(settings, deps, door, belongings);
    deps.log.info({ id, url, segments: segments.map((s) => s.names.segment) }, 'batch ready');
    return { id, url, segments: segments.map(({ names }) => names.segment), failed, stop };
  });
}

interface ArchiverParts {
  readonly settings: RoleSettings;
  readonly deps: RoleDeps;
  readonly door: NatsDoor;
  readonly duck: Duck;
  readonly metrics: ArchiveMetrics;
  readonly id: string;
}

function segmentArchiver(parts: ArchiverParts, { names, shards }: DeployedSegment): Archiver {
  const { settings, deps, door, duck, metrics, id } = parts;
  const root = archiveFolder(settings.dataDir, names.segment);
  const log = deps.log.child({ segment: names.segment });
  return new Archiver(
    {
      store: createRecordStore(door, names),
      presence: createPresence(door, names),
      storage: createLocalFolder(root),
      log: createEventLogReader(door, names, shards),
      scan: createLogScan(door, names),
      clock: systemClock,
      random: systemRandom,
      duck: async () => duck,
      telemetry: createArchiveTelemetry(metrics, names.segment, log, systemClock),
      owner: id,
      scratch: join(root, UNFINISHED_FOLDER, id),
    },
    {
      flushMs: settings.archiveFlushMs,
      pollMs: Math.min(ARCHIVER_DEFAULTS.pollMs, settings.archiveFlushMs),
    },
  );
}

/** Archive and log of a segment as one list, for whoever reads all of it. `duck` is opened when it is first needed. */
export function openHistory(
  door: NatsDoor,
  names: SegmentNames,
  options: { readonly dataDir: string; readonly shards: number; readonly duck: () => Promise<Duck> },
): EventHistory {
  const root = archiveFolder(options.dataDir, names.segment);
  return createEventHistory({
    storage: createLocalFolder(root),
    log: createEventLogReader(door, names, options.shards),
    scan: createLogScan(door, names),
    duck: options.duck,
    scratch: resolvePath(options.dataDir, 'tmp'),
  });
}

async function duckFor(
  settings: RoleSettings,
  { log }: RoleDeps,
  belongings: Belongings,
  mayBeMissing: boolean,
): Promise<Duck | undefined> {
  try {
    const tempFolder = resolvePath(settings.dataDir, 'tmp', 'duckdb');
    const duck = await openDuck({ memoryBytes: DUCK_MEMORY_BYTES, threads: DUCK_THREADS, tempFolder });
    belongings.own(() => duck.close());
    return duck;
  } catch (error) {
    if (!mayBeMissing || !isStitchworkError(error, 'INVALID_SETTINGS')) throw error;
    log.warn({ reason: error.message }, 'no archive is kept');
    return undefined;
  }
}
