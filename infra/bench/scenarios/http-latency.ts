// Latency over HTTP, open loop: an event until its commit is answered, and a profile read.
import { httpFigures, httpJob, withGateway } from '../http-scenario.ts';
import type { HttpJob, HttpResult } from '../load/jobs.ts';
import type { BenchContext, Scenario } from '../scenario.ts';

const WAIT_RATE = 500;
const READ_RATE = 1000;
const CONNECTIONS = 64;
const PROFILES_MAX = 20_000;
/** Processes that have run for a while: before that, a good part of the time goes into compiling what they run. */
const WARM_UP_SECONDS = 12;

export const waitCommit: Scenario = {
  name: 'wait-commit',
  about: `POST /v1/events?wait=commit, one event a request, open loop at ${WAIT_RATE}/s unless --rate says otherwise; from the intended moment of sending to the answer after the commit`,
  remote: true,
  byDefault: true,
  run: (context) => {
    const request = { kind: 'send', batch: 1, waitForCommit: true } as const;
    return openLoop(context, 'wait-commit', { worker: true, rate: WAIT_RATE, request }, (result) => ({
      'committed %': (100 * result.committed) / result.requests,
    }));
  },
};

export const read: Scenario = {
  name: 'read',
  about: `GET /v1/profiles/<key>/<value> of profiles that exist, open loop at ${READ_RATE}/s unless --rate says otherwise; from the intended moment of sending`,
  remote: true,
  byDefault: true,
  run: (context) =>
    openLoop(context, 'read', { worker: false, rate: READ_RATE, request: { kind: 'read' } }, () => ({})),
};

interface OpenLoop {
  readonly worker: boolean;
  /** Requests a second unless the options say otherwise. */
  readonly rate: number;
  readonly request: HttpJob['request'];
}

/** One load over profiles that exist, and what it gave; `more` are figures of this scenario alone. */
function openLoop(
  context: BenchContext,
  name: string,
  { worker, rate, request }: OpenLoop,
  more: (result: HttpResult) => Readonly<Record<string, number>>,
): ReturnType<Scenario['run']> {
  const profiles = Math.min(PROFILES_MAX, context.sizes.profiles);
  return withGateway(context, name, { worker, profiles }, async (gateway) => {
    const ratePerSecond = context.sizes.ratePerSecond ?? rate;
    const job = httpJob(context, gateway, { connections: CONNECTIONS, request, ratePerSecond });
    const warmUpSeconds = Math.max(job.warmUpSeconds, WARM_UP_SECONDS);
    const workload = { ...job.workload, profiles };
    const { result, usPerDone } = await gateway.measure({ ...job, warmUpSeconds, workload });
    const figures = {
      'requests/s': result.requests / (result.elapsedMs / 1000),
      ...httpFigures(result),
      ...more(result),
      ...usPerDone,
    };
    return [{ name, figures }];
  });
}
