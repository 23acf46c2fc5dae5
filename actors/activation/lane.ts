// The lane of one destination: takes activations from the queue, as many at a time as it may, and sees each to an end. It
// shares nothing with other lanes, so that a slow destination delays itself alone.
//
//   queue -> due? pace -> attempt -> log it -> done | again later | dead letter
import { setMaxListeners } from 'node:events';
import type { DestinationConfig } from '../../shared/contract/config/destination-config.ts';
import type { Clock } from '../../shared/kernel/clock.ts';
import type { Random } from '../../shared/kernel/random.ts';
import { type ActivationQueue, HOLD_MS, type QueuedActivation } from '../../shared/ports/activation-queue.ts';
import type { DeliveryLog } from '../../shared/ports/delivery-log.ts';
import { afterFailure, afterSuccess, atTime, type BreakerState, CLOSED } from './breaker.ts';
import { type Carried, carry } from './carry.ts';
import type { DeliveryTelemetry } from './delivery-telemetry.ts';
import type { Destination, Outcome } from './destination.ts';
import { Pace } from './pace.ts';

export interface LaneDeps {
  readonly queue: ActivationQueue;
  readonly log: DeliveryLog;
  readonly clock: Clock;
  readonly random: Random;
  readonly telemetry: DeliveryTelemetry;
  readonly segment: string;
  /** Name of this process. */
  readonly owner: string;
}

/** How often those at work say so: well within what the queue waits. */
const WORKING_EVERY_MS = HOLD_MS / 3;
const RETRY_MS = 500;
/** Attempts under way get so long when the lane stops. */
const STOP_GRACE_MS = 8000;

export class Lane {
  readonly config: DestinationConfig;
  readonly #destination: Destination;
  readonly #deps: LaneDeps;
  readonly #pace: Pace | undefined;
  /** Stops taking. */
  readonly #stop = new AbortController();
  /** Ends attempts. */
  readonly #cut = new AbortController();
  readonly #held = new Map<QueuedActivation, Promise<void>>();
  #breaker: BreakerState = CLOSED;
  #wake: () => void = () => {};
  #loops: Promise<unknown> = Promise.resolve();

  constructor(config: DestinationConfig, destination: Destination, deps: LaneDeps) {
    this.config = config;
    this.#destination = destination;
    this.#deps = deps;
    // One for each delivery under way, and the loops.
    setMaxListeners(config.concurrency * 2 + 10, this.#stop.signal, this.#cut.signal);
    this.#pace = config.rate === null ? undefined : new Pace(config.rate.count, config.rate.perMs);
  }

  start(): void {
    this.#loops = Promise.all([this.#take(), this.#keep()]);
  }

  /** Takes no more; attempts under way get a while to end. What is not done goes to others at once. */
  async stop(): Promise<void> {
    const { clock } = this.#deps;
    this.#stop.abort(new Error('stopped'));
    this.#wake();
    const grace = clock.sleep(STOP_GRACE_MS, this.#cut.signal).then(
      () => this.#cut.abort(new Error('stopped')),
      () => {},
    );
    await Promise.allSettled([...this.#held.values()]);
    this.#cut.abort(new Error('stopped'));
    await Promise.all([grace, this.#loops]);
    this.#destination.close();
  }

  async #take(): Promise<void> {
    const { queue, clock, telemetry } = this.#deps;
    const { name } = this.config;
    while (!this.#stop.signal.aborted) {
      const wanted = this.#wanted();
      if (wanted <= 0) {
        await this.#untilWoken();
        continue;
      }
      const end = await queue.pull(name, wanted, (message) => this.#hold(message), this.#stop.signal);
      if (end === 'over' || this.#stop.signal.aborted) continue;
      telemetry.failed(name, new Error('the queue of activations is out of reach'));
      await clock.sleep(RETRY_MS, this.#stop.signal).catch(() => {});
    }
  }

  /** How many more may be under way now. */
  #wanted(): number {
    this.#setBreaker(atTime(this.#breaker, this.#deps.clock.nowMs()));
    const free = this.config.concurrency - this.#held.size;
    switch (this.#breaker.kind) {
      case 'closed':
        return free;
      case 'trying':
        return 1 - this.#held.size;
      case 'open':
        return 0;
    }
  }

  /** Until something has ended, or an open breaker may try. */
  async #untilWoken(): Promise<void> {
    const { clock } = this.#deps;
    const woken = new AbortController();
    const stop = AbortSignal.any([woken.signal, this.#stop.signal]);
    this.#wake = () => woken.abort(new Error('woken'));
    const waitMs =
      this.#breaker.kind === 'open' ? Math.max(0, this.#breaker.untilMs - clock.nowMs()) : RETRY_MS;
    await clock.sleep(waitMs, stop).catch(() => {});
  }

  #hold(message: QueuedActivation): void {
    const { telemetry } = this.#deps;
    const { name } = this.config;
    const work = this.#carry(message)
      .catch((error: unknown) => {
        telemetry.failed(name, error);
        message.again(RETRY_MS);
      })
      .finally(() => {
        this.#held.delete(message);
        telemetry.inFlight(name, this.#held.size);
        this.#wake();
      });
    this.#held.set(message, work);
    telemetry.inFlight(name, this.#held.size);
  }

  #carry(message: QueuedActivation): Promise<void> {
    const carried: Carried = {
      ...this.#deps,
      config: this.config,
      destination: this.#destination,
      stop: this.#stop.signal,
      cut: this.#cut.signal,
      ready: () => this.#ready(),
      attempted: (outcome) => this.#attempted(outcome),
    };
    return carry(message, carried);
  }

  /** Waits for the pace; how long to wait instead when nothing may be tried now. */
  async #ready(): Promise<number> {
    const { clock } = this.#deps;
    const waitMs = this.#pace?.take(clock.nowMs()) ?? 0;
    if (waitMs > 0) await clock.sleep(waitMs, this.#stop.signal).catch(() => {});
    if (this.#breaker.kind !== 'open') return 0;
    return Math.max(1, this.#breaker.untilMs - clock.nowMs());
  }

  #attempted(outcome: Outcome): void {
    const { clock, random } = this.#deps;
    if (outcome.kind === 'delivered' || outcome.kind === 'rejected') {
      this.#setBreaker(afterSuccess(this.#breaker));
      return;
    }
    const askedMs = Math.min(outcome.retryAfterMs ?? 0, this.config.retry.maxMs);
    this.#setBreaker(afterFailure(this.#breaker, { nowMs: clock.nowMs(), askedMs, random }));
  }

  #setBreaker(state: BreakerState): void {
    if (state.kind !== this.#breaker.kind) this.#deps.telemetry.breaker(this.config.name, state.kind);
    this.#breaker = state;
  }

  /** Says of everything that is under way that it is. */
  async #keep(): Promise<void> {
    const over = this.#cut.signal;
    while (!over.aborted) {
      await this.#deps.clock.sleep(WORKING_EVERY_MS, over).catch(() => {});
      for (const message of this.#held.keys()) message.working();
    }
  }
}
