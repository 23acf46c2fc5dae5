// Appends events to the log as a gateway does, without HTTP: a backlog as fast as possible, or a steady rate.
import { systemClock } from '../../../shared/kernel/clock.ts';
import { systemRandom } from '../../../shared/kernel/random.ts';
import { createEventLogAppender } from '../../../shared/nats/event-log-appender.ts';
import type { EventLogAppender } from '../../../shared/ports/event-log.ts';
import { openLoop } from '../pace.ts';
import { type BenchEvent, createWorkload } from '../workload.ts';
import { type OpenSegment, withSegment } from './job-segment.ts';
import type { AppendJob, StoredResult } from './jobs.ts';
import { createMetronome } from './metronome.ts';

const CHUNK_EVENTS = 450;
const CHUNKS_IN_FLIGHT = 4;

export function runAppend(job: AppendJob): Promise<StoredResult> {
  return withSegment(job, async (segment) => {
    const options = { clock: systemClock, random: systemRandom };
    const appender = createEventLogAppender(segment.door, segment.names, options);
    const sources = job.workloads.map(createWorkload);
    let made = 0;
    const next = () => sources[made++ % sources.length]!.next();
    const startMs = performance.now();
    try {
      const bytes =
        job.ratePerSecond === undefined
          ? await appendBacklog(job.events, next, segment, appender)
          : await appendPaced(job.events, job.ratePerSecond, next, segment, appender);
      return { messages: job.events, bytes, elapsedMs: performance.now() - startMs };
    } finally {
      await appender.close();
    }
  });
}

async function appendBacklog(
  events: number,
  next: () => BenchEvent,
  segment: OpenSegment,
  appender: EventLogAppender,
): Promise<number> {
  let left = events;
  let bytes = 0;
  const lane = async () => {
    while (left > 0) {
      const count = Math.min(left, CHUNK_EVENTS);
      left -= count;
      const appends = segment.prepare(Array.from({ length: count }, next));
      for (const { payload } of appends) bytes += payload.length;
      const outcome = await appender.append(appends);
      if (outcome.kind !== 'stored') throw new Error(`events were not stored: ${outcome.kind}`);
    }
  };
  await Promise.all(Array.from({ length: CHUNKS_IN_FLIGHT }, lane));
  return bytes;
}

/** What the log refuses, while its server is down for example, is left out: the bench looks at what comes after. */
async function appendPaced(
  events: number,
  ratePerSecond: number,
  next: () => BenchEvent,
  segment: OpenSegment,
  appender: EventLogAppender,
): Promise<number> {
  const metronome = createMetronome();
  const running: Promise<unknown>[] = [];
  let bytes = 0;
  await openLoop({ ratePerSecond, count: events }, metronome, () => {
    const appends = segment.prepare([next()]);
    bytes += appends[0]?.payload.length ?? 0;
    running.push(appender.append(appends));
  });
  await Promise.all(running);
  await metronome.close();
  return bytes;
}
