// The jobs of one segment, with everything they need: archive, profiles, snapshots, records.
import { join } from 'node:path';
import { createLocalFolder } from '../batch/archive/local-folder.ts';
import { type ComputeDeps, computeJob } from '../batch/jobs/compute-job.ts';
import { readJobFolder } from '../batch/jobs/job-folder.ts';
import { JobRunner } from '../batch/jobs/job-runner.ts';
import { systemClock } from '../shared/kernel/clock.ts';
import { systemRandom } from '../shared/kernel/random.ts';
import type { NatsDoor } from '../shared/nats/connect.ts';
import { createPresence } from '../shared/nats/presence.ts';
import { createRecordStore } from '../shared/nats/record-store.ts';
import { createStoredRows } from '../shared/nats/stored-rows.ts';
import type { RoleSettings } from '../shared/settings.ts';
import { archiveFolder } from './archive-folder.ts';
import type { DeployedSegment } from './deploy.ts';
import { createJobTelemetry, type JobMetrics } from './job-telemetry.ts';
import type { RoleDeps } from './open-segments.ts';
import { openSnapshots } from './open-snapshots.ts';
import { packagePath } from './package-root.ts';

/** Of the jobs that others can use. */
export const SHIPPED_JOBS = packagePath('batch/jobs/shipped');
/** Folder of runs under way, in that of the archive: their files are links to its files. */
const RUNS_FOLDER = '.jobs';
const DUCK_THREADS = 2;
const LOAD_RETRY_MS = 2000;

interface JobParts {
  readonly settings: RoleSettings;
  readonly deps: RoleDeps;
  readonly door: NatsDoor;
  readonly metrics: JobMetrics;
  /** Name of this process. */
  readonly id: string;
}

export function segmentJobs(
  { settings, deps, door, metrics, id }: JobParts,
  segment: DeployedSegment,
): JobRunner {
  const { names } = segment;
  const root = archiveFolder(settings.dataDir, names.segment);
  const storage = createLocalFolder(root);
  const snapshots = openSnapshots(door, names);
  const stored = createStoredRows(door, names);
  const compute: ComputeDeps = {
    snapshots,
    stored,
    storage,
    scratch: join(root, RUNS_FOLDER),
    threads: DUCK_THREADS,
    pause: (signal) => systemClock.sleep(LOAD_RETRY_MS, signal),
  };
  return new JobRunner({
    store: createRecordStore(door, names),
    presence: createPresence(door, names),
    clock: systemClock,
    random: systemRandom,
    storage,
    snapshots,
    telemetry: createJobTelemetry(metrics, names.segment, deps.log.child({ segment: names.segment })),
    owner: id,
    config: segment.config,
    readFolder: (config) => readJobFolder(settings.jobsDir, SHIPPED_JOBS, config),
    compute: (run) => computeJob(compute, run),
  });
}
