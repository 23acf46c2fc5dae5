// The most frequent of very many keys in bounded memory: the space-saving sketch (Metwally, Agrawal, El Abbadi 2005) over
// the last one to two windows of time. A count is never told higher than it was.
import type { Clock } from '../shared/kernel/clock.ts';

export interface HotKey {
  readonly key: string;
  /** It was seen at least so often. */
  readonly count: number;
}

const SLOTS = 64;
const WINDOW_MS = 60_000;

/** One sketch: any key seen more often than 1/64 of all is in it. */
export class SpaceSaving {
  readonly #slotOf = new Map<string, number>();
  readonly #keys: string[] = [];
  readonly #counts: number[] = [];
  /** By how much a count may be too high: what the slot's last key had when it was replaced. */
  readonly #errors: number[] = [];
  readonly #slots: number;
  /** The smallest count; every slot before the cursor has a greater one, so that most misses look at one slot only. */
  #least = 1;
  #cursor = 0;

  constructor(slots: number = SLOTS) {
    this.#slots = slots;
  }

  add(key: string): void {
    const known = this.#slotOf.get(key);
    if (known !== undefined) {
      this.#counts[known]! += 1;
      return;
    }
    if (this.#keys.length < this.#slots) {
      this.#slotOf.set(key, this.#keys.length);
      this.#keys.push(key);
      this.#counts.push(1);
      this.#errors.push(0);
      return;
    }
    const slot = this.#smallest();
    this.#slotOf.delete(this.#keys[slot]!);
    this.#slotOf.set(key, slot);
    this.#keys[slot] = key;
    this.#errors[slot] = this.#counts[slot]!;
    this.#counts[slot]! += 1;
  }

  /** Every key of the sketch with its certain count. */
  certain(): readonly HotKey[] {
    return this.#keys.map((key, slot) => ({ key, count: this.#counts[slot]! - this.#errors[slot]! }));
  }

  /** A slot with the smallest count; counts only grow. */
  #smallest(): number {
    for (; this.#cursor < this.#counts.length; this.#cursor++) {
      if (this.#counts[this.#cursor] === this.#least) return this.#cursor;
    }
    this.#least = Math.min(...this.#counts);
    this.#cursor = this.#counts.indexOf(this.#least);
    return this.#cursor;
  }
}

/** The hottest keys of the current window and the one before it. */
export class HotKeys {
  readonly #clock: Clock;
  #current = new SpaceSaving();
  #previous = new SpaceSaving();
  #startedAtMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedAtMs = clock.elapsedMs();
  }

  add(key: string): void {
    this.addAll([key]);
  }

  addAll(keys: Iterable<string>): void {
    this.#turn();
    for (const key of keys) this.#current.add(key);
  }

  /** Up to `max` keys that were seen more than once, most first. */
  top(max: number): readonly HotKey[] {
    this.#turn();
    const counts = new Map<string, number>();
    for (const { key, count } of [...this.#previous.certain(), ...this.#current.certain()]) {
      counts.set(key, (counts.get(key) ?? 0) + count);
    }
    return [...counts]
      .filter(([, count]) => count > 1)
      .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
      .slice(0, max)
      .map(([key, count]) => ({ key, count }));
  }

  #turn(): void {
    const nowMs = this.#clock.elapsedMs();
    if (nowMs - this.#startedAtMs < WINDOW_MS) return;
    this.#previous = nowMs - this.#startedAtMs < 2 * WINDOW_MS ? this.#current : new SpaceSaving();
    this.#current = new SpaceSaving();
    this.#startedAtMs = nowMs;
  }
}
