// Keeps what grows within bounds and the server's copies running: restarts copies that stand still, purges the outbox
// up to what every copy has, and the log up to what every shard has applied and the archive, if there is one, has. It removes
// nothing that is still needed: a stalled copy, a stopped worker or archiver delays removal. Every action is idempotent, so that two at once do no harm.
import { decodeArchiveRecord } from '../shared/contract/archive-record.ts';
import {
  type CopiesRecord,
  decodeCopiesRecord,
  decodePurgeRecord,
  encodeHousekeeping,
} from '../shared/contract/housekeeping-records.ts';
import { recordKeys } from '../shared/contract/names.ts';
import { decodeShardRecord } from '../shared/contract/shard-record.ts';
import type { Clock } from '../shared/kernel/clock.ts';
import { StitchworkError } from '../shared/kernel/errors.ts';
import type { EventLogReader, LogState } from '../shared/ports/event-log.ts';
import type { CopyName, CopyState, OutboxCopies } from '../shared/ports/outbox-copies.ts';
import type { RecordStore } from '../shared/ports/record-store.ts';

export interface HousekeeperTelemetry {
  copyState(name: CopyName, lag: number, running: boolean): void;
  copyRestarted(name: CopyName, reason: string): void;
  /** A target stream was deleted and made anew: what had been purged from the outbox is not in it. */
  targetRebuilt(name: CopyName, missingUpTo: number): void;
  outboxPurged(name: CopyName, upTo: number): void;
  logPurged(upTo: number): void;
  /** Share of the log's size limit in use, 0 to 1; 0 without a limit. */
  logUsage(share: number): void;
  failed(error: unknown): void;
}

export interface HousekeeperDeps {
  readonly store: RecordStore;
  readonly log: EventLogReader;
  readonly copies: OutboxCopies;
  readonly clock: Clock;
  readonly telemetry: HousekeeperTelemetry;
  /** Whether this process is the one that keeps house now (it owns shard 0). */
  readonly onDuty: () => boolean;
}

export interface HousekeeperOptions {
  readonly shards: number;
  /** Copies are looked at this often. */
  readonly intervalMs: number;
  /** The outbox and the log are purged this often. */
  readonly purgeIntervalMs: number;
  /** Applied events are kept this long, for replay and split, as long as the log has room. */
  readonly retentionMs: number;
}

export const HOUSEKEEPER_DEFAULTS = {
  intervalMs: 250,
  purgeIntervalMs: 5000,
  retentionMs: 7 * 86_400_000,
} as const;

/** Above this share of its size limit the log gives up applied events before their time, down to the lower share. */
const LOG_HIGH_SHARE = 0.7;
const LOG_LOW_SHARE = 0.5;

export class Housekeeper {
  readonly #deps: HousekeeperDeps;
  readonly #options: HousekeeperOptions;
  readonly #stop = new AbortController();
  /** Copies that did not run when they were last looked at. */
  readonly #suspect = new Set<CopyName>();
  #purgedAtMs = Number.NEGATIVE_INFINITY;
  #loop: Promise<void> = Promise.resolve();

  constructor(
    deps: HousekeeperDeps,
    options: Pick<HousekeeperOptions, 'shards'> & Partial<HousekeeperOptions>,
  ) {
    this.#deps = deps;
    this.#options = { ...HOUSEKEEPER_DEFAULTS, ...options };
  }

  start(): void {
    this.#loop = this.#run();
  }

  /** Resolves when the round under way is done. */
  async stop(): Promise<void> {
    this.#stop.abort(new Error('stopped'));
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, telemetry, onDuty } = this.#deps;
    while (!this.#stop.signal.aborted) {
      try {
        if (onDuty()) await this.round();
      } catch (error) {
        telemetry.failed(error);
      }
      await clock.sleep(this.#options.intervalMs, this.#stop.signal).catch(() => {});
    }
  }

  /** One look at everything. Throws LOG_UNAVAILABLE or STORE_UNAVAILABLE when the server is out of reach. */
  async round(): Promise<void> {
    const states = await this.#deps.copies.states();
    for (const state of states) await this.#watch(state);
    const { clock } = this.#deps;
    if (clock.elapsedMs() - this.#purgedAtMs < this.#options.purgeIntervalMs) return;
    this.#purgedAtMs = clock.elapsedMs();
    await this.#purgeOutbox(states);
    await this.#purgeLog(clock.nowMs());
  }

  /** After a crash of the server a copy may have lost a start-up race and stand still for many seconds (G3). */
  async #watch(state: CopyState): Promise<void> {
    const { telemetry, copies } = this.#deps;
    const running = state.error === undefined && state.activeMs >= 0;
    telemetry.copyState(state.name, state.lag, running);
    if (running) {
      this.#suspect.delete(state.name);
      return;
    }
    if (!this.#suspect.has(state.name)) {
      this.#suspect.add(state.name);
      return;
    }
    this.#suspect.delete(state.name);
    await copies.restart(state.name);
    telemetry.copyRestarted(state.name, state.error ?? 'the source is not active');
  }

