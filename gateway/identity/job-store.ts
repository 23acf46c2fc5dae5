// Where jobs are kept: one record each, and one with the list of those that are not finished, written together. Every
// write is made over what is stored now, so two gateways never undo one another's.
import { recordKeys } from '../../shared/contract/names.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { RecordStore, StoredRecord, StoreWrite } from '../../shared/ports/record-store.ts';
import { decodeJob, decodeOpenJobs, encodeJob, isFinished, type Job } from './job.ts';

/** Jobs that are not finished, at most. */
export const OPEN_JOBS_MAX = 100;
/** How long a finished one is remembered. */
const FINISHED_TTL_MS = 30 * 86_400_000;
const TRIES_MAX = 20;
const RETRY_MS = 25;

export class JobStore {
  readonly #store: Pick<RecordStore, 'read' | 'commit'>;
  readonly #clock: Clock;

  constructor(store: Pick<RecordStore, 'read' | 'commit'>, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Undefined when there is none, or when it was finished long ago. Throws STORE_UNAVAILABLE. */
  async read(id: string): Promise<Job | undefined> {
    const { value } = await this.#one(recordKeys.job(id));
    return value === null ? undefined : decodeJob(value);
  }

  async openIds(): Promise<readonly string[]> {
    const { value } = await this.#one(recordKeys.openJobs);
    return value === null ? [] : decodeOpenJobs(value).ids;
  }

  /**
   * Stores what `change` makes of the job as it is stored, and gives it; undefined: it is left as it is. A finished job
   * never changes again. Throws OVERLOADED when there are too many, STORE_UNAVAILABLE.
   */
  async update(id: string, change: (stored: Job | undefined) => Job | undefined): Promise<Job | undefined> {
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const keys = [recordKeys.job(id), recordKeys.openJobs];
      const found = await this.#store.read(keys, 'leader');
      const [record, list] = keys.map((key) => found.get(key)!);
      const stored = record!.value === null ? undefined : decodeJob(record!.value);
      const job = stored && isFinished(stored) ? undefined : change(stored);
      if (!job) return stored;
      const outcome = await this.#store.commit(writesOf(job, record!, list!));
      if (outcome.kind === 'committed') return job;
      if (outcome.kind === 'refused') throw new StitchworkError('STORE_UNAVAILABLE', outcome.reason);
      // Changed meanwhile, or not known whether stored: the same change over what is there then.
      await this.#clock.sleep(RETRY_MS);
    }
    throw new StitchworkError('STORE_UNAVAILABLE', `job ${id} could not be stored`);
  }

  async #one(key: string): Promise<StoredRecord> {
    return (await this.#store.read([key], 'leader')).get(key)!;
  }
}

function writesOf(job: Job, record: StoredRecord, list: StoredRecord): readonly StoreWrite[] {
  const finished = isFinished(job);
  const put: StoreWrite = {
    kind: 'put',
    key: record.key,
    value: encodeJob(job),
    expect: record.revision,
    ttlMs: finished ? FINISHED_TTL_MS : undefined,
  };
  const open = list.value === null ? [] : decodeOpenJobs(list.value).ids;
  if (open.includes(job.id) === !finished) return [put];
  const ids = finished ? open.filter((id) => id !== job.id) : [...open, job.id];
  if (ids.length > OPEN_JOBS_MAX)
    throw new StitchworkError('OVERLOADED', `${OPEN_JOBS_MAX} splits and merges are not finished yet`);
  return [put, { kind: 'put', key: list.key, value: encodeJob({ v: 1, ids }), expect: list.revision }];
}
