// Doubts that must be settled before anything is committed: is this still the log that the checkpoints speak of, is
// nothing missing from it, are the shards still ours? Commits are fenced anyway; a log cannot be.
import type { EventLogReader } from '../../shared/ports/event-log.ts';
import { type CommitDeps, readShards } from './commit.ts';
import { checkLog } from './log-check.ts';
import type { OwnedShard } from './shard.ts';
import { whileUnavailable } from './unavailable.ts';

export interface DoubtsDeps extends CommitDeps {
  readonly log: EventLogReader;
  readonly shards: ReadonlyMap<number, OwnedShard>;
  /** Ends the ownership of a shard: another worker has it. */
  readonly lose: (shard: number) => void;
  /** Stops a shard with an alarm. */
  readonly halt: (shard: number, code: string, reason: string) => void;
}

export class Doubts {
  readonly #deps: DoubtsDeps;
  readonly #signal: AbortSignal;
  #ownership = false;

  /** `signal` ends every wait; then methods reject. */
  constructor(deps: DoubtsDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
  }

  /** Others may have taken shards over: the shard records are read before the next commit. */
  raiseOwnership(): void {
    this.#ownership = true;
  }

  get any(): boolean {
    return this.#ownership || this.#doubtful().length > 0;
  }

  /**
   * A reader that found another log, or a shorter one, stops its shard with an alarm; after a reconnection the log is
   * recognised again; where another worker claims to own a shard, the shard record decides.
   */
  async settle(): Promise<void> {
    await Promise.all(this.#doubtful().map((owned) => this.#recognise(owned)));
    if (!this.#ownership) return;
    this.#ownership = false;
    const { shards, workerId, lose } = this.#deps;
    const stored = await readShards(this.#deps, [...shards.keys()], this.#signal);
    for (const [shard, owned] of [...shards]) {
      const now = stored.get(shard)?.shard;
      if (now && (now.owner !== workerId || now.epoch !== owned.record.epoch)) lose(shard);
    }
  }

  /**
   * If someone purged the log beyond a checkpoint, the reader has jumped over the gap without a sign. Looked at after
   * messages were taken and before they are committed: what was taken is without a gap if nothing is missing now.
   */
  async findGaps(looked: Iterable<number>): Promise<void> {
    const { firstSequence } = await whileUnavailable(this.#deps, () => this.#deps.log.state(), this.#signal);
    const shards = [...new Set(looked)].flatMap((shard) => this.#deps.shards.get(shard) ?? []);
    const gaps = shards.filter((owned) => firstSequence > owned.record.seq + 1);
    await Promise.all(gaps.map((owned) => this.#recognise(owned)));
  }

  /** Shards whose reader has a fault, or has opened the log again since it was last recognised. */
  #doubtful(): readonly OwnedShard[] {
    return [...this.#deps.shards.values()].filter(
      ({ reader, recognised }) => reader.fault !== undefined || reader.sessions > recognised,
    );
  }

  async #recognise(owned: OwnedShard): Promise<void> {
    const { log, store, shards, halt } = this.#deps;
    const { sessions, fault } = owned.reader;
    const verdict = await whileUnavailable(
      this.#deps,
      () => checkLog(owned.record, log, store),
      this.#signal,
    );
    if (shards.get(owned.shard) !== owned) return;
    if (verdict.kind === 'unsound') halt(owned.shard, verdict.code, verdict.reason);
    else if (fault) halt(owned.shard, fault, 'the log changed while it was read');
    else owned.recognised = sessions;
  }
}
