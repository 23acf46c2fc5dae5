// Runs the jobs of one segment for as long as the process lives. It looks at all of them again and again, and whenever
// node-cron says that one is due; one run at a time is its own. Of several processes that look at once, one claims a run.
//
//   look: note what is due -> begin what is ready, or take over a run whose process is gone
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { JobRecord, OpenRun } from '../../shared/contract/job-record.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { backoffMs } from '../../shared/kernel/backoff.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { type Random, randomToken } from '../../shared/kernel/random.ts';
import type { ArchiveStorage } from '../../shared/ports/archive-storage.ts';
import type { Presence } from '../../shared/ports/presence.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';
import type { Snapshots } from '../../shared/ports/snapshots.ts';
import { isHeld } from '../archive/claim.ts';
import { loadManifest } from '../archive/manifest-store.ts';
import { announceJobs, areAnnounced } from './announce-jobs.ts';
import type { Computation, Computed } from './compute-job.ts';
import { type Cron, createCron, wakeByCron } from './cron.ts';
import { type Dependency, noticed, readiness, refused } from './due.ts';
import { executeRun } from './execute-run.ts';
import type { Job, JobFolder } from './job-folder.ts';
import { type HeldRecord, readJobRecords, writeRecord } from './job-store.ts';
import type { JobTelemetry } from './job-telemetry.ts';
import { OwnedRun } from './owned-run.ts';

export interface JobRunnerDeps {
  readonly store: RecordStore;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly random: Random;
  readonly storage: ArchiveStorage;
  readonly snapshots: Pick<Snapshots, 'current'>;
  readonly telemetry: JobTelemetry;
  /** Name of this process. */
  readonly owner: string;
  readonly config: () => SegmentConfig;
  readonly readFolder: (config: SegmentConfig) => Promise<JobFolder>;
  readonly compute: (run: Computation) => Promise<Computed>;
  /** Calls back whenever a job is due by the process's own clock. */
  readonly wakeByCron?: typeof wakeByCron;
}

export interface JobRunnerOptions {
  /** Records are looked at this often. */
  readonly pollMs: number;
  /** The folder is looked at this often. */
  readonly folderMs: number;
  /** Ownership of a run is looked at, and its log stored, this often. */
  readonly beatMs: number;
}

export const JOB_RUNNER_DEFAULTS: JobRunnerOptions = { pollMs: 1000, folderMs: 2000, beatMs: 2000 };

interface Known {
  readonly job: Job;
  readonly cron: Cron | undefined;
  readonly stopWaking: () => void;
}

type Records = Map<string, HeldRecord<JobRecord>>;

/** Thrown when somebody else wrote a record: look again. */
class Overtaken extends Error {}

export class JobRunner {
  readonly #deps: JobRunnerDeps;
  readonly #options: JobRunnerOptions;
  readonly #stop = new AbortController();
  #known: ReadonlyMap<string, Known> = new Map();
  #folderReadMs = Number.NEGATIVE_INFINITY;
  #readFor: SegmentConfig | undefined;
  #told = '';
  #running: Promise<void> | undefined;
  #loop: Promise<void> = Promise.resolve();
  #isWoken = false;
  #endPause = () => {};

  constructor(deps: JobRunnerDeps, options: Partial<JobRunnerOptions> = {}) {
    this.#deps = deps;
    this.#options = { ...JOB_RUNNER_DEFAULTS, ...options };
  }

  start(): void {
    const gone = this.#deps.presence.answer(this.#deps.owner);
    this.#loop = this.#lookAgainAndAgain().finally(gone);
  }

  /** Gives a run under way back, for another process to begin anew. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('the process stopped'));
    this.#wake();
    await this.#loop;
  }

  async #lookAgainAndAgain(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      try {
        await this.look();
      } catch (error) {
        if (error instanceof Overtaken) continue;
        this.#deps.telemetry.failed(error);
      }
      await this.#pause();
    }
    for (const { stopWaking } of this.#known.values()) stopWaking();
    await this.#running;
  }

  /** Until it is time to look again, or something woke it. */
  async #pause(): Promise<void> {
    const woken = new AbortController();
    this.#endPause = () => woken.abort();
    if (!this.#isWoken && !this.#stop.signal.aborted)
      await this.#deps.clock.sleep(this.#options.pollMs, woken.signal).catch(() => {});
    this.#isWoken = false;
  }

