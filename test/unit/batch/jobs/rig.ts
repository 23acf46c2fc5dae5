// Runners of jobs over ports in memory and a clock that a test drives: processes that look when the test says so, and
// computations that end when it says so.
import { createMemoryStorage } from '../../../../batch/archive/memory-storage.ts';
import type { Computation, Computed } from '../../../../batch/jobs/compute-job.ts';
import type { Job } from '../../../../batch/jobs/job-folder.ts';
import { HEAD_DEFAULTS } from '../../../../batch/jobs/job-head.ts';
import { JobRunner } from '../../../../batch/jobs/job-runner.ts';
import { readJobRecord, writeRecord } from '../../../../batch/jobs/job-store.ts';
import { silentJobTelemetry } from '../../../../batch/jobs/job-telemetry.ts';
import type { SegmentConfig } from '../../../../shared/contract/config/segment-config.ts';
import { type JobRecord, NO_JOB_RECORD } from '../../../../shared/contract/job-record.ts';
import { recordKeys } from '../../../../shared/contract/names.ts';
import type { Clock } from '../../../../shared/kernel/clock.ts';
import { seededRandom } from '../../../../shared/kernel/random.ts';
import type { CurrentSnapshot } from '../../../../shared/ports/snapshots.ts';
import { FakeStore } from '../../../runtime/fakes.ts';
import { TestPresence } from '../rig.ts';

export const T0 = Date.parse('2026-11-23T10:00:00Z');
export const MINUTE_MS = 60_000;
export const HOUR_MS = 3_600_000;

/** Time that passes when the test says so. */
export class DrivenClock implements Clock {
  ms = T0;
  readonly #sleepers = new Set<{ readonly untilMs: number; readonly wake: () => void }>();

  nowMs(): number {
    return this.ms;
  }

  elapsedMs(): number {
    return this.ms;
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const abort = () => {
        this.#sleepers.delete(sleeper);
        reject(signal?.reason);
      };
      const wake = () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      const sleeper = { untilMs: this.ms + delayMs, wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  /** Wakes everybody on the way, in order. */
  async pass(ms: number): Promise<void> {
    const end = this.ms + ms;
    for (;;) {
      await settled();
      const next = [...this.#sleepers].sort((a, b) => a.untilMs - b.untilMs)[0];
      if (!next || next.untilMs > end) break;
      this.ms = Math.max(this.ms, next.untilMs);
      this.#sleepers.delete(next);
      next.wake();
    }
    this.ms = end;
    await settled();
  }
}

/** Until everything that can go on has. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 12; i++) await new Promise((resolve) => setImmediate(resolve));
}

export function jobOf(name: string, part: Partial<Job> = {}): Job {
  const file = `${name}.sql`;
  const text = { kind: 'sql', file, path: file, body: 'SELECT 1', digest: JSON.stringify(part) } as const;
  return { ...HEAD_DEFAULTS, name, table: name, ...text, ...part };
}

export interface Call extends Computation {
  readonly owner: string;
  end(rows: number): void;
  /** Without asking once more whether the run is still its own. */
  endBlindly(rows: number): void;
  fail(reason: string): void;
}

export class Rig {
  readonly clock = new DrivenClock();
  readonly store = new FakeStore();
  readonly presence = new TestPresence();
  readonly current: Record<string, CurrentSnapshot> = {};
  /** Computations, in the order of their beginning. */
  readonly calls: Call[] = [];
  /** What runners told: `<process> <what> <job>`. */
  readonly told: string[] = [];
  jobs: readonly Job[] = [];

  runner(owner: string, store = this.store): JobRunner {
    const config = { segment: 'shop', batchTables: [] } as unknown as SegmentConfig;
    this.presence.there.add(owner);
    return new JobRunner({
      store,
      presence: this.presence,
      clock: this.clock,
      random: seededRandom(owner.length),
      storage: createMemoryStorage(),
      snapshots: { current: async () => this.current },
      telemetry: {
        ...silentJobTelemetry,
        ended: (job, { state }) => void this.told.push(`${owner} ${state} ${job}`),
        lost: (job) => void this.told.push(`${owner} lost ${job}`),
        failed: (error) => {
          throw error;
        },
      },
      owner,
      config: () => config,
      readFolder: async () => ({ jobs: this.jobs, problems: [] }),
      compute: (run) => this.#compute(owner, run),
      wakeByCron: () => () => {},
    });
  }

  async record(name: string): Promise<JobRecord> {
    return (await readJobRecord(this.store, name)).record;
  }

  async put(name: string, part: Partial<JobRecord>): Promise<void> {
    const held = await readJobRecord(this.store, name);
    const record = { ...NO_JOB_RECORD, ...held.record, ...part };
    await writeRecord(this.store, recordKeys.batchJob(name), held, record, async () => {});
  }

  async ask(name: string): Promise<void> {
    const atMs = this.clock.ms;
    await this.put(name, {
      request: { id: `asked-${atMs}`, cause: 'request', dueMs: atMs, atMs, missed: 0 },
    });
  }

  call(index: number): Call {
    const call = this.calls[index];
    if (!call) throw new Error(`computation ${index} has not begun`);
    return call;
  }

  #compute(owner: string, run: Computation): Promise<Computed> {
    return new Promise((resolve, reject) => {
      this.calls.push({
        ...run,
        owner,
        // As a load: what is not ours any more comes into no force.
        end: (rows) => {
          const done = () => resolve({ run: 1, rows, written: rows, removed: 0, unusable: 0 });
          run.confirm().then(done, reject);
        },
        endBlindly: (rows) => resolve({ run: 1, rows, written: rows, removed: 0, unusable: 0 }),
        fail: (reason) => reject(new Error(reason)),
      });
      run.signal.addEventListener('abort', () => reject(run.signal.reason));
    });
  }
}
