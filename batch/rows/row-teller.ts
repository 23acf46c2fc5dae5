// Tells profiles of changed rows: of tables that are joined at once, every row that a run changed becomes a message in the
// event log. Never more than a few hundred are waiting there, so that live events keep their pace; where it was broken off,
// by whatever, the next process goes on. A row that is told twice does nothing the second time.
import type { LogEnvelope } from '../../shared/contract/event.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { shardOf } from '../../shared/contract/routing.ts';
import { isStitchworkError, StitchworkError } from '../../shared/kernel/errors.ts';
import { type Applying, awaitApplied } from '../../shared/ports/await-applied.ts';
import type { ChangedRow, ChangedRows } from '../../shared/ports/changed-rows.ts';
import type { EventLogAppender, LogAppend } from '../../shared/ports/event-log.ts';
import type { Presence } from '../../shared/ports/presence.ts';
import type { CurrentSnapshot } from '../../shared/ports/snapshots.ts';
import { Duty, type DutyDeps, readDuty } from '../duty.ts';

export interface ToldTable {
  readonly name: string;
  /** Stitching key by which its rows are found. */
  readonly key: string;
}

export interface RowTellerDeps extends DutyDeps, Applying {
  readonly store: DutyDeps['store'];
  readonly presence: Presence;
  readonly owner: string;
  readonly tables: () => readonly ToldTable[];
  readonly current: () => Promise<Readonly<Record<string, CurrentSnapshot>>>;
  readonly rows: ChangedRows;
  readonly appender: Pick<EventLogAppender, 'append'>;
  readonly telemetry: RowTellerTelemetry;
}

export interface RowTellerTelemetry {
  told(table: string, rows: number): void;
  finished(table: string, run: number): void;
  failed(error: unknown): void;
}

/** How far a table has come. */
interface Progress {
  /** Every row of this run and those before was told. */
  readonly done: number;
  /** The run that is being told, and the position to go on from. */
  readonly target: number;
  readonly from: number;
}
type State = Readonly<Record<string, Progress>>;

/** A fifth of what a worker commits at once: live events have the rest. */
const AT_ONCE = 180;
const APPLIED_TIMEOUT_MS = 60_000;
const POLL_MS = 500;
const NONE: Progress = { done: 0, target: 0, from: 1 };

export class RowTeller {
  readonly #deps: RowTellerDeps;
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(deps: RowTellerDeps) {
    this.#deps = deps;
  }

  start(): void {
    const gone = this.#deps.presence.answer(this.#deps.owner);
    this.#loop = this.#run().finally(gone);
  }

  /** What it interrupts is told again by whoever comes next. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('stopped'));
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#tellAll();
      } catch (error) {
        if (!signal.aborted) this.#deps.telemetry.failed(error);
      }
      await this.#deps.clock.sleep(POLL_MS, signal).catch(() => {});
    }
  }

  /** Tells what there is to tell, if nobody else does. */
  async #tellAll(): Promise<void> {
    const { tables, current, owner } = this.#deps;
    if (tables().length === 0) return;
    const runs = await current();
    const due = (state: State) =>
      tables().filter(({ name }) => (runs[name]?.run ?? 0) > (state[name] ?? NONE).done);
    if (due({}).length === 0) return;
    const duty = await this.#claim(owner, due);
    if (!duty) return;
    for (const table of due(duty.state)) await this.#tell(duty, table, runs[table.name]!.run);
    await duty.release(this.#stop.signal);
  }

  /** Undefined when there is nothing to do, or another does it. */
  async #claim(owner: string, due: (state: State) => readonly ToldTable[]): Promise<Duty<State> | undefined> {
    const key = recordKeys.changedRows;
    const before = await readDuty<State>(this.#deps, key);
    if (before && due(before.state).length === 0) return undefined;
    return Duty.claim<State>(this.#deps, key, owner, {}, this.#stop.signal);
  }

  async #tell(duty: Duty<State>, table: ToldTable, run: number): Promise<void> {
    const { rows, telemetry } = this.#deps;
    const before = duty.state[table.name] ?? NONE;
    const from = before.target === run ? before.from : 1;
    const note = (progress: Progress) =>
      duty.write({ ...duty.state, [table.name]: progress }, this.#stop.signal);
    for await (const batch of rows.since(table.name, before.done, from)) {
      for (let at = 0; at < batch.length; at += AT_ONCE) {
        const part = batch.slice(at, at + AT_ONCE);
        await this.#append(part.map((row) => this.#message(table, row, run)));
        telemetry.told(table.name, part.length);
        await note({ done: before.done, target: run, from: positionAfter(part, batch[at + AT_ONCE]) });
        await this.#untilApplied();
      }
    }
    await note({ done: run, target: run, from: 1 });
    telemetry.finished(table.name, run);
  }

  #message({ name, key }: ToldTable, { encodedValue }: ChangedRow, run: number): LogAppend {
    const body: LogEnvelope = { v: 1, type: 'row', table: name, run, key, encodedValue };
    const shard = shardOf(encodedValue, this.#deps.shards);
    return { shard, source: 'batch', payload: Buffer.from(JSON.stringify(body)) };
  }

  /** Throws LOG_UNAVAILABLE. */
  async #append(messages: readonly LogAppend[]): Promise<void> {
    const outcome = await this.#deps.appender.append(messages);
    // Those of an unknown outcome as well are told again.
    if (outcome.kind !== 'stored')
      throw new StitchworkError('LOG_UNAVAILABLE', `changed rows cannot be told: the log is ${outcome.kind}`);
  }

  /** While workers are behind, changed rows wait here and not in the log. */
  async #untilApplied(): Promise<void> {
    const { log, clock } = this.#deps;
    const { lastSequence } = await log.state();
    const options = { clock, signal: this.#stop.signal, timeoutMs: APPLIED_TIMEOUT_MS };
    for (;;) {
      try {
        await awaitApplied(this.#deps, lastSequence, options);
        return;
      } catch (error) {
        if (!isStitchworkError(error, 'NOT_READY')) throw error;
      }
    }
  }
}

/** Rows of one page have one position: it is left when all of them are told. */
function positionAfter(part: readonly ChangedRow[], next: ChangedRow | undefined): number {
  const { sequence } = part.at(-1)!;
  return next?.sequence === sequence ? sequence : sequence + 1;
}
