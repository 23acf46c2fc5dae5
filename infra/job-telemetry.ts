// What runners of jobs tell of themselves, as Prometheus metrics and log lines.
import { Counter, Gauge, type Registry } from 'prom-client';
import type { JobTelemetry } from '../batch/jobs/job-telemetry.ts';
import type { Log } from './log.ts';

/** Metrics of all jobs of a process, one registry: call once. */
export function createJobMetrics(registry: Registry) {
  const registers = [registry];
  const labelNames = ['segment', 'job'] as const;
  const gauge = (name: string, help: string) =>
    new Gauge({ name: `stitchwork_job_${name}`, help, labelNames, registers });
  return {
    runs: new Counter({
      name: 'stitchwork_job_runs_total',
      help: 'Runs of batch jobs that are over, by how they ended.',
      labelNames: [...labelNames, 'state'] as const,
      registers,
    }),
    lost: new Counter({
      name: 'stitchwork_job_lost_runs_total',
      help: 'Runs that another process took over while they went on here.',
      labelNames,
      registers,
    }),
    failures: new Counter({
      name: 'stitchwork_job_failures_total',
      help: 'Times that the runner of jobs could not look at them.',
      labelNames: ['segment'] as const,
      registers,
    }),
    running: gauge('running', 'Whether this process has a run of the job.'),
    lastSuccess: gauge('last_success_timestamp_seconds', 'When a run succeeded here last, Unix time.'),
    rows: gauge('rows', 'Rows that the last run brought into force.'),
    seconds: gauge('duration_seconds', 'How long the last run took.'),
  };
}

export type JobMetrics = ReturnType<typeof createJobMetrics>;

export function createJobTelemetry(metrics: JobMetrics, segment: string, log: Log): JobTelemetry {
  return {
    began(job, run, attempt) {
      metrics.running.set({ segment, job }, 1);
      log.info({ job, run, attempt }, 'job began');
    },
    ended(job, entry) {
      const { run, state, cause, startedMs, endedMs, rows, error } = entry;
      const seconds = (endedMs - startedMs) / 1000;
      metrics.running.set({ segment, job }, 0);
      metrics.runs.inc({ segment, job, state });
      if (state === 'succeeded') {
        metrics.lastSuccess.set({ segment, job }, endedMs / 1000);
        metrics.rows.set({ segment, job }, rows ?? 0);
        metrics.seconds.set({ segment, job }, seconds);
      }
      if (error === null) log.info({ job, run, cause, state, rows, seconds }, 'job ended');
      else log.error({ job, run, cause, state, reason: error }, 'job did not succeed');
    },
    lost(job, run) {
      metrics.running.set({ segment, job }, 0);
      metrics.lost.inc({ segment, job });
      log.warn({ job, run }, 'another process took the run over');
    },
    problems(problems) {
      log.warn({ problems }, 'files of the job folder cannot run');
    },
    failed(error) {
      metrics.failures.inc({ segment });
      log.error({ err: error }, 'jobs could not be looked at');
    },
  };
}
