// What a worker has been doing, kept in a few numbers for whoever asks it by a detailed probe. Names records without the
// values of stitching keys: what is told here reaches people and screens.
import type { Clock } from '../shared/kernel/clock.ts';
import { sha256Base64Url } from '../shared/kernel/hash.ts';
import type { HotRecord, WorkerActivity } from '../shared/ports/membership.ts';
import type { CommittedBatch } from '../shared/ports/worker-telemetry.ts';
import { HotKeys } from './hot-keys.ts';

const RATE_SECONDS = 10;
const HOT_RECORDS = 10;
/** 24 bits: enough to tell ten keys apart, too few to find a value by trying all phone numbers. */
const HASH_CHARACTERS = 4;

export class ActivityMeter {
  readonly #commits: RecentRate;
  readonly #events: RecentRate;
  readonly #writes: HotKeys;
  readonly #contested: HotKeys;
  #conflicts = 0;
  #fences = 0;
  #unknownOutcomes = 0;
  #deadLetters = 0;
  #residents = { count: 0, bytes: 0 };

  constructor(clock: Clock) {
    this.#commits = new RecentRate(clock);
    this.#events = new RecentRate(clock);
    this.#writes = new HotKeys(clock);
    this.#contested = new HotKeys(clock);
  }

  committed(batch: Pick<CommittedBatch, 'messages' | 'records'>): void {
    this.#commits.add(1);
    this.#events.add(batch.messages);
    this.#writes.addAll(batch.records);
  }

  conflict(key: string): void {
    this.#conflicts += 1;
    if (key !== '') this.#contested.add(key);
  }

  fenced(): void {
    this.#fences += 1;
  }

  unknownOutcome(): void {
    this.#unknownOutcomes += 1;
  }

  deadLettered(): void {
    this.#deadLetters += 1;
  }

  residents(state: { readonly count: number; readonly bytes: number }): void {
    this.#residents = { count: state.count, bytes: state.bytes };
  }

  read(): WorkerActivity {
    return {
      conflicts: this.#conflicts,
      fences: this.#fences,
      unknownOutcomes: this.#unknownOutcomes,
      deadLetters: this.#deadLetters,
      commitsPerSecond: this.#commits.perSecond(),
      eventsPerSecond: this.#events.perSecond(),
      residents: this.#residents,
      hotWrites: hottest(this.#writes),
      hotConflicts: hottest(this.#contested),
    };
  }
}

function hottest(keys: HotKeys): readonly HotRecord[] {
  return keys.top(HOT_RECORDS).map(({ key, count }) => ({ record: publicRecordName(key), count }));
}

/** A record key that may be shown: of a stitching key its name and a short hash, of everything else the key itself. */
export function publicRecordName(key: string): string {
  const [kind, name, ...value] = key.split('.');
  if (kind !== 'k') return key;
  return `k.${name}.#${sha256Base64Url(value.join('.'), HASH_CHARACTERS)}`;
}

/** A rate over the last whole seconds. */
class RecentRate {
  readonly #clock: Clock;
  readonly #startedAt: number;
  /** Sums by second, in a ring of one more than is told: the newest is not over yet. */
  readonly #sums = new Array<number>(RATE_SECONDS + 1).fill(0);
  #second: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#second = this.#now();
    this.#startedAt = this.#second;
  }

  add(count: number): void {
    this.#advance();
    this.#sums[this.#second % this.#sums.length]! += count;
  }

  perSecond(): number {
    this.#advance();
    const seconds = Math.min(RATE_SECONDS, this.#second - this.#startedAt);
    if (seconds === 0) return 0;
    const open = this.#sums[this.#second % this.#sums.length]!;
    const total = this.#sums.reduce((sum, part) => sum + part, 0) - open;
    return Math.round((total / seconds) * 10) / 10;
  }

  #advance(): void {
    const now = this.#now();
    const passed = Math.min(now - this.#second, this.#sums.length);
    for (let i = 0; i < passed; i++) this.#sums[(now - i) % this.#sums.length] = 0;
    this.#second = now;
  }

  #now(): number {
    return Math.floor(this.#clock.elapsedMs() / 1000);
  }
}
