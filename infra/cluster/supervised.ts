// A child process that is started again when it ends without being asked to, as any supervisor would.
import type { Clock } from '../../shared/kernel/clock.ts';
import { errorText } from '../../shared/kernel/errors.ts';
import type { Log } from '../log.ts';

export interface RunningChild {
  readonly pid: number;
  /** Resolves when it has ended, with what it ended with. */
  readonly exited: Promise<string>;
  stop(): Promise<void>;
}

const RESTART_MS = 500;

export class Supervised {
  readonly name: string;
  readonly #start: () => Promise<RunningChild>;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #stopped = new AbortController();
  #child: RunningChild | undefined;
  #watching: Promise<void> = Promise.resolve();

  /** `start` resolves when the process is ready, and leaves none behind when it throws. */
  constructor(name: string, start: () => Promise<RunningChild>, deps: { log: Log; clock: Clock }) {
    this.name = name;
    this.#start = start;
    this.#log = deps.log;
    this.#clock = deps.clock;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves when it is ready; from then on it is kept running until `stop`. */
  async start(): Promise<void> {
    this.#child = await this.#start();
    this.#watching = this.#watch(this.#child);
  }

  async stop(): Promise<void> {
    this.#stopped.abort(new Error('stopped'));
    await this.#child?.stop();
    await this.#watching;
    await this.#child?.stop();
  }

  async #watch(first: RunningChild): Promise<void> {
    const { signal } = this.#stopped;
    let ended = await first.exited;
    while (!signal.aborted) {
      this.#child = undefined;
      this.#log.warn({ process: this.name, ended }, 'ended by itself, starting it again');
      await this.#clock.sleep(RESTART_MS, signal).catch(() => {});
      if (signal.aborted) return;
      try {
        const child = await this.#start();
        this.#child = child;
        if (signal.aborted) return;
        ended = await child.exited;
      } catch (error) {
        ended = errorText(error);
      }
    }
  }
}
