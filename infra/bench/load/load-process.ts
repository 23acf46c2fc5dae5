// A load generator as a process of its own, so that what it costs is not on the account of what it measures.
import { type ChildProcess, fork } from 'node:child_process';
import { packagePath } from '../../package-root.ts';
import type { Ownership } from '../ownership.ts';
import type { JobResult } from './jobs.ts';
import { ENOUGH, type LoadJob } from './jobs.ts';
import type { LoadAnswer } from './load-child.ts';

export interface RunningLoad<Job extends LoadJob> {
  readonly result: Promise<JobResult<Job>>;
  /** Requests at a rate: no more of them, the result is that of those before. */
  enough(): void;
  /** Ends it early; then there is no result. */
  end(): void;
}

/** Starts a job. */
export function startLoad<Job extends LoadJob>(job: Job): RunningLoad<Job> {
  // Its own process group: Ctrl-C reaches the bench only, which then ends everything in order.
  const child = fork(packagePath('dist/infra/bench/load/load-child.js'), { detached: true });
  const result = resultOf<Job>(child);
  // Whoever ends it early does not wait for it.
  result.catch(() => {});
  child.send(job);
  return { result, enough: () => void child.send(ENOUGH), end: () => void child.kill('SIGKILL') };
}

/** Runs a job to its end, or to that of what owns it. Throws when it could not be done. */
export async function runLoad<Job extends LoadJob>(job: Job, ownership: Ownership): Promise<JobResult<Job>> {
  const load = startLoad(job);
  const end = ownership.own(async () => load.end());
  try {
    return await load.result;
  } finally {
    await end();
  }
}

function resultOf<Job extends LoadJob>(child: ChildProcess): Promise<JobResult<Job>> {
  return new Promise((resolve, reject) => {
    child.once('message', (message) => {
      const answer = message as LoadAnswer;
      if ('error' in answer) reject(new Error(`the load process failed: ${answer.error}`));
      else resolve(answer.result as JobResult<Job>);
    });
    child.once('error', reject);
    child.once('exit', (code, signal) => reject(new Error(`the load process ended: ${code ?? signal}`)));
  });
}
