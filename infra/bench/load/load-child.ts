// Entry of a load process: one job comes as a message, its result goes back as one. Runs on load.
import { errorText } from '../../../shared/kernel/errors.ts';
import { surviveTransportErrors } from '../../../shared/nats/connect.ts';
import { runAppend } from './append-job.ts';
import { runHttp } from './http-job.ts';
import { ENOUGH, type LoadJob } from './jobs.ts';
import { runCeiling, runSeed } from './store-jobs.ts';

export type LoadAnswer = { readonly result: unknown } | { readonly error: string };

function run(job: LoadJob, until: AbortSignal): Promise<unknown> {
  switch (job.kind) {
    case 'seed':
      return runSeed(job);
    case 'append':
      return runAppend(job);
    case 'ceiling':
      return runCeiling(job);
    case 'http':
      return runHttp(job, until);
  }
}

function answer(message: LoadAnswer): void {
  process.send?.(message, () => process.exit(0));
}

surviveTransportErrors((error) => answer({ error: errorText(error) }));
process.once('disconnect', () => process.exit(1));
const until = new AbortController();
process.once('message', (job: LoadJob) => {
  process.on('message', (said) => {
    if (said === ENOUGH) until.abort();
  });
  run(job, until.signal).then(
    (result) => answer({ result }),
    (error: unknown) =>
      answer({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
  );
});
