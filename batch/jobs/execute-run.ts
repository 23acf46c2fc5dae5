// From a claimed run to its end in the record: computed within its time, given up when it is taken over, given back when the
// process stops. What a process before has already brought into force is not computed again.
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { ERROR_CHARACTERS_MAX, type RunEntry } from '../../shared/contract/job-record.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import { errorText } from '../../shared/kernel/errors.ts';
import type { Snapshots } from '../../shared/ports/snapshots.ts';
import { type Computation, type Computed, snapshotBy } from './compute-job.ts';
import type { Cron } from './cron.ts';
import { ATTEMPTS_MAX, dueTimes } from './due.ts';
import type { Job } from './job-folder.ts';
import type { JobTelemetry } from './job-telemetry.ts';
import { type OwnedRun, RunLost } from './owned-run.ts';

export interface ExecuteDeps {
  readonly clock: Clock;
  readonly config: () => SegmentConfig;
  readonly snapshots: Pick<Snapshots, 'current'>;
  readonly compute: (run: Computation) => Promise<Computed>;
  readonly telemetry: JobTelemetry;
  /** Aborted when the process is to stop. */
  readonly stop: AbortSignal;
}

interface Scheduled {
  readonly job: Job;
  readonly cron: Cron | undefined;
}

type Outcome =
  | { readonly kind: 'succeeded'; readonly computed: Pick<Computed, 'rows' | 'unusable'> & Partial<Computed> }
  | { readonly kind: 'failed'; readonly error: string }
  | { readonly kind: 'lost' }
  | { readonly kind: 'stopped' };

/** Throws STORE_UNAVAILABLE when the end cannot be stored: then somebody takes the run over. */
export async function executeRun(
  deps: ExecuteDeps,
  run: OwnedRun,
  scheduled: Scheduled,
  beatMs: number,
): Promise<void> {
  const { telemetry, clock } = deps;
  const { open, name } = run;
  telemetry.began(name, open.run, open.attempt);
  try {
    if (open.attempt > 1) await run.readLog();
    run.log(`run ${open.run} (${open.cause}), attempt ${open.attempt}, on ${open.owner}`);
    const outcome = await outcomeOf(deps, run, scheduled.job, beatMs);
    if (outcome.kind === 'lost') throw new RunLost();
    if (outcome.kind === 'stopped') {
      run.log('given back: the process stops');
      await run.release();
      return;
    }
    const nowMs = clock.nowMs();
    const due = scheduled.cron && dueTimes(scheduled.cron, run.record.settledMs, nowMs);
    const entry = entryOf(run, outcome, nowMs, due?.count ?? 0);
    run.log(entry.error === null ? `succeeded: ${entry.rows} rows in force` : `failed: ${entry.error}`);
    if (due) run.log(`${due.count} times came meanwhile: no other run was begun`);
    await run.end(entry, due?.latestMs ?? run.record.settledMs);
    telemetry.ended(name, entry);
  } catch (error) {
    if (!(error instanceof RunLost)) throw error;
    telemetry.lost(name, open.run);
  }
}

async function outcomeOf(deps: ExecuteDeps, run: OwnedRun, job: Job, beatMs: number): Promise<Outcome> {
  const { open } = run;
  const inForce = (await deps.snapshots.current())[job.table];
  if (inForce?.by === snapshotBy(job.name, open.run)) {
    run.log('its rows are in force already');
    return { kind: 'succeeded', computed: { rows: inForce.rows, unusable: 0 } };
  }
  if (open.attempt > ATTEMPTS_MAX)
    return { kind: 'failed', error: `${ATTEMPTS_MAX} processes ended while they had this run` };
  const over = new AbortController();
  const stopping = () => over.abort(new Error('the process stops'));
  deps.stop.addEventListener('abort', stopping, { once: true });
  const beating = beat(deps, run, job, beatMs, over);
  try {
    deps.stop.throwIfAborted();
    const log = (text: string) => run.log(text);
    const confirm = () => run.confirm();
    const config = deps.config();
    const computed = await deps.compute({ job, open, config, signal: over.signal, log, confirm });
    return { kind: 'succeeded', computed };
  } catch (error) {
    if (error instanceof RunLost || over.signal.reason instanceof RunLost) return { kind: 'lost' };
    if (deps.stop.aborted) return { kind: 'stopped' };
    return { kind: 'failed', error: errorText(error).slice(0, ERROR_CHARACTERS_MAX) };
  } finally {
    over.abort(new Error('over'));
    deps.stop.removeEventListener('abort', stopping);
    await beating;
  }
}

/** Until the run is over: its log is stored, its time is counted, and that it is still ours is made sure of. */
async function beat(
  { clock }: ExecuteDeps,
  run: OwnedRun,
  job: Job,
  beatMs: number,
  over: AbortController,
): Promise<void> {
  const endMs = clock.elapsedMs() + job.timeoutMs;
  while (!over.signal.aborted) {
    const leftMs = endMs - clock.elapsedMs();
    if (leftMs <= 0) {
      over.abort(new Error(`it took longer than its timeout of ${job.timeoutMs / 1000} s`));
      return;
    }
    await clock.sleep(Math.min(beatMs, leftMs), over.signal).catch(() => {});
    if (over.signal.aborted) return;
    try {
      await run.confirm();
      await run.writeLog();
    } catch (error) {
      // A store that gives no answer now is asked again.
      if (error instanceof RunLost) over.abort(error);
    }
  }
}

function entryOf(
  { open }: OwnedRun,
  outcome: Extract<Outcome, { readonly kind: 'succeeded' | 'failed' }>,
  nowMs: number,
  overlapped: number,
): RunEntry {
  const { run, cause, dueMs, startedMs, owner, attempt, through, missed } = open;
  const computed = outcome.kind === 'succeeded' ? outcome.computed : undefined;
  return {
    ...{ run, cause, dueMs, startedMs, owner, attempt, through, missed, overlapped },
    state: outcome.kind,
    endedMs: nowMs,
    rows: computed?.rows ?? null,
    written: computed?.written ?? null,
    removed: computed?.removed ?? null,
    unusable: computed?.unusable ?? null,
    error: outcome.kind === 'failed' ? outcome.error : null,
  };
}
