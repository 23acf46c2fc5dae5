// One seeded scheduler with virtual time. It pops one event, runs it, lets the microtasks drain, and only then pops the
// next: everything that happens in a run follows from its seed. No real timer and no socket is used.
import { type Random, randomBelow, seededRandom } from '../../shared/kernel/random.ts';
import { type Faults, NO_FAULTS } from './faults.ts';

interface SimEvent {
  readonly atMs: number;
  readonly tie: number;
  readonly order: number;
  readonly label: string;
  readonly drain: boolean;
  readonly run: () => void;
}

/** Virtual time begins here; a round number makes traces readable. */
export const EPOCH_MS = 1_700_000_000_000;
const TRACE_LINES_KEPT = 400;

export class World {
  readonly seed: number;
  readonly random: Random;
  /** What the ports may do wrong, changed while the run goes on. */
  faults: Faults = NO_FAULTS;
  /** How often each rare branch was taken. */
  readonly marks = new Map<string, number>();
  /** Broken invariants, in the order in which they were seen. */
  readonly violations: string[] = [];
  readonly #queue: SimEvent[] = [];
  /** Trace lines that are kept: as many as wanted, at least. */
  traceLinesKept = TRACE_LINES_KEPT;
  readonly #lines: string[] = [];
  readonly #startMs: number;
  #nowMs: number;
  #order = 0;
  #hash = 0x811c9dc5;
  #steps = 0;
  #onScheduled: (() => void) | undefined;

  constructor(seed: number, startMs = EPOCH_MS) {
    this.#startMs = startMs;
    this.#nowMs = startMs;
    this.seed = seed;
    this.random = seededRandom(seed);
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get steps(): number {
    return this.#steps;
  }

  /** Hash of everything traced so far: equal for two runs of a seed. */
  get traceHash(): string {
    return (this.#hash >>> 0).toString(16).padStart(8, '0');
  }

  /** The newest trace lines. */
  tail(lines: number): readonly string[] {
    return this.#lines.slice(-lines);
  }

  /** Runs `run` after a virtual delay. Only an event with `drain` may wake code that waits on promises. */
  after(delayMs: number, label: string, run: () => void, drain = true): void {
    const event = {
      atMs: this.#nowMs + Math.ceil(delayMs),
      tie: this.random.next(),
      order: this.#order++,
      label,
      drain,
      run,
    };
    push(this.#queue, event);
    this.#onScheduled?.();
  }

  /** A whole number of ms in [min, max]. */
  between(min: number, max: number): number {
    return min + randomBelow(this.random, max - min + 1);
  }

  chance(probability: number): boolean {
    return probability > 0 && this.random.next() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[randomBelow(this.random, items.length)]!;
  }

  trace(text: string): void {
    const line = `${String(this.#nowMs - this.#startMs).padStart(7)} ${text}`;
    for (let i = 0; i < line.length; i++) this.#hash = Math.imul(this.#hash ^ line.charCodeAt(i), 0x01000193);
    this.#lines.push(line);
    const surplus = this.#lines.length - this.traceLinesKept;
    if (surplus > TRACE_LINES_KEPT) this.#lines.splice(0, surplus);
  }

  mark(branch: string): void {
    this.marks.set(branch, (this.marks.get(branch) ?? 0) + 1);
  }

  violate(text: string): void {
    this.trace(`VIOLATION ${text}`);
    this.violations.push(text);
  }

  /** Runs events until `done`, until nothing is left to do, or until `untilMs` has passed. */
  async run(done: () => boolean, untilMs: number): Promise<'done' | 'idle' | 'timeout'> {
    await drainMicrotasks();
    while (!done()) {
      const event = this.#queue[0];
      if (!event) return 'idle';
      if (event.atMs > untilMs) {
        this.#nowMs = untilMs;
        return 'timeout';
      }
      await this.#step();
    }
    return 'done';
  }

  /**
   * Runs events as their virtual time passes in real time, until the signal aborts: contract suites use it, because
   * they wait in real time.
   */
  async runInRealTime(signal: AbortSignal): Promise<void> {
    const startMs = performance.now() - (this.#nowMs - this.#startMs);
    while (!signal.aborted) {
      const nowMs = this.#startMs + performance.now() - startMs;
      while (this.#queue[0] && this.#queue[0].atMs <= nowMs && !signal.aborted) await this.#step();
      this.#nowMs = Math.max(this.#nowMs, Math.floor(this.#startMs + performance.now() - startMs));
      const waitMs = this.#queue[0] ? Math.max(0, this.#queue[0].atMs - this.#nowMs) : 1000;
      await this.#pause(waitMs, signal);
    }
  }

  #pause(waitMs: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const wake = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', wake);
        this.#onScheduled = undefined;
        resolve();
      };
      const timer = setTimeout(wake, waitMs);
      signal.addEventListener('abort', wake);
      this.#onScheduled = wake;
    });
  }

  async #step(): Promise<void> {
    const event = pop(this.#queue);
    this.#nowMs = Math.max(this.#nowMs, event.atMs);
    this.#steps++;
    if (event.label !== '') this.trace(event.label);
    event.run();
    if (event.drain) await drainMicrotasks();
  }
}

/** A turn of the event loop begins only when no microtask is left. */
function drainMicrotasks(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

function before(a: SimEvent, b: SimEvent): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs;
  return a.tie !== b.tie ? a.tie < b.tie : a.order < b.order;
}

function push(heap: SimEvent[], event: SimEvent): void {
  let at = heap.length;
  heap.push(event);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(event, heap[parent]!)) break;
    heap[at] = heap[parent]!;
    at = parent;
  }
  heap[at] = event;
}

function pop(heap: SimEvent[]): SimEvent {
  const top = heap[0]!;
  const last = heap.pop()!;
  if (heap.length === 0) return top;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
    if (!before(heap[child]!, last)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = last;
  return top;
}
