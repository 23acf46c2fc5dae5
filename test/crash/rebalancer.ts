// A worker that joins and leaves every few seconds, so that shards are handed over all the time.
import { type Random, seededRandom } from '../../shared/kernel/random.ts';
import { type Fleet, until } from './fleet.ts';

const STAY_MIN_MS = 1500;
const STAY_SPAN_MS = 2000;

export class Rebalancer {
  /** How often the worker joined or left. */
  moves = 0;
  readonly #fleet: Fleet;
  readonly #random: Random;
  #stopped = false;
  #running: Promise<void> = Promise.resolve();

  constructor(fleet: Fleet, seed: number) {
    this.#fleet = fleet;
    this.#random = seededRandom(seed ^ 0xba1a);
  }

  /** Never resolves before `stop`; rejects when the worker does not come up or does not leave as it should. */
  run(): Promise<void> {
    this.#running = this.#loop();
    this.#running.catch(() => {});
    return this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running.catch(() => {});
    await this.#fleet.floater?.leave();
  }

  async #loop(): Promise<void> {
    const floater = this.#fleet.floater;
    if (!floater) return;
    while (!this.#stopped) {
      await floater.start();
      this.moves++;
      await this.#stay();
      await floater.leave();
      this.moves++;
      await this.#stay();
    }
  }

  async #stay(): Promise<void> {
    const endMs = Date.now() + STAY_MIN_MS + this.#random.next() * STAY_SPAN_MS;
    const enough = async () => this.#stopped || Date.now() >= endMs;
    await until('the worker stays', 60_000, enough, 100);
  }
}
