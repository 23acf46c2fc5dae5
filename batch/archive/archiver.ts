// Keeps the archive of one segment for as long as the process lives: waits for its turn, commits what the log has, puts
// small files together, and begins anew with a fresh claim after whatever went wrong.
//
//   standby -> keeping -> (fenced, failed) -> standby          an archive that does not belong to the log: halted
import { isStitchworkError } from '../../shared/kernel/errors.ts';
import type { LogState } from '../../shared/ports/event-log.ts';
import { Fenced, Keeper, type KeeperDeps, Unsound } from './keeper.ts';

export interface ArchiverOptions {
  /** The log is looked at this often. */
  readonly pollMs: number;
  /** A message waits at most about this long. */
  readonly flushMs: number;
  /** A commit comes at once when so many messages wait, and takes no more than that. */
  readonly rowsMax: number;
  /** A commit closes at this size of payloads. */
  readonly bytesMax: number;
  /** An hour is compacted when so much time has passed since its end. */
  readonly compactGraceMs: number;
  readonly compactBytesMax: number;
  readonly compactFilesMax: number;
  /** How long to wait before the next try to become the keeper. */
  readonly retryMs: number;
}

export const ARCHIVER_DEFAULTS: ArchiverOptions = {
  pollMs: 1000,
  flushMs: 10_000,
  rowsMax: 100_000,
  bytesMax: 64_000_000,
  compactGraceMs: 5 * 60_000,
  compactBytesMax: 512_000_000,
  compactFilesMax: 1000,
  retryMs: 2000,
};

export class Archiver {
  readonly #deps: KeeperDeps;
  readonly #options: ArchiverOptions;
  readonly #stop = new AbortController();
  #loop: Promise<void> = Promise.resolve();

  constructor(deps: KeeperDeps, options: Partial<ArchiverOptions> = {}) {
    this.#deps = deps;
    this.#options = { ...ARCHIVER_DEFAULTS, ...options };
  }

  start(): void {
    const gone = this.#deps.presence.answer(this.#deps.owner);
    this.#loop = this.#run().finally(gone);
  }

  /** Finishes the commit under way and lets another process have the archive. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('stopped'));
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { telemetry, clock } = this.#deps;
    let haltedFor: string | undefined;
    while (!this.#stop.signal.aborted) {
      try {
        const keeper = await Keeper.claim(this.#deps, this.#stop.signal);
        haltedFor = undefined;
        telemetry.state(keeper ? 'keeping' : 'standby');
        if (keeper) await this.#keepUntilStopped(keeper);
      } catch (error) {
        if (this.#stop.signal.aborted) break;
        const reason = haltReason(error);
        telemetry.state(reason === undefined ? 'standby' : 'halted');
        if (error instanceof Fenced) telemetry.fenced();
        else if (reason === undefined) telemetry.failed(error);
        else if (reason !== haltedFor) telemetry.halted(reason);
        haltedFor = reason;
      }
      await clock.sleep(this.#options.retryMs, this.#stop.signal).catch(() => {});
    }
  }

  /** What a stop interrupts leaves at most files that nobody names. */
  async #keepUntilStopped(keeper: Keeper): Promise<void> {
    try {
      await this.#keep(keeper);
    } finally {
      if (this.#stop.signal.aborted) await keeper.release();
    }
  }

  async #keep(keeper: Keeper): Promise<void> {
    const { clock, log, telemetry } = this.#deps;
    const { pollMs, flushMs, rowsMax } = this.#options;
    let waitingSinceMs: number | undefined;
    while (!this.#stop.signal.aborted) {
      const state = await log.state();
      const waiting = this.#look(keeper, state);
      telemetry.lag(waiting);
      if (waiting > 0) waitingSinceMs ??= clock.elapsedMs();
      const isDue = waitingSinceMs !== undefined && clock.elapsedMs() - waitingSinceMs >= flushMs;
      if (waiting > 0 && (isDue || waiting >= rowsMax)) {
        const left = await keeper.commit(state, this.#options);
        telemetry.lag(left);
        if (left === 0) waitingSinceMs = undefined;
        continue;
      }
      if (await this.#compact(keeper)) continue;
      await keeper.check();
      await clock.sleep(pollMs, this.#stop.signal).catch(() => {});
    }
  }

  /** How many messages wait. Throws Unsound when the log is not the one that is archived. */
  #look({ manifest }: Keeper, { createdAt, lastSequence }: LogState): number {
    if (createdAt !== manifest.logId)
      throw new Unsound(
        `the archive is of the log created at ${manifest.logId}, this one was created at ${createdAt}`,
      );
    return lastSequence - manifest.position;
  }

  #compact(keeper: Keeper): Promise<boolean> {
    const { compactGraceMs: graceMs, compactBytesMax: bytesMax, compactFilesMax: filesMax } = this.#options;
    return keeper.compact({ nowMs: this.#deps.clock.nowMs(), graceMs, bytesMax, filesMax });
  }
}

/** Of what does not mend itself, the reason. */
function haltReason(error: unknown): string | undefined {
  if (error instanceof Unsound) return error.message;
  return isStitchworkError(error, 'RECORD_DAMAGED') || isStitchworkError(error, 'INVALID_SETTINGS')
    ? error.message
    : undefined;
}
