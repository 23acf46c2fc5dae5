// A latch that a loop waits on: a wake that comes while nobody waits is remembered, several count as one.
import type { Clock } from '../../shared/kernel/clock.ts';

export class Wakeup {
  #woken = false;
  #resolve: (() => void) | undefined;

  wake(): void {
    this.#woken = true;
    this.#resolve?.();
  }

  /** Resolves at the next wake (or at once for one that came before), or after `timeoutMs`. */
  async wait(clock: Clock, timeoutMs: number): Promise<void> {
    if (!this.#woken) {
      const timer = new AbortController();
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
        clock.sleep(timeoutMs, timer.signal).then(resolve, () => {});
      });
      timer.abort(new Error('woken'));
      this.#resolve = undefined;
    }
    this.#woken = false;
  }
}