  async #purgeOutbox(states: readonly CopyState[]): Promise<void> {
    const { store, copies, telemetry } = this.#deps;
    const stored = (await store.read([recordKeys.copies], 'leader')).get(recordKeys.copies);
    const before = stored?.value ? decodeCopiesRecord(stored.value).targets : {};
    const targets: Record<string, CopiesRecord['targets'][string]> = {};
    for (const { name, copiedTo, targetCreatedAt } of states) {
      const known = before[name];
      if (known && known.createdAt !== targetCreatedAt) telemetry.targetRebuilt(name, known.purgedTo);
      const purgedTo = known?.createdAt === targetCreatedAt ? Math.max(known.purgedTo, copiedTo) : copiedTo;
      targets[name] = { createdAt: targetCreatedAt, purgedTo };
    }
    if (JSON.stringify(targets) === JSON.stringify(before)) return;
    await this.#put(recordKeys.copies, encodeHousekeeping({ v: 1, targets }), stored?.revision ?? 0);
    for (const { name, copiedTo } of states) {
      if (copiedTo === 0 || before[name]?.purgedTo === copiedTo) continue;
      await copies.purge(name, copiedTo);
      telemetry.outboxPurged(name, copiedTo);
    }
  }

  async #purgeLog(nowMs: number): Promise<void> {
    const { log, store, copies, telemetry } = this.#deps;
    const state = await log.state();
    const share = state.bytesMax > 0 ? state.bytes / state.bytesMax : 0;
    telemetry.logUsage(share);
    const free = Math.min(await this.#appliedByAll(state), await this.#archived(state));
    const old = await lastBefore(log, state.firstSequence, free, nowMs - this.#options.retentionMs);
    const upTo = Math.max(old, share > LOG_HIGH_SHARE ? Math.min(free, makeRoom(state, share)) : 0);
    if (upTo < state.firstSequence) return;
    const stored = (await store.read([recordKeys.purge], 'leader')).get(recordKeys.purge);
    const before = stored?.value ? decodePurgeRecord(stored.value).purgedTo : 0;
    if (upTo > before) {
      await this.#put(recordKeys.purge, encodeHousekeeping({ v: 1, purgedTo: upTo }), stored?.revision ?? 0);
    }
    await copies.purgeLog(upTo);
    telemetry.logPurged(upTo);
  }

  /** The lowest checkpoint of all shards in this log; 0 while one has none. */
  async #appliedByAll(state: LogState): Promise<number> {
    const keys = Array.from({ length: this.#options.shards }, (_, shard) => recordKeys.shard(shard));
    const records = await this.#deps.store.read(keys, 'leader');
    let lowest = state.lastSequence;
    for (const key of keys) {
      const value = records.get(key)?.value;
      const record = value ? decodeShardRecord(value) : undefined;
      lowest = Math.min(lowest, record?.streamCreated === state.createdAt ? record.seq : 0);
    }
    return lowest;
  }

  /** How far the archive of this log has come; all of the log when the segment has no archive. */
  async #archived(state: LogState): Promise<number> {
    const stored = (await this.#deps.store.read([recordKeys.archive], 'leader')).get(recordKeys.archive);
    if (!stored?.value) return state.lastSequence;
    const { logId, position } = decodeArchiveRecord(stored.value);
    return logId === state.createdAt ? position : 0;
  }

  async #put(key: string, value: Uint8Array, expect: number): Promise<void> {
    const outcome = await this.#deps.store.commit([{ kind: 'put', key, value, expect }]);
    if (outcome.kind !== 'committed')
      throw new StitchworkError('STORE_UNAVAILABLE', `${key}: ${outcome.kind}`);
  }
}

/** The sequence up to which the oldest messages must go so that the log is down to the lower share. */
function makeRoom(state: LogState, share: number): number {
  const fraction = (share - LOG_LOW_SHARE) / share;
  return state.firstSequence - 1 + Math.floor((state.lastSequence - state.firstSequence + 1) * fraction);
}

/** The last sequence in [first, last] stored before a time, by bisection; first - 1 when there is none. */
async function lastBefore(log: EventLogReader, first: number, last: number, timeMs: number): Promise<number> {
  let low = first - 1;
  let high = last;
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    const message = await log.messageAt(middle);
    // A message that is gone was removed on purpose (an erasure): it does not keep its neighbours.
    if (!message || message.timeMs < timeMs) low = middle;
    else high = middle - 1;
  }
  return low;
}
