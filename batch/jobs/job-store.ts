// Records of jobs in the profile bucket, each read with its revision and written at it.
import {
  decodeJobRecord,
  encodeJobRecord,
  type JobIndex,
  type JobLog,
  type JobRecord,
  type JobRecords,
  LOGS_KEPT,
  NO_JOB_INDEX,
  NO_JOB_RECORD,
} from '../../shared/contract/job-record.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { RecordStore, Revision } from '../../shared/ports/record-store.ts';

export interface HeldRecord<T> {
  readonly record: T;
  readonly revision: Revision;
}

export type WriteOutcome<T> =
  | { readonly kind: 'written'; readonly held: HeldRecord<T> }
  /** Somebody else wrote it. */
  | { readonly kind: 'conflict' };

const TRIES_MAX = 10;

export function logKey(name: string, run: number): string {
  return recordKeys.batchLog(name, run % LOGS_KEPT);
}

/** Throws STORE_UNAVAILABLE. */
export async function readJobRecord(store: RecordStore, name: string): Promise<HeldRecord<JobRecord>> {
  return read(store, recordKeys.batchJob(name), NO_JOB_RECORD);
}

/** Of several jobs; they may be a moment old, which a write finds out. */
export async function readJobRecords(
  store: RecordStore,
  names: readonly string[],
): Promise<ReadonlyMap<string, HeldRecord<JobRecord>>> {
  const found = await store.read(names.map(recordKeys.batchJob), 'replica');
  return new Map(
    names.map((name) => {
      const stored = found.get(recordKeys.batchJob(name));
      const record = stored?.value ? decodeJobRecord<JobRecord>(stored.value) : NO_JOB_RECORD;
      return [name, { record, revision: stored?.revision ?? 0 }];
    }),
  );
}

export async function readJobIndex(store: RecordStore): Promise<HeldRecord<JobIndex>> {
  return read(store, recordKeys.batchJobs, NO_JOB_INDEX);
}

/** The log of a run; undefined when it is not kept. */
export async function readJobLog(store: RecordStore, name: string, run: number): Promise<JobLog | undefined> {
  const { record } = await readLogSlot(store, name, run);
  return record?.run === run ? record : undefined;
}

/** Whatever stands where the log of this run belongs. */
export async function readLogSlot(
  store: RecordStore,
  name: string,
  run: number,
): Promise<HeldRecord<JobLog | undefined>> {
  return read<JobLog | undefined>(store, logKey(name, run), undefined);
}

async function read<T extends JobRecords | undefined>(
  store: RecordStore,
  key: string,
  otherwise: T,
): Promise<HeldRecord<T>> {
  const stored = (await store.read([key], 'leader')).get(key);
  const record = stored?.value ? decodeJobRecord<NonNullable<T>>(stored.value) : otherwise;
  return { record: record as T, revision: stored?.revision ?? 0 };
}

/**
 * Writes a record in place of the one that is held. What got no answer is sent again, and taken for written when it is there.
 * Throws STORE_UNAVAILABLE when that cannot be told.
 */
export async function writeRecord<T extends JobRecords>(
  store: RecordStore,
  key: string,
  held: HeldRecord<unknown>,
  record: T,
  pause: (attempt: number) => Promise<void>,
): Promise<WriteOutcome<T>> {
  const value = encodeJobRecord(record);
  let reason = '';
  for (let attempt = 0; attempt < TRIES_MAX; attempt++) {
    const outcome = await store.commit([{ kind: 'put', key, value, expect: held.revision }]);
    if (outcome.kind === 'committed')
      return { kind: 'written', held: { record, revision: outcome.revisions[0] ?? 0 } };
    if (outcome.kind === 'conflict') {
      const stored = (await store.read([key], 'leader')).get(key);
      if (!stored?.value || !Buffer.from(stored.value).equals(value)) return { kind: 'conflict' };
      return { kind: 'written', held: { record, revision: stored.revision } };
    }
    reason = outcome.reason;
    await pause(attempt);
  }
  throw new StitchworkError('STORE_UNAVAILABLE', `${key} cannot be written: ${reason}`);
}