  #wake(): void {
    this.#isWoken = true;
    this.#endPause();
  }

  /** One look at everything. Resolves when a run was begun or there is none to begin; the run goes on. */
  async look(): Promise<void> {
    await this.#readFolder(this.#options.folderMs);
    const names = [...this.#known.keys()];
    if (names.length === 0) return;
    const records: Records = new Map(await readJobRecords(this.#deps.store, names));
    for (const name of names) await this.#notice(name, records);
    if (this.#running) return;
    for (const name of names) {
      const begun = await this.#takeUp(name, records);
      if (!begun) continue;
      this.#running = this.#execute(begun).finally(() => {
        this.#running = undefined;
        this.#wake();
      });
      return;
    }
  }

  /** Resolves when the run under way, if any, is over. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #readFolder(maxAgeMs: number): Promise<void> {
    const { clock, config, readFolder, telemetry } = this.#deps;
    const nowMs = clock.elapsedMs();
    const current = config();
    if (current === this.#readFor && nowMs - this.#folderReadMs < maxAgeMs) return;
    const { jobs, problems } = await readFolder(current);
    this.#folderReadMs = nowMs;
    this.#readFor = current;
    this.#know(jobs);
    const told = JSON.stringify([jobs.map(({ digest }) => digest), problems]);
    if (told === this.#told && (await areAnnounced(this.#deps, jobs))) return;
    await announceJobs(this.#deps, jobs, problems);
    if (told !== this.#told && problems.length > 0) telemetry.problems(problems);
    this.#told = told;
  }

  #know(jobs: readonly Job[]): void {
    const before = this.#known;
    const after = new Map<string, Known>();
    const wakeBy = this.#deps.wakeByCron ?? wakeByCron;
    for (const job of jobs) {
      const known = before.get(job.name);
      const isSame = known?.job.cron === job.cron && known.job.timezone === job.timezone;
      if (isSame) {
        after.set(job.name, { ...known, job });
        continue;
      }
      const { cron, timezone } = job;
      after.set(job.name, {
        job,
        cron: cron === null ? undefined : createCron(cron, timezone),
        stopWaking: cron === null ? () => {} : wakeBy(cron, timezone, () => this.#wake()),
      });
    }
    for (const [name, { stopWaking }] of before) if (after.get(name)?.stopWaking !== stopWaking) stopWaking();
    this.#known = after;
  }

  async #notice(name: string, records: Records): Promise<void> {
    const { job, cron } = this.#known.get(name)!;
    const { record } = records.get(name)!;
    const { clock, random } = this.#deps;
    const after = noticed(job, cron, record, clock.nowMs(), randomToken(random));
    if (after === record) return;
    await this.#write(name, records, after);
    const entry = after.history.at(-1);
    if (entry && after.history.length !== record.history.length) this.#deps.telemetry.ended(name, entry);
  }

  /** The run of a job, if there is one to begin or to take over, and it is ours now. */
  async #takeUp(name: string, records: Records): Promise<OwnedRun | undefined> {
    const { record } = records.get(name)!;
    const { owner, clock, storage } = this.#deps;
    if (record.open) {
      if (await isHeld(this.#deps, record.open, owner)) return undefined;
      await this.#assertNewest(name);
      return this.#claim(name, records, record, { ...record.open, owner, attempt: record.open.attempt + 1 });
    }
    const { request } = record;
    if (!request || !(await this.#isReady(name, records))) return undefined;
    await this.#assertNewest(name);
    const startedMs = clock.nowMs();
    const { position: through } = await loadManifest(storage);
    const { cause, dueMs, atMs: noticedMs, missed } = request;
    const run = record.lastRun + 1;
    const open: OpenRun = { run, cause, dueMs, noticedMs, missed, startedMs, owner, attempt: 1, through };
    const begun = { ...record, lastRun: run, request: null, answered: { id: request.id, run } };
    return this.#claim(name, records, begun, open);
  }

  /** A run has the file as it is when it begins. */
  async #assertNewest(name: string): Promise<void> {
    const { job } = this.#known.get(name)!;
    await this.#readFolder(0);
    if (this.#known.get(name)?.job.digest !== job.digest) throw new Overtaken();
  }

  async #isReady(name: string, records: Records): Promise<boolean> {
    const { job } = this.#known.get(name)!;
    const { record } = records.get(name)!;
    const request = record.request!;
    const nowMs = this.#deps.clock.nowMs();
    const dependencies = job.dependsOn.map((each): Dependency => {
      return { name: each, cron: this.#known.get(each)?.cron, record: records.get(each)!.record };
    });
    const state = readiness(request, dependencies, job.timeoutMs, nowMs);
    if (state.kind === 'refused') {
      const after = refused(record, request, state.reason, nowMs);
      await this.#write(name, records, after);
      this.#deps.telemetry.ended(name, after.history.at(-1)!);
    }
    if (state.kind === 'ask') {
      const of = records.get(state.for)!.record;
      const id = randomToken(this.#deps.random);
      const asked = { id, cause: 'dependency', dueMs: request.dueMs, atMs: nowMs, missed: 0 } as const;
      await this.#write(state.for, records, { ...of, request: asked });
      this.#wake();
    }
    return state.kind === 'ready';
  }

  async #claim(name: string, records: Records, record: JobRecord, open: OpenRun): Promise<OwnedRun> {
    await this.#write(name, records, { ...record, open });
    // Its end is stored also while the process stops.
    const pause = (attempt: number) => this.#backOff(attempt);
    return new OwnedRun({ ...this.#deps, pause }, name, records.get(name)!, open);
  }

  async #write(name: string, records: Records, record: JobRecord): Promise<void> {
    const held = records.get(name)!;
    const { store } = this.#deps;
    const pause = (attempt: number) => this.#backOff(attempt, this.#stop.signal);
    const outcome = await writeRecord(store, recordKeys.batchJob(name), held, record, pause);
    if (outcome.kind === 'conflict') throw new Overtaken();
    records.set(name, outcome.held);
  }

  #backOff(attempt: number, signal?: AbortSignal): Promise<void> {
    const { clock, random } = this.#deps;
    return clock.sleep(backoffMs(attempt, 20, 1000, random), signal);
  }

  async #execute(run: OwnedRun): Promise<void> {
    try {
      const { job, cron } = this.#known.get(run.name)!;
      await executeRun({ ...this.#deps, stop: this.#stop.signal }, run, { job, cron }, this.#options.beatMs);
    } catch (error) {
      this.#deps.telemetry.failed(error);
    }
  }
}
