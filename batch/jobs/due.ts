// What is to be done about a job, from its schedule, its record and the records of what it depends on, at an instant that is
// given. Pure: whoever looks, and however late, comes to the same.
//
//   due -> noticed (a request in its record) -> ready once its dependencies are -> a run
import {
  type JobRecord,
  type RunCause,
  type RunEntry,
  type RunRequest,
  withEntry,
} from '../../shared/contract/job-record.ts';
import type { Cron } from './cron.ts';
import type { JobHead } from './job-head.ts';

/** A time is missed when so much has passed since that nobody can have been there. */
export const LATE_MS = 60_000;
/** Times are counted up to this many. */
export const COUNTED_MAX = 1000;
/** So many processes may end while they have a run, before it counts as failed. */
export const ATTEMPTS_MAX = 3;

const LOOK_BACK_MS = [60_000, 3_600_000, 86_400_000, 32 * 86_400_000];

export interface Due {
  /** The last time that has come, ms. */
  readonly latestMs: number;
  /** How many have, at most COUNTED_MAX. */
  readonly count: number;
}

/** Times after `settledMs`, up to `nowMs`. Undefined: there are none. */
export function dueTimes(cron: Cron, settledMs: number, nowMs: number): Due | undefined {
  let count = 0;
  let latestMs = settledMs;
  for (let next = cron.next(settledMs); next !== undefined && next <= nowMs; next = cron.next(next)) {
    latestMs = next;
    if (++count >= COUNTED_MAX) return { latestMs: lastBefore(cron, nowMs, latestMs), count };
  }
  return count === 0 ? undefined : { latestMs, count };
}

/** The last time up to `nowMs`; of one so often due that it was not counted to the end. */
function lastBefore(cron: Cron, nowMs: number, knownMs: number): number {
  for (const back of LOOK_BACK_MS) {
    let latest: number | undefined;
    const from = Math.max(knownMs, nowMs - back);
    for (let next = cron.next(from); next !== undefined && next <= nowMs; next = cron.next(next))
      latest = next;
    if (latest !== undefined) return latest;
  }
  return knownMs;
}

type Scheduled = Pick<JobHead, 'catchUp'>;

/**
 * The record after a look at the clock: a time that has come is requested, or skipped. The same reference when there is
 * nothing to note. `id`: of the request.
 */
export function noticed(
  job: Scheduled,
  cron: Cron | undefined,
  record: JobRecord,
  nowMs: number,
  id: string,
): JobRecord {
  if (record.settledMs === 0) return { ...record, settledMs: nowMs };
  // Of a run under way its owner settles what comes meanwhile.
  if (!cron || record.open) return record;
  const due = dueTimes(cron, record.settledMs, nowMs);
  if (!due) return record;
  const { latestMs, count } = due;
  const settled = { ...record, settledMs: latestMs };
  const { request } = record;
  if (request) return { ...settled, request: { ...request, missed: request.missed + count } };
  const isLate = nowMs - latestMs > LATE_MS;
  if (isLate && job.catchUp === 'skip') return skipped(settled, due, nowMs);
  const cause: RunCause = isLate ? 'catch_up' : 'schedule';
  return { ...settled, request: { id, cause, dueMs: latestMs, atMs: nowMs, missed: count - 1 } };
}

function skipped(record: JobRecord, { latestMs, count }: Due, nowMs: number): JobRecord {
  const run = record.lastRun + 1;
  const entry: RunEntry = {
    ...nothingDone(run, { cause: 'catch_up', dueMs: latestMs }, nowMs),
    state: 'skipped',
    error: null,
    missed: count,
  };
  return withEntry({ ...record, lastRun: run }, entry);
}

/** A run that never began. */
export function refused(record: JobRecord, request: RunRequest, reason: string, nowMs: number): JobRecord {
  const run = record.lastRun + 1;
  const entry: RunEntry = {
    ...nothingDone(run, request, nowMs),
    state: 'refused',
    error: reason,
    missed: request.missed,
  };
  const answered = { id: request.id, run };
  return withEntry({ ...record, lastRun: run, request: null, answered }, entry);
}

function nothingDone(run: number, { cause, dueMs }: Pick<RunRequest, 'cause' | 'dueMs'>, nowMs: number) {
  const nothing = { rows: null, written: null, removed: null, unusable: null };
  const times = { dueMs, startedMs: nowMs, endedMs: nowMs };
  return { run, cause, ...times, owner: '', attempt: 0, through: 0, ...nothing, overlapped: 0 };
}

export interface Dependency {
  readonly name: string;
  readonly cron: Cron | undefined;
  readonly record: JobRecord;
}

export type Readiness =
  | { readonly kind: 'ready' }
  /** Until this job is done. */
  | { readonly kind: 'waiting'; readonly for: string }
  /** This job must run first, and nobody has asked for it yet. */
  | { readonly kind: 'ask'; readonly for: string }
  | { readonly kind: 'refused'; readonly reason: string };

/**
 * Whether a run that is requested may begin. A dependency with a schedule of its own counts as done when its last run
 * succeeded and none is due; one without is run anew for each request.
 */
export function readiness(
  request: RunRequest,
  dependencies: readonly Dependency[],
  waitMaxMs: number,
  nowMs: number,
): Readiness {
  let waiting: Readiness = { kind: 'ready' };
  for (const { name, cron, record } of dependencies) {
    const state = stateOf(record, cron, request.atMs, nowMs);
    if (state === 'done') continue;
    if (state === 'failed')
      return { kind: 'refused', reason: `${name}, on which it depends, failed: ${lastError(record)}` };
    if (nowMs - request.atMs > waitMaxMs)
      return { kind: 'refused', reason: `${name}, on which it depends, was not done in time` };
    if (waiting.kind !== 'ask') waiting = { kind: state === 'absent' ? 'ask' : 'waiting', for: name };
  }
  return waiting;
}

function stateOf(
  record: JobRecord,
  cron: Cron | undefined,
  sinceMs: number,
  nowMs: number,
): 'done' | 'failed' | 'under way' | 'absent' {
  if (record.open || record.request) return 'under way';
  if (cron && record.settledMs > 0 && dueTimes(cron, record.settledMs, nowMs)) return 'under way';
  const last = record.history.findLast(({ state }) => state !== 'skipped');
  if (!last || (!cron && last.startedMs < sinceMs)) return 'absent';
  return last.state === 'succeeded' ? 'done' : 'failed';
}

function lastError({ history }: JobRecord): string {
  return history.findLast(({ error }) => error !== null)?.error?.split('\n')[0] ?? 'unknown';
}
