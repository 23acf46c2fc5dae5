// What the runner of jobs tells of itself: one function an event, low-cardinality labels.
import type { RunEntry } from '../../shared/contract/job-record.ts';

export interface JobTelemetry {
  began(job: string, run: number, attempt: number): void;
  ended(job: string, entry: RunEntry): void;
  /** Another process took a run over. */
  lost(job: string, run: number): void;
  /** Files of the folder that are no jobs, told when they change. */
  problems(problems: readonly string[]): void;
  failed(error: unknown): void;
}

export const silentJobTelemetry: JobTelemetry = {
  began() {},
  ended() {},
  lost() {},
  problems() {},
  failed() {},
};
