// A run in the hands of this process, from the claim in the job's record to its end there. Every write names the revision of
// the last: whoever took the run over meanwhile is found out by it, and what was computed here is thrown away.
import {
  type JobLog,
  type JobRecord,
  LOG_LINE_CHARACTERS_MAX,
  LOG_LINES_MAX,
  type LogLine,
  type OpenRun,
  type RunEntry,
  withEntry,
} from '../../shared/contract/job-record.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';
import { type HeldRecord, logKey, readJobRecord, readLogSlot, writeRecord } from './job-store.ts';

/** Thrown when another process has the run. */
export class RunLost extends Error {}

export interface OwnedRunDeps {
  readonly store: RecordStore;
  readonly clock: Clock;
  readonly pause: (attempt: number) => Promise<void>;
}

export class OwnedRun {
  readonly name: string;
  readonly open: OpenRun;
  readonly #deps: OwnedRunDeps;
  #held: HeldRecord<JobRecord>;
  readonly #lines: LogLine[] = [];
  #dropped = 0;
  #unwritten = false;

  /** `held`: the record in which the run is ours. */
  constructor(deps: OwnedRunDeps, name: string, held: HeldRecord<JobRecord>, open: OpenRun) {
    this.#deps = deps;
    this.name = name;
    this.#held = held;
    this.open = open;
  }

  get record(): JobRecord {
    return this.#held.record;
  }

  log(text: string): void {
    const atMs = this.#deps.clock.nowMs();
    for (const line of text.split('\n')) {
      if (this.#lines.length >= LOG_LINES_MAX) this.#dropped += 1;
      else this.#lines.push({ atMs, text: line.slice(0, LOG_LINE_CHARACTERS_MAX) });
    }
    this.#unwritten = true;
  }

  /** Throws RunLost when another process has the run. */
  async confirm(): Promise<void> {
    const { revision } = await readJobRecord(this.#deps.store, this.name);
    if (revision !== this.#held.revision) throw new RunLost();
  }

  /** Takes over what a process before has logged of this run. */
  async readLog(): Promise<void> {
    const { record } = await readLogSlot(this.#deps.store, this.name, this.open.run);
    if (record?.run !== this.open.run) return;
    this.#lines.unshift(...record.lines.slice(0, LOG_LINES_MAX));
    this.#dropped += record.dropped;
  }

  /** Stores what was logged since. Of no importance for the run: a conflict leaves it out. */
  async writeLog(): Promise<void> {
    if (!this.#unwritten) return;
    this.#unwritten = false;
    const { run } = this.open;
    const held = await readLogSlot(this.#deps.store, this.name, run);
    if (held.record && held.record.run > run) return;
    const log: JobLog = { v: 1, run, lines: [...this.#lines], dropped: this.#dropped };
    await writeRecord(this.#deps.store, logKey(this.name, run), held, log, this.#deps.pause);
  }

  /** Ends the run. Throws RunLost when another process has it. */
  async end(entry: RunEntry, settledMs: number): Promise<void> {
    await this.writeLog();
    await this.#write({ ...withEntry(this.record, entry), open: null, settledMs });
  }

  /** Gives the run back, for anybody to begin anew. Throws RunLost. */
  async release(): Promise<void> {
    const { cause, dueMs, noticedMs: atMs, missed } = this.open;
    const id = this.record.answered?.id ?? '';
    await this.writeLog();
    await this.#write({ ...this.record, open: null, request: { id, cause, dueMs, atMs, missed } });
  }

  async #write(record: JobRecord): Promise<void> {
    const { store, pause } = this.#deps;
    const outcome = await writeRecord(store, recordKeys.batchJob(this.name), this.#held, record, pause);
    if (outcome.kind === 'conflict') throw new RunLost();
    this.#held = outcome.held;
  }
}
