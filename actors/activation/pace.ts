// Keeps a number of starts in a time: even spacing, with a second's worth at once after a pause. Pure but for what it counts.
const BURST_MS = 1000;

export class Pace {
  readonly #everyMs: number;
  readonly #slackMs: number;
  /** When the next start would be due if all came evenly. */
  #dueMs = Number.NEGATIVE_INFINITY;

  constructor(count: number, perMs: number) {
    this.#everyMs = perMs / count;
    this.#slackMs = Math.max(0, BURST_MS - this.#everyMs);
  }

  /** Takes the next start; how long to wait for it. */
  take(nowMs: number): number {
    const dueMs = Math.max(this.#dueMs, nowMs - this.#slackMs);
    this.#dueMs = dueMs + this.#everyMs;
    return Math.max(0, dueMs - nowMs);
  }
}
