// Workers against a backlog: events are in the log before a worker starts, and what is timed is from its first commits to
// its last. The end is the server's own time of the last record stored, the rest is read from metrics pages and /proc.
import { setTimeout as sleep } from 'node:timers/promises';
import { streamInfo } from '../../shared/nats/jetstream-api.ts';
import { readCounts, type WorkerCounts } from './metrics-page.ts';
import { readUse } from './process-stat.ts';
import type { BenchRole, Rig } from './rig.ts';

const POLL_MS = 100;
const STALL_MS = 60_000;

interface Sample {
  readonly atMs: number;
  readonly counts: WorkerCounts;
  readonly workerCpuMs: number;
  readonly serverCpuMs: number;
  readonly serverWritten: number;
}

/** Starts so many workers, waits until they have applied `events`, stops them. */
export async function measureApply(
  rig: Rig,
  events: number,
  workerCount = 1,
): Promise<Readonly<Record<string, number>>> {
  const startedMs = Date.now();
  const workers = await Promise.all(Array.from({ length: workerCount }, () => rig.startWorker()));
  try {
    const samples = await untilApplied(rig, workers, events);
    const rss = workers.reduce((sum, { pid }) => sum + (readUse(pid)?.rssPeakBytes ?? 0), 0);
    return {
      ...(await figuresOf(rig, samples)),
      'worker RSS peak MB': rss / 1e6,
      'worker ready ms': Math.max(...workers.map(({ startMs }) => startMs)),
      'first commits seen ms': samples[0]!.atMs - startedMs,
    };
  } finally {
    await Promise.all(workers.map((worker) => worker.stop()));
  }
}

/** One sample from the first commits seen on, every now and then, the last when all is applied. */
async function untilApplied(
  rig: Rig,
  workers: readonly BenchRole[],
  events: number,
): Promise<readonly Sample[]> {
  const samples: Sample[] = [];
  let movedMs = performance.now();
  for (;;) {
    const sample = await sampleOf(rig, workers);
    const before = samples.at(-1)?.counts.messages ?? 0;
    if (sample.counts.messages > before) {
      samples.push(sample);
      movedMs = performance.now();
    }
    if (sample.counts.messages >= events) return samples;
    if (performance.now() - movedMs > STALL_MS)
      throw new Error(`no progress for ${STALL_MS} ms: ${sample.counts.messages} of ${events} applied`);
    await sleep(POLL_MS);
  }
}

async function sampleOf(rig: Rig, workers: readonly BenchRole[]): Promise<Sample> {
  const all = await Promise.all(workers.map(({ url }) => readCounts(url)));
  const atMs = Date.now();
  const server = readUse(rig.server.pid);
  return {
    atMs,
    counts: all.reduce(addCounts),
    workerCpuMs: workers.reduce((sum, { pid }) => sum + (readUse(pid)?.cpuMs ?? 0), 0),
    serverCpuMs: server?.cpuMs ?? 0,
    serverWritten: server?.writtenBytes ?? 0,
  };
}

function addCounts(a: WorkerCounts, b: WorkerCounts): WorkerCounts {
  return {
    messages: a.messages + b.messages,
    commits: a.commits + b.commits,
    writes: a.writes + b.writes,
    bytes: a.bytes + b.bytes,
    conflicts: a.conflicts + b.conflicts,
    loaded: a.loaded + b.loaded,
  };
}

async function figuresOf(rig: Rig, samples: readonly Sample[]): Promise<Record<string, number>> {
  const first = samples[0]!;
  const last = samples.at(-1)!;
  if (samples.length < 3) throw new Error('too few events for a measurement: all were applied at once');
  const middle = samples[samples.length >> 1]!;
  const endMs = await lastStoredMs(rig);
  const rate = (from: Sample) =>
    (last.counts.messages - from.counts.messages) / ((Math.min(endMs, last.atMs) - from.atMs) / 1000);
  const applied = last.counts.messages - first.counts.messages;
  const per = (of: (sample: Sample) => number) => (of(last) - of(first)) / applied;
  return {
    'events/s': rate(first),
    'events/s, 2nd half': rate(middle),
    'worker us/event': per(({ workerCpuMs }) => workerCpuMs) * 1000,
    'nats us/event': per(({ serverCpuMs }) => serverCpuMs) * 1000,
    'events/commit': 1 / per(({ counts }) => counts.commits),
    'records/event': per(({ counts }) => counts.writes),
    'bytes/event': per(({ counts }) => counts.bytes),
    'disk bytes/event': per(({ serverWritten }) => serverWritten),
    conflicts: last.counts.conflicts,
  };
}

/** When the bucket stored its last record, by the server's clock, which is this machine's. */
async function lastStoredMs(rig: Rig): Promise<number> {
  const info = await streamInfo(rig.door, rig.names.profilesStream, 'STORE_UNAVAILABLE');
  const state = info?.state as { readonly last_ts?: string } | undefined;
  const parsed = Date.parse(state?.last_ts ?? '');
  return Number.isNaN(parsed) ? Number.POSITIVE_INFINITY : parsed;
}
