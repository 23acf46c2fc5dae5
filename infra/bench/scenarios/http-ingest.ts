// Events over HTTP, closed loop: what a gateway accepts when clients send the next request as soon as they have an answer.
import { httpFigures, httpJob, withGateway } from '../http-scenario.ts';
import type { BenchContext, Case, Scenario } from '../scenario.ts';

const BATCH_CONNECTIONS = 8;
const SINGLE_CONNECTIONS = 64;

export const httpBatch: Scenario = {
  name: 'http-batch',
  about:
    'POST /v1/events with 100 events a request, closed loop, 8 connections; without --url no worker runs, the events wait in the log',
  remote: true,
  byDefault: true,
  run: (context) => ingest(context, 'http-batch', 100, BATCH_CONNECTIONS),
};

export const httpSingle: Scenario = {
  name: 'http-single',
  about:
    'POST /v1/events with one event a request, closed loop, 64 connections; without --url no worker runs',
  remote: true,
  byDefault: true,
  run: (context) => ingest(context, 'http-single', 1, SINGLE_CONNECTIONS),
};

function ingest(
  context: BenchContext,
  name: string,
  batch: number,
  connections: number,
): Promise<readonly Case[]> {
  return withGateway(context, name, { worker: false, profiles: 0 }, async (gateway) => {
    const job = httpJob(context, gateway, {
      connections,
      request: { kind: 'send', batch, waitForCommit: false },
    });
    const { result, usPerDone } = await gateway.measure(job);
    const perSecond = result.done / (result.elapsedMs / 1000);
    return [{ name, figures: { 'events/s': perSecond, ...httpFigures(result), ...usPerDone } }];
  });
}
