// What is known of a batch job, stored in the profile bucket: under `h.job.<name>` its runs, under `h.joblog.<name>.<slot>` the
// log of one of its last runs, under `h.jobs` which jobs there are. The owner of a run writes its record at the revision that it
// wrote last: of two processes that both think that a run is theirs, one is refused.
import { pack, unpack } from 'msgpackr';

/** What set a run off. */
export const RUN_CAUSES = ['schedule', 'catch_up', 'request', 'dependency'] as const;
export type RunCause = (typeof RUN_CAUSES)[number];

/** `skipped`: the time passed while nobody was there, and the job does not catch up. `refused`: what it needs was not there. */
export const RUN_STATES = ['succeeded', 'failed', 'skipped', 'refused'] as const;
export type RunState = (typeof RUN_STATES)[number];

/** A run under way. */
export interface OpenRun {
  readonly run: number;
  readonly cause: RunCause;
  /** When it was to begin, ms. */
  readonly dueMs: number;
  /** When it was noticed that it is due, ms. */
  readonly noticedMs: number;
  /** Times before, for which there was no run. */
  readonly missed: number;
  /** When it began first: its `now`, also for who takes it over, ms. */
  readonly startedMs: number;
  /** Process that computes it. */
  readonly owner: string;
  /** 1, and one more with everybody who took it over. */
  readonly attempt: number;
  /** Position in the event log up to which it counts events. */
  readonly through: number;
}

/** A run that is over. */
export interface RunEntry {
  readonly run: number;
  readonly cause: RunCause;
  readonly state: RunState;
  readonly dueMs: number;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly owner: string;
  readonly attempt: number;
  readonly through: number;
  /** Rows of the table after it, rows that were written and removed, rows whose key cannot be used; null: it did not get so far. */
  readonly rows: number | null;
  readonly written: number | null;
  readonly removed: number | null;
  readonly unusable: number | null;
  /** Why it did not succeed. */
  readonly error: string | null;
  /** Times before it for which there was no run; of what was skipped all of them. */
  readonly missed: number;
  /** Times that came while it was running: no other run was begun. */
  readonly overlapped: number;
}

/** A run that is to begin as soon as a process is free and what it depends on is there. */
export interface RunRequest {
  readonly id: string;
  readonly cause: RunCause;
  readonly dueMs: number;
  /** When it was noticed, ms. */
  readonly atMs: number;
  /** Times before, for which there was no run. */
  readonly missed: number;
}

export interface JobRecord {
  readonly v: 1;
  /** Number of the last run that was begun or settled; 0: none. */
  readonly lastRun: number;
  /** Every time up to this one that the schedule named was run, or settled otherwise, ms. */
  readonly settledMs: number;
  readonly open: OpenRun | null;
  readonly request: RunRequest | null;
  /** The last request that was taken up, and its run: for who waits for it. */
  readonly answered: { readonly id: string; readonly run: number } | null;
  /** Oldest first. */
  readonly history: readonly RunEntry[];
}

export const NO_JOB_RECORD: JobRecord = {
  v: 1,
  lastRun: 0,
  settledMs: 0,
  open: null,
  request: null,
  answered: null,
  history: [],
};

export interface LogLine {
  readonly atMs: number;
  readonly text: string;
}

export interface JobLog {
  readonly v: 1;
  readonly run: number;
  readonly lines: readonly LogLine[];
  /** Lines that did not fit. */
  readonly dropped: number;
}

/** What others may know of a job without its file. */
export interface KnownJob {
  readonly cron: string | null;
  readonly timezone: string;
  readonly table: string;
  readonly dependsOn: readonly string[];
  readonly file: string;
  /** Of the file: processes with other files tell other digests. */
  readonly digest: string;
  /** The process that has it. */
  readonly by: string;
}

export interface JobIndex {
  readonly v: 1;
  readonly jobs: Readonly<Record<string, KnownJob>>;
  /** By process: what is wrong with files of its folder. */
  readonly problems: Readonly<Record<string, readonly string[]>>;
}

export const NO_JOB_INDEX: JobIndex = { v: 1, jobs: {}, problems: {} };

/** Runs that a job remembers. */
export const RUNS_KEPT = 100;
/** Runs whose log is kept. */
export const LOGS_KEPT = 20;
export const LOG_LINES_MAX = 500;
export const LOG_LINE_CHARACTERS_MAX = 500;
/** Longest text of an error that is kept. */
export const ERROR_CHARACTERS_MAX = 2000;

export type JobRecords = JobRecord | JobLog | JobIndex;

export function encodeJobRecord(record: JobRecords): Uint8Array {
  return pack(record);
}

/** Throws when the bytes are not such a record of a known version. */
export function decodeJobRecord<T extends JobRecords>(bytes: Uint8Array): T {
  const raw: unknown = unpack(bytes);
  if (typeof raw !== 'object' || raw === null || !('v' in raw) || raw.v !== 1)
    throw new Error('not a record of a batch job of a known version');
  return raw as T;
}

/** The record with one more run in its history, of which the oldest go. */
export function withEntry(record: JobRecord, entry: RunEntry): JobRecord {
  return { ...record, history: [...record.history, entry].slice(-RUNS_KEPT) };
}
