// Tells everybody which jobs this process has, so that they can be listed and asked for from anywhere: its own in place of what
// it said before, and what others that are still there have said.
import type { JobIndex, KnownJob } from '../../shared/contract/job-record.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { backoffMs } from '../../shared/kernel/backoff.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import type { Random } from '../../shared/kernel/random.ts';
import type { Presence } from '../../shared/ports/presence.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';
import { isHeld } from '../archive/claim.ts';
import type { Job } from './job-folder.ts';
import { readJobIndex, writeRecord } from './job-store.ts';

export interface AnnounceDeps {
  readonly store: RecordStore;
  readonly presence: Presence;
  readonly clock: Clock;
  readonly random: Random;
  readonly owner: string;
}

const TRIES_MAX = 20;
const PROBLEMS_MAX = 50;

/** Whether a process that is there has announced each of them. Throws STORE_UNAVAILABLE. */
export async function areAnnounced(deps: AnnounceDeps, jobs: readonly Job[]): Promise<boolean> {
  const { record } = await readJobIndex(deps.store);
  const { jobs: others } = await presentOthers(deps, record);
  return jobs.every(({ name }) => Object.hasOwn(others, name) || record.jobs[name]?.by === deps.owner);
}

/** Throws STORE_UNAVAILABLE. */
export async function announceJobs(
  deps: AnnounceDeps,
  jobs: readonly Job[],
  problems: readonly string[],
): Promise<void> {
  const { store, clock, random, owner } = deps;
  const pause = (attempt: number) => clock.sleep(backoffMs(attempt, 20, 1000, random));
  for (let tries = 0; tries < TRIES_MAX; tries++) {
    const held = await readJobIndex(store);
    const others = await presentOthers(deps, held.record);
    const own = jobs.map((job) => [job.name, knownJob(job, owner)] as const);
    const told = problems.length > 0 ? { [owner]: problems.slice(0, PROBLEMS_MAX) } : {};
    const index: JobIndex = {
      v: 1,
      jobs: { ...others.jobs, ...Object.fromEntries(own) },
      problems: { ...others.problems, ...told },
    };
    const outcome = await writeRecord(store, recordKeys.batchJobs, held, index, pause);
    if (outcome.kind === 'written') return;
    await pause(tries);
  }
}

async function presentOthers(deps: AnnounceDeps, { jobs, problems }: JobIndex): Promise<Omit<JobIndex, 'v'>> {
  const names = new Set([...Object.values(jobs).map(({ by }) => by), ...Object.keys(problems)]);
  const present = new Set<string>();
  for (const name of names)
    if (name !== deps.owner && (await isHeld(deps, { owner: name }, deps.owner))) present.add(name);
  return {
    jobs: Object.fromEntries(Object.entries(jobs).filter(([, { by }]) => present.has(by))),
    problems: Object.fromEntries(Object.entries(problems).filter(([by]) => present.has(by))),
  };
}

function knownJob({ cron, timezone, table, dependsOn, file, digest }: Job, by: string): KnownJob {
  return { cron, timezone, table, dependsOn, file, digest, by };
}
