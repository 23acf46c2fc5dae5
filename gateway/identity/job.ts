// A split or merge that was asked for, as it is kept in the bucket until it is done and for some time after: whichever
// gateway sees one that nobody works on goes on with it.
import type { MergeCommand, RebuildCommand, SplitBeginCommand } from '../../shared/contract/command.ts';

export interface Job {
  readonly v: 1;
  readonly id: string;
  readonly command: JobCommand;
  readonly by: string;
  readonly askedAtMs: number;
  /** `begun`: profiles are still to be filled. The last three are its ends. */
  readonly step: 'asked' | 'begun' | 'done' | 'refused' | 'failed';
  /** The profiles that it leaves. */
  readonly profileIds: readonly string[];
  /** Why it was refused, or failed. */
  readonly reason?: string;
  readonly detail?: string;
  /** The sides are counted from events of this log time on: those before were gone by then. */
  readonly keptFromMs?: number;
  /** A gateway works on it until then, or longer if it says so in time. */
  readonly heldUntilMs: number;
}

/** Many profiles are counted anew in one reading of the log. */
export interface RebuildMany {
  readonly kind: 'rebuild_many';
  readonly profileIds: readonly string[];
  readonly attributes?: readonly string[] | undefined;
}

export type JobCommand = MergeCommand | SplitBeginCommand | RebuildCommand | RebuildMany;

export function isFinished({ step }: Job): boolean {
  return step !== 'asked' && step !== 'begun';
}

export function encodeJob(job: Job | OpenJobs): Uint8Array {
  return Buffer.from(JSON.stringify(job));
}

/** Throws when the bytes are no job of a known version. */
export function decodeJob(bytes: Uint8Array): Job {
  return versionOne(bytes) as Job;
}

/** Ids of the jobs that are not finished. */
export interface OpenJobs {
  readonly v: 1;
  readonly ids: readonly string[];
}

export function decodeOpenJobs(bytes: Uint8Array): OpenJobs {
  return versionOne(bytes) as OpenJobs;
}

function versionOne(bytes: Uint8Array): unknown {
  const raw: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
  if (typeof raw !== 'object' || raw === null || !('v' in raw) || raw.v !== 1)
    throw new Error('not a job of a known version');
  return raw;
}
