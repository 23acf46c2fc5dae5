// A latch that a loop waits on: a wake that comes while nobody waits is remembered, several count as one.
import type { Clock } from '../../shared/kernel/clock.ts';

const REPLACED = new Error('another alarm is set');

export class Wakeup {
  #woken = false;
  #resolve: (() => void) | undefined;
  /** The alarm that is set: kept from wait to wait, for a loop that is woken often would set thousands a second. */
  #alarm: { readonly atMs: number; readonly stop: AbortController } | undefined;

  wake(): void {
    this.#woken = true;
    this.#resolve?.();
  }

  /** Resolves at the next wake (or at once for one that came before), or after `timeoutMs` at the latest. */
  async wait(clock: Clock, timeoutMs: number): Promise<void> {
    if (!this.#woken) {
      this.#setAlarm(clock, clock.elapsedMs() + timeoutMs);
      await new Promise<void>((resolve) => {
        this.#resolve = resolve;
      });
      this.#resolve = undefined;
    }
    this.#woken = false;
  }

  /** Stops the alarm: nobody waits any more. */
  close(): void {
    this.#alarm?.stop.abort(REPLACED);
    this.#alarm = undefined;
  }

  #setAlarm(clock: Clock, atMs: number): void {
    if (this.#alarm && this.#alarm.atMs <= atMs) return;
    this.close();
    const stop = new AbortController();
    const alarm = { atMs, stop };
    this.#alarm = alarm;
    const ring = () => {
      if (this.#alarm === alarm) this.#alarm = undefined;
      this.wake();
    };
    clock.sleep(Math.max(0, atMs - clock.elapsedMs()), stop.signal).then(ring, () => {});
  }
}
