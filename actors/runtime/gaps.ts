// Makes sure that nothing is missing from what was taken from the log, before it is committed. One look at the log
// serves every message taken before it; looks run beside deciding, and never more than one at a time.
export class Gaps {
  readonly #find: (shards: readonly number[]) => Promise<void>;
  readonly #taken = new Set<number>();
  #look: Promise<void> | undefined;

  /** `find` halts those of the shards that have a gap. */
  constructor(find: (shards: readonly number[]) => Promise<void>) {
    this.#find = find;
  }

  /** Messages of these shards were taken: looks at the log, now or after the look under way. */
  taken(shards: Iterable<number>): void {
    for (const shard of shards) this.#taken.add(shard);
    if (this.#taken.size > 0) this.#start();
  }

  /** Resolves when all that was taken is known to be without a gap; shards with one are halted by then. */
  async none(): Promise<void> {
    while (this.#look || this.#taken.size > 0) await this.#start();
  }

  #start(): Promise<void> {
    if (this.#look) return this.#look;
    const shards = [...this.#taken];
    this.#taken.clear();
    const look = this.#find(shards).finally(() => {
      this.#look = undefined;
    });
    // A look that fails (a stop) is told to whoever waits for it.
    look.catch(() => {});
    this.#look = look;
    return look;
  }
}
