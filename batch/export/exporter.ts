// Exports on a schedule, for as long as the process lives: of several batch processes one writes an export, and another does
// it when that one dies on the way. Times that passed while nobody was there count as one.

import { recordKeys } from '../../shared/contract/names.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import type { Presence } from '../../shared/ports/presence.ts';
import { Duty, type DutyDeps, DutyLost, readDuty } from '../duty.ts';
import type { Cron } from '../jobs/cron.ts';
import { dueTimes } from '../jobs/due.ts';
import type { Exported } from './write-export.ts';

export interface ExporterDeps extends DutyDeps {
  readonly presence: Presence;
  readonly clock: Clock;
  readonly owner: string;
  readonly cron: Cron;
  /** Writes the export of an instant; undefined: it is there already. */
  readonly write: (dueMs: number, signal: AbortSignal) => Promise<Exported | undefined>;
  readonly telemetry: ExportTelemetry;
}

export interface ExportTelemetry {
  exported(exported: Exported, seconds: number): void;
  failed(error: unknown): void;
}

/** Times up to this one are dealt with. */
interface State {
  readonly settledMs: number;
}

const POLL_MS = 1000;
const AGAIN_AFTER_MS = 60_000;

export class Exporter {
  readonly #deps: ExporterDeps;
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(deps: ExporterDeps) {
    this.#deps = deps;
  }

  start(): void {
    const gone = this.#deps.presence.answer(this.#deps.owner);
    this.#loop = this.#run().finally(gone);
  }

  /** An export under way is broken off, and written by whoever looks next. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('the process stopped'));
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, telemetry } = this.#deps;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      let pauseMs = POLL_MS;
      try {
        await this.look();
      } catch (error) {
        if (!signal.aborted && !(error instanceof DutyLost)) {
          telemetry.failed(error);
          pauseMs = AGAIN_AFTER_MS;
        }
      }
      await clock.sleep(pauseMs, signal).catch(() => {});
    }
  }

  /** Writes an export if one is due and nobody else does. Throws what it could not be written for. */
  async look(): Promise<void> {
    const { clock, cron, owner } = this.#deps;
    const { signal } = this.#stop;
    const nowMs = clock.nowMs();
    const known = await readDuty<State>(this.#deps, recordKeys.exports);
    if (known && !dueTimes(cron, known.state.settledMs, nowMs)) return;
    const duty = await Duty.claim<State>(this.#deps, recordKeys.exports, owner, { settledMs: nowMs }, signal);
    if (!duty) return;
    try {
      const due = dueTimes(cron, duty.state.settledMs, nowMs);
      if (due) await this.#export(duty, due.latestMs);
    } finally {
      // Also when it is broken off: another may begin it at once.
      await duty.release(new AbortController().signal);
    }
  }

  async #export(duty: Duty<State>, dueMs: number): Promise<void> {
    const { clock, telemetry, write } = this.#deps;
    const startedMs = clock.elapsedMs();
    const exported = await write(dueMs, this.#stop.signal);
    await duty.write({ settledMs: dueMs }, this.#stop.signal);
    if (exported) telemetry.exported(exported, (clock.elapsedMs() - startedMs) / 1000);
  }
}
