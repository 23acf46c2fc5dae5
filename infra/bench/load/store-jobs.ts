// Jobs that write to the server directly: profiles made by the actor, and bare batches as the ceiling.
import { randomFillSync } from 'node:crypto';
import { createProfileActor } from '../../../actors/profile/actor.ts';
import type { ActorMessage } from '../../../shared/contract/actor.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { uuidV7From } from '../../../shared/kernel/hash.ts';
import { randomBelow, seededRandom } from '../../../shared/kernel/random.ts';
import { type BatchMessage, publishBatch } from '../../../shared/nats/atomic-batch.ts';
import type { NatsDoor } from '../../../shared/nats/connect.ts';
import { createWorkload } from '../workload.ts';
import { type OpenSegment, withSegment } from './job-segment.ts';
import type { CeilingJob, SeedJob, StoredResult } from './jobs.ts';

const BATCH_MESSAGES = 900;
const SEED_IN_FLIGHT = 3;
const FILL_IN_FLIGHT = 4;
const ANSWER_TIMEOUT_MS = 60_000;

export function runSeed(job: SeedJob): Promise<StoredResult> {
  return withSegment(job, async (segment) => {
    const records = seedRecords(job, segment);
    return storeAll(segment.door, records, SEED_IN_FLIGHT);
  });
}

/** The records of one new profile after the other: what the actor decides about its first event, outbox left out. */
function* seedRecords(job: SeedJob, segment: OpenSegment): Generator<BatchMessage> {
  const actor = createProfileActor(segment.config, { shards: job.shards, configVersion: 1 });
  const events = createWorkload(job.workload);
  const nowMs = Date.now();
  const nothing = { get: () => null };
  for (let sequence = 1; sequence <= job.workload.profiles; sequence++) {
    const [append] = segment.prepare([events.next()]);
    const message: ActorMessage = { ...append!, sequence, nowMs, logId: job.workload.name };
    const decision = actor.decide(message, actor.parse(message), nothing);
    if (decision.kind !== 'apply') throw new Error(`the actor asks for more: ${decision.kind}`);
    for (const [key, state] of decision.writes) {
      const subject = segment.names.recordSubject(key);
      yield { subject, payload: actor.encode(key, state), headers: [] };
    }
  }
}

export function runCeiling(job: CeilingJob): Promise<StoredResult> {
  return withSegment(job, async ({ door, names }) => {
    const subjects = Array.from({ length: job.records }, (_, index) =>
      names.recordSubject(recordKeys.profile(uuidV7From(index, `ceiling-${index}`))),
    );
    const noise = randomFillSync(new Uint8Array(job.recordBytes + BATCH_MESSAGES));
    const recordOf = (subject: string, index: number): BatchMessage => {
      const from = index % BATCH_MESSAGES;
      return { subject, payload: noise.subarray(from, from + job.recordBytes), headers: [] };
    };
    await storeAll(door, subjects.map(recordOf).values(), FILL_IN_FLIGHT);
    const random = seededRandom(1);
    const endMs = performance.now() + job.seconds * 1000;
    return storeAll(door, overwrites(), job.inFlight);

    function* overwrites(): Generator<BatchMessage> {
      while (performance.now() < endMs) {
        const start = randomBelow(random, subjects.length);
        for (let i = 0; i < BATCH_MESSAGES; i++)
          yield recordOf(subjects[(start + i * 101) % subjects.length]!, i);
      }
    }
  });
}

/** Stores everything in atomic batches, so many at a time. Throws when one is refused. */
async function storeAll(
  door: NatsDoor,
  messages: Iterator<BatchMessage>,
  inFlight: number,
): Promise<StoredResult> {
  const startMs = performance.now();
  let stored = 0;
  let bytes = 0;
  const lane = async () => {
    for (;;) {
      const batch = take(messages, BATCH_MESSAGES);
      if (batch.length === 0) return;
      const answer = await publishBatch(door, batch, ANSWER_TIMEOUT_MS);
      if (answer.kind !== 'stored') throw new Error(`a batch was not stored: ${JSON.stringify(answer)}`);
      stored += batch.length;
      for (const { payload } of batch) bytes += payload.length;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return { messages: stored, bytes, elapsedMs: performance.now() - startMs };
}

function take<T>(from: Iterator<T>, count: number): readonly T[] {
  const taken: T[] = [];
  while (taken.length < count) {
    const next = from.next();
    if (next.done) break;
    taken.push(next.value);
  }
  return taken;
}
