// Requests to a gateway: closed loop for throughput (each connection sends when it has its answer), open loop for latency.
import { measureOpenLoop, type Pace } from '../pace.ts';
import { latenciesOf } from '../statistics.ts';
import { createWorkload } from '../workload.ts';
import { type HttpAnswer, HttpConnection, requestBytes } from './http-connection.ts';
import type { HttpJob, HttpResult } from './jobs.ts';
import { createMetronome } from './metronome.ts';

/** Counts of one phase. */
interface Tally {
  requests: number;
  done: number;
  committed: number;
  degraded: number;
  firstFailure: string | undefined;
  readonly failed: Record<number, number>;
}

type Measured = Pick<HttpResult, 'elapsedMs'> & { readonly latenciesMs: readonly number[] };

/** With `until` aborted, requests at a rate end before their time. */
export async function runHttp(job: HttpJob, until: AbortSignal): Promise<HttpResult> {
  const connections = Array.from({ length: job.connections }, () => new HttpConnection(new URL(job.url)));
  const prepare = requestSource(job);
  const phase = async (seconds: number) => {
    const tally: Tally = {
      requests: 0,
      done: 0,
      committed: 0,
      degraded: 0,
      firstFailure: undefined,
      failed: {},
    };
    const send = (connection: HttpConnection) => sendOne(connection, prepare(), tally);
    const { ratePerSecond } = job;
    const measured =
      ratePerSecond === undefined
        ? await closedLoop(connections, seconds, send)
        : await pacedLoop(
            connections,
            { ratePerSecond, count: Math.round(ratePerSecond * seconds), until },
            send,
          );
    const { latenciesMs, elapsedMs } = measured;
    return { ...tally, elapsedMs, latencies: latenciesOf(latenciesMs) };
  };
  try {
    if (job.warmUpSeconds > 0) await phase(job.warmUpSeconds);
    return await phase(job.seconds);
  } finally {
    for (const connection of connections) connection.close();
  }
}

/** Requests one after the other, as bytes. */
function requestSource(job: HttpJob): () => string {
  const url = new URL(job.url);
  const events = createWorkload(job.workload);
  const auth = job.key === undefined ? {} : { key: job.key };
  const { request } = job;
  const query = new URLSearchParams();
  if (job.segment !== undefined) query.set('segment', job.segment);
  if (request.kind === 'send' && request.waitForCommit) query.set('wait', 'commit');
  const suffix = query.size > 0 ? `?${query}` : '';
  const base = url.pathname.replace(/\/$/, '');
  if (request.kind === 'read') {
    const keyName = job.workload.keys[0]!;
    return () => {
      const value = events.next().keys[keyName] ?? '';
      return requestBytes('GET', url, `${base}/v1/profiles/${keyName}/${value}${suffix}`, auth);
    };
  }
  if (request.kind === 'personalize') {
    const path = `${base}/v1/personalize/${request.service}${suffix}`;
    const keyName = job.workload.keys[1] ?? job.workload.keys[0]!;
    return () => {
      const event = events.next();
      const body = JSON.stringify(request.withEvent ? event : { keys: { [keyName]: event.keys[keyName] } });
      return requestBytes('POST', url, path, { ...auth, body });
    };
  }
  return () => {
    const batch = Array.from({ length: request.batch }, () => events.next());
    const body = JSON.stringify(request.batch === 1 ? batch[0] : { events: batch });
    return requestBytes('POST', url, `${base}/v1/events${suffix}`, { ...auth, body });
  };
}

/** True when the answer is what was asked for. */
async function sendOne(connection: HttpConnection, bytes: string, tally: Tally): Promise<boolean> {
  tally.requests += 1;
  const answer = await connection.request(bytes).catch((error: unknown) => String(error));
  if (typeof answer !== 'string' && (answer.status === 200 || answer.status === 202)) {
    count(answer, tally);
    return true;
  }
  const status = typeof answer === 'string' ? 0 : answer.status;
  tally.failed[status] = (tally.failed[status] ?? 0) + 1;
  tally.firstFailure ??= typeof answer === 'string' ? answer : answer.body.toString('utf8').slice(0, 300);
  return false;
}

function count({ body }: HttpAnswer, tally: Tally): void {
  const parsed = JSON.parse(body.toString('utf8')) as {
    accepted?: number;
    committed?: boolean;
    event?: { committed: boolean };
    degraded?: boolean;
  };
  tally.done += parsed.accepted ?? 1;
  if (parsed.committed === true || parsed.event?.committed === true) tally.committed += 1;
  if (parsed.degraded === true) tally.degraded += 1;
}

async function closedLoop(
  connections: readonly HttpConnection[],
  seconds: number,
  send: (connection: HttpConnection) => Promise<boolean>,
): Promise<Measured> {
  const latenciesMs: number[] = [];
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  const lane = async (connection: HttpConnection) => {
    for (;;) {
      const sentMs = performance.now();
      if (sentMs >= endMs) return;
      if (await send(connection)) latenciesMs.push(performance.now() - sentMs);
      else await new Promise((resolve) => setTimeout(resolve, 10));
    }
  };
  await Promise.all(connections.map(lane));
  return { latenciesMs, elapsedMs: performance.now() - startMs };
}

/** A request for which no connection is free waits for one, and its latency counts on. */
async function pacedLoop(
  connections: readonly HttpConnection[],
  pace: Pace,
  send: (connection: HttpConnection) => Promise<boolean>,
): Promise<Measured> {
  const free = [...connections];
  const waiting: ((connection: HttpConnection) => void)[] = [];
  const metronome = createMetronome();
  const startMs = performance.now();
  const { latenciesMs } = await measureOpenLoop(pace, metronome, async () => {
    const connection = free.pop() ?? (await new Promise<HttpConnection>((resolve) => waiting.push(resolve)));
    const ok = await send(connection);
    const next = waiting.shift();
    if (next) next(connection);
    else free.push(connection);
    return ok;
  });
  await metronome.close();
  return { latenciesMs, elapsedMs: performance.now() - startMs };
}
