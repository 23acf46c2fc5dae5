// Latency over HTTP, open loop: an event until its commit is answered, and a profile read.
import { httpFigures, httpJob, withGateway } from '../http-scenario.ts';
import type { Scenario } from '../scenario.ts';

const WAIT_RATE = 500;
const READ_RATE = 1000;
const CONNECTIONS = 64;
const PROFILES_MAX = 20_000;

export const waitCommit: Scenario = {
  name: 'wait-commit',
  about: `POST /v1/events?wait=commit, one event a request, open loop at ${WAIT_RATE}/s unless --rate says otherwise; from the intended moment of sending to the answer after the commit`,
  remote: true,
  byDefault: true,
  run: (context) => {
    const needs = { worker: true, profiles: Math.min(PROFILES_MAX, context.sizes.profiles) };
    return withGateway(context, 'wait-commit', needs, async (gateway) => {
      const ratePerSecond = context.sizes.ratePerSecond ?? WAIT_RATE;
      const request = { kind: 'send', batch: 1, waitForCommit: true } as const;
      const job = httpJob(context, gateway, { connections: CONNECTIONS, request, ratePerSecond });
      const { result, usPerDone } = await gateway.measure({
        ...job,
        workload: { ...job.workload, profiles: needs.profiles },
      });
      const figures = {
        'requests/s': result.requests / (result.elapsedMs / 1000),
        ...httpFigures(result),
        'committed %': (100 * result.committed) / result.requests,
        ...usPerDone,
      };
      return [{ name: 'wait-commit', figures }];
    });
  },
};

export const read: Scenario = {
  name: 'read',
  about: `GET /v1/profiles/<key>/<value> of profiles that exist, open loop at ${READ_RATE}/s unless --rate says otherwise; from the intended moment of sending`,
  remote: true,
  byDefault: true,
  run: (context) => {
    const needs = { worker: false, profiles: Math.min(PROFILES_MAX, context.sizes.profiles) };
    return withGateway(context, 'read', needs, async (gateway) => {
      const ratePerSecond = context.sizes.ratePerSecond ?? READ_RATE;
      const job = httpJob(context, gateway, {
        connections: CONNECTIONS,
        request: { kind: 'read' },
        ratePerSecond,
      });
      const { result, usPerDone } = await gateway.measure({
        ...job,
        workload: { ...job.workload, profiles: needs.profiles },
      });
      const figures = {
        'requests/s': result.requests / (result.elapsedMs / 1000),
        ...httpFigures(result),
        ...usPerDone,
      };
      return [{ name: 'read', figures }];
    });
  },
};
