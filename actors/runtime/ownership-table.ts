// Turns what is known of the members into shards to claim and to release, within the rules of the design: sticky,
// nothing while the server is out of reach, no land-grab right after a reconnection, a bounded rate of moves.
import type { Clock } from '../../shared/kernel/clock.ts';
import type { Members } from './members.ts';
import type { WorkerOptions } from './options.ts';
import { type Assignment, assign } from './ownership.ts';
import type { HaltedShard, OwnedShard } from './shard.ts';

const NOTHING_TO_MOVE: Assignment = { claim: [], release: [] };
const RATE_WINDOW_MS = 1000;

export class OwnershipTable {
  readonly #members: Members;
  readonly #clock: Clock;
  readonly #options: WorkerOptions;
  /** Members as they were when the server was last known to be within reach. */
  #before: ReadonlySet<string>;
  #settleUntilMs = Number.NEGATIVE_INFINITY;
  #windowStartMs = 0;
  #releasedInWindow = 0;

  constructor(members: Members, clock: Clock, options: WorkerOptions) {
    this.#members = members;
    this.#clock = clock;
    this.#options = options;
    this.#before = new Set([options.workerId]);
  }

  /** The connection was lost and is back: others may look gone only because they are not back yet. */
  reconnected(): void {
    this.#settleUntilMs = this.#clock.elapsedMs() + this.#options.settleMs;
  }

  decide(owned: ReadonlyMap<number, OwnedShard>, halted: ReadonlyMap<number, HaltedShard>): Assignment {
    if (!this.#members.reachable || !this.#members.settled) return NOTHING_TO_MOVE;
    const nowMs = this.#clock.elapsedMs();
    const settling = nowMs < this.#settleUntilMs;
    const counted = settling ? this.#before : this.#members.live();
    if (!settling) this.#before = counted;
    const { workerId, shards, haltedRetryMs } = this.#options;
    const own = (shard: number) => owned.has(shard) || halted.has(shard);
    const heldByOther = (shard: number) => this.#members.ownerOf(shard) !== undefined;
    const { claim, release } = assign(workerId, shards, counted, own, heldByOther);
    const again = [...halted.values()]
      .filter((halt) => nowMs - halt.atMs >= haltedRetryMs)
      .map(({ shard }) => shard);
    const moving = settling ? [] : this.#withinRate(release, counted.size, nowMs, owned);
    return { claim: [...claim, ...again.filter((shard) => !release.includes(shard))], release: moving };
  }

  /** At most a quarter of all shards a second over all members, at least one. */
  #withinRate(
    release: readonly number[],
    members: number,
    nowMs: number,
    owned: ReadonlyMap<number, OwnedShard>,
  ): readonly number[] {
    if (nowMs - this.#windowStartMs >= RATE_WINDOW_MS) {
      this.#windowStartMs = nowMs;
      this.#releasedInWindow = 0;
    }
    const perWindow = Math.max(1, Math.floor(this.#options.shards / 4 / Math.max(1, members)));
    const asked = release.filter((shard) => owned.get(shard)?.releasing !== true);
    const moving = asked.slice(0, Math.max(0, perWindow - this.#releasedInWindow));
    this.#releasedInWindow += moving.length;
    return moving;
  }
}
