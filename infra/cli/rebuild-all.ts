// Counts attributes of all profiles anew from the event log: profiles are listed from the bucket and asked for in batches,
// each of which is a job that any gateway finishes and one reading of the log.
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import type { SegmentNames } from '../../shared/contract/names.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import { readBatches } from '../../shared/nats/stream-batches.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { type ApiTarget, apiGet, apiPost } from './api-client.ts';
import { adminTarget, clientSettings } from './client-context.ts';
import { CommandFailure, EXIT } from './exit.ts';
import type { Io } from './io.ts';
import { withNats } from './nats-context.ts';

interface JobAnswer {
  readonly id: string;
  readonly state: 'running' | 'done' | 'refused' | 'failed';
  readonly profileIds: readonly string[];
}

/** Profiles of one job: so many are held in a gateway's memory while the log is read. */
const AT_ONCE = 2_000;
const POLL_MS = 250;

/** `attributes`: only these; undefined: all. Gives how many profiles were rebuilt. */
export async function rebuildAll(
  flags: ClientFlags,
  attributes: readonly string[] | undefined,
  by: string | undefined,
  io: Io,
): Promise<number> {
  const target = adminTarget(clientSettings(flags, io));
  return withNats(flags, io, async (door, names) => {
    let done = 0;
    for await (const profiles of batchesOf(livingIds(door, names))) {
      const body = { profiles, attributes, by };
      let job = (await apiPost(target, '/v1/identity/rebuild', body)) as JobAnswer;
      while (job.state === 'running') {
        await io.clock.sleep(POLL_MS);
        job = await readJob(target, job.id);
      }
      if (job.state !== 'done') throw new CommandFailure(EXIT.failed, `job ${job.id} is ${job.state}`);
      done += job.profileIds.length;
      io.progress(`${done} profiles rebuilt`);
    }
    return done;
  });
}

async function readJob(target: ApiTarget, id: string): Promise<JobAnswer> {
  return (await apiGet(target, `/v1/identity/jobs/${encodeURIComponent(id)}`)) as JobAnswer;
}

/** Profiles that were there at the beginning; a profile that is written meanwhile moves to the end and may come twice. */
async function* livingIds(door: NatsDoor, names: SegmentNames): AsyncGenerator<string> {
  const seen = new Set<string>();
  const filter = names.recordSubject('p.*');
  for await (const batch of readBatches(door, names.profilesStream, { filter })) {
    for (const { subject, payload, removed } of batch) {
      if (removed || payload.length === 0) continue;
      const state = decodeRecord(subject.slice(names.recordSubjectPrefix.length), payload);
      if (state.kind !== 'profile' || seen.has(state.id)) continue;
      seen.add(state.id);
      yield state.id;
    }
  }
}

async function* batchesOf(ids: AsyncIterable<string>): AsyncGenerator<readonly string[]> {
  let batch: string[] = [];
  for await (const id of ids) {
    batch.push(id);
    if (batch.length < AT_ONCE) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
