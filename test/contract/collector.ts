// Gathers what a shard's reader gives, for the contract suites.
import type { EventLogReader, LogMessage, ShardReader } from '../../shared/ports/event-log.ts';

const DEADLINE_MS = 15_000;
const POLL_MS = 10;

/** Resolves when `condition` holds; rejects after a deadline with what was waited for. */
export async function eventuallyTrue(
  what: string,
  condition: () => boolean | Promise<boolean>,
  deadlineMs = DEADLINE_MS,
): Promise<void> {
  const end = performance.now() + deadlineMs;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`not within ${deadlineMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Takes everything that a shard's reader has, as soon as it says so. */
export class Collector {
  readonly messages: LogMessage[] = [];
  readonly reader: ShardReader;
  readonly #shard: number;

  constructor(log: EventLogReader, shard: number, afterSequence = 0) {
    this.#shard = shard;
    this.reader = log.open(shard, afterSequence, () => this.#drain());
  }

  get texts(): readonly string[] {
    return this.messages.map(({ payload }) => new TextDecoder().decode(payload));
  }

  /** Waits until so many messages have come. */
  async until(count: number, deadlineMs = DEADLINE_MS): Promise<void> {
    const what = `${count} messages of shard ${this.#shard}`;
    await eventuallyTrue(what, () => this.messages.length >= count, deadlineMs).catch((error: unknown) => {
      throw new Error(`${String(error)}; there are ${this.messages.length}`);
    });
  }

  close(): void {
    this.reader.close();
  }

  #drain(): void {
    for (;;) {
      const taken = this.reader.take(1000);
      if (taken.length === 0) return;
      this.messages.push(...taken);
    }
  }
}
