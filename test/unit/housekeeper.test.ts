// The housekeeper over ports in memory: what it removes, what it writes down before, and what it never touches.
import { beforeEach, describe, expect, it } from 'vitest';
import { Housekeeper, type HousekeeperOptions, type HousekeeperTelemetry } from '../../infra/housekeeper.ts';
import { type ArchiveRecord, encodeArchiveRecord, NO_ARCHIVE } from '../../shared/contract/archive-record.ts';
import { decodeCopiesRecord, decodePurgeRecord } from '../../shared/contract/housekeeping-records.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { LogState } from '../../shared/ports/event-log.ts';
import type { CopyName, CopyState, OutboxCopies } from '../../shared/ports/outbox-copies.ts';
import { FakeLog, FakeStore, JumpClock, type Told } from '../runtime/fakes.ts';

const SHARDS = 3;
const NAMES: readonly CopyName[] = ['activations', 'audit', 'dead', 'timers'];

/** Copies as a test sets them; notes what is asked of them, and what the store held at that moment. */
class FakeCopies implements OutboxCopies {
  readonly asked: string[] = [];
  readonly states_ = new Map<CopyName, CopyState>();
  readonly #store: FakeStore;
  readonly #log: FakeLog;

  constructor(store: FakeStore, log: FakeLog) {
    this.#store = store;
    this.#log = log;
    for (const name of NAMES) this.set(name, {});
  }

  set(name: CopyName, change: Partial<CopyState>): void {
    const fresh = { name, copiedTo: 0, lag: 0, activeMs: 5, error: undefined, targetCreatedAt: 't-1' };
    this.states_.set(name, { ...fresh, ...this.states_.get(name), ...change });
  }

  async states(): Promise<readonly CopyState[]> {
    return [...this.states_.values()];
  }

  async originSequence(): Promise<number> {
    return this.#store.sequence;
  }

  async restart(name: CopyName): Promise<void> {
    this.asked.push(`restart ${name}`);
  }

  async purge(name: CopyName, upTo: number): Promise<void> {
    const { value } = this.#store.record('h.copies');
    const known = value ? decodeCopiesRecord(value).targets[name]?.purgedTo : undefined;
    this.asked.push(`purge ${name} ${upTo}, written down ${known}`);
  }

  async purgeLog(upTo: number): Promise<void> {
    const { value } = this.#store.record('h.purge');
    const known = value ? decodePurgeRecord(value).purgedTo : undefined;
    this.asked.push(`purge log ${upTo}, written down ${known}`);
    this.#log.purge(upTo);
  }
}

let store: FakeStore;
let log: FakeLog;
let copies: FakeCopies;
let clock: JumpClock;
let told: Told[];

beforeEach(() => {
  store = new FakeStore();
  log = new FakeLog();
  copies = new FakeCopies(store, log);
  clock = new JumpClock();
  told = [];
});

function housekeeper(options: Partial<HousekeeperOptions> = {}, onDuty = () => true): Housekeeper {
  const telemetry = new Proxy({} as HousekeeperTelemetry, {
    get:
      (_target, name) =>
      (...detail: unknown[]) =>
        void told.push({ name: String(name), detail }),
  });
  const deps = { store, log, copies, clock, telemetry, onDuty };
  return new Housekeeper(deps, { shards: SHARDS, purgeIntervalMs: 0, ...options });
}

const toldOf = (name: string) => told.filter((entry) => entry.name === name).map(({ detail }) => detail);

/** Messages one second apart, the last of them now; every shard has applied all of them. */
function applied(count: number): void {
  for (let i = 0; i < count; i++) {
    const message = log.append(i % SHARDS, {});
    log.messages[log.messages.length - 1] = { ...message, timeMs: clock.ms - (count - 1 - i) * 1000 };
  }
  for (let shard = 0; shard < SHARDS; shard++) store.putShard(shard, { seq: count });
}

function fullTo(share: number): void {
  const state = log.state.bind(log);
  log.state = async (): Promise<LogState> => {
    const now = await state();
    return { ...now, bytes: now.messages, bytesMax: Math.round(100 / share) };
  };
}

function archived(record: Partial<ArchiveRecord>): void {
  store.put(recordKeys.archive, encodeArchiveRecord({ ...NO_ARCHIVE, ...record }));
}

describe('copies', () => {
  it('that run are left alone', async () => {
    const keeper = housekeeper();
    for (let round = 0; round < 3; round++) await keeper.round();
    expect(copies.asked).toEqual([]);
  });

  it.each([
    ['has an error', { error: 'stream not found' }],
    ['is not active', { activeMs: -1 }],
  ])('of which one %s are restarted at the second look, and again if that did not help', async (_, state) => {
    copies.set('audit', state);
    const keeper = housekeeper();
    await keeper.round();
    expect(copies.asked).toEqual([]);
    await keeper.round();
    expect(copies.asked).toEqual(['restart audit']);
    await keeper.round();
    await keeper.round();
    expect(copies.asked).toEqual(['restart audit', 'restart audit']);
  });

  it('that come back by themselves are not restarted', async () => {
    const keeper = housekeeper();
    for (let look = 0; look < 4; look++) {
      copies.set('audit', { activeMs: look % 2 === 0 ? -1 : 3 });
      await keeper.round();
    }
    expect(copies.asked).toEqual([]);
  });
});

describe('the outbox', () => {
  it('is purged for each copy up to what that copy has, which is written down before', async () => {
    copies.set('activations', { copiedTo: 40 });
    copies.set('dead', { copiedTo: 7 });
    await housekeeper().round();
    expect(copies.asked).toEqual(['purge activations 40, written down 40', 'purge dead 7, written down 7']);
  });

  it('is purged only when a copy has moved on', async () => {
    copies.set('activations', { copiedTo: 40 });
    const keeper = housekeeper();
    await keeper.round();
    await keeper.round();
    copies.set('audit', { copiedTo: 12 });
    await keeper.round();
    expect(copies.asked.map((text) => text.split(',')[0])).toEqual([
      'purge activations 40',
      'purge audit 12',
    ]);
  });

  it('is not purged when it could not be written down', async () => {
    copies.set('activations', { copiedTo: 40 });
    store.next.push(() => ({ kind: 'conflict', sequence: 0 }));
    await expect(housekeeper().round()).rejects.toThrow('h.copies');
    expect(copies.asked).toEqual([]);
  });

  it('of a target made anew: tells what that one will never have, once, and starts from there', async () => {
    copies.set('activations', { copiedTo: 40 });
    const keeper = housekeeper();
    await keeper.round();
    copies.set('activations', { copiedTo: 0, targetCreatedAt: 't-2' });
    await keeper.round();
    await keeper.round();
    expect(toldOf('targetRebuilt')).toEqual([['activations', 40]]);
    copies.set('activations', { copiedTo: 55 });
    await keeper.round();
    expect(copies.asked.at(-1)).toBe('purge activations 55, written down 55');
  });

  it('of a target whose messages have aged out is still known to be purged', async () => {
    copies.set('activations', { copiedTo: 40 });
    const keeper = housekeeper();
    await keeper.round();
    copies.set('activations', { copiedTo: 0 });
    await keeper.round();
    expect(toldOf('targetRebuilt')).toEqual([]);
    expect(decodeCopiesRecord(store.record('h.copies').value!).targets.activations?.purgedTo).toBe(40);
  });
});

describe('the log', () => {
  it('gives up what is applied and older than the retention time, written down before', async () => {
    applied(100);
    await housekeeper({ retentionMs: 30_500 }).round();
    expect(copies.asked).toEqual(['purge log 69, written down 69']);
    expect(toldOf('logPurged')).toEqual([[69]]);
  });

  it('keeps what one shard has not applied, however old', async () => {
    applied(100);
    store.putShard(1, { seq: 20 });
    await housekeeper({ retentionMs: 0 }).round();
    expect(copies.asked).toEqual(['purge log 20, written down 20']);
  });

  it.each([
    ['has no checkpoint', () => store.put('s.1', Buffer.alloc(0))],
    ['has its checkpoint in another log', () => store.putShard(1, { streamCreated: 'log-0' })],
  ])('keeps everything while a shard %s', async (_, change) => {
    applied(100);
    change();
    await housekeeper({ retentionMs: 0 })
      .round()
      .catch(() => {});
    expect(copies.asked).toEqual([]);
  });

  it('gives up applied messages before their time when it is nearly full, and only as many as needed', async () => {
    applied(100);
    fullTo(0.8);
    await housekeeper().round();
    const upTo = Number(/purge log (\d+)/.exec(copies.asked[0] ?? '')?.[1]);
    expect(upTo).toBeGreaterThanOrEqual(35);
    expect(upTo).toBeLessThanOrEqual(40);
  });

  it('keeps what is not applied even when it is full', async () => {
    applied(100);
    for (let shard = 0; shard < SHARDS; shard++) store.putShard(shard, { seq: 0 });
    fullTo(1);
    await housekeeper({ retentionMs: 0 }).round();
    expect(copies.asked).toEqual([]);
    expect(toldOf('logUsage')).toEqual([[1]]);
  });

  it('keeps what is not archived, however old and however full', async () => {
    applied(100);
    archived({ logId: 'log-1', position: 30 });
    fullTo(1);
    await housekeeper({ retentionMs: 0 }).round();
    expect(copies.asked).toEqual(['purge log 30, written down 30']);
    archived({ logId: 'log-1', position: 45 });
    await housekeeper({ retentionMs: 0 }).round();
    expect(copies.asked[1]).toBe('purge log 45, written down 45');
  });

  it('keeps everything while its archive is of another log, or cannot be read', async () => {
    applied(100);
    archived({ logId: 'log-0', position: 100 });
    await housekeeper({ retentionMs: 0 }).round();
    store.put(recordKeys.archive, Buffer.from('?'));
    await expect(housekeeper({ retentionMs: 0 }).round()).rejects.toThrow();
    expect(copies.asked).toEqual([]);
  });

  it('is not purged when it could not be written down', async () => {
    applied(100);
    store.next.push(
      (_writes, apply) => apply(),
      () => ({ kind: 'unknown', reason: 'no answer' }),
    );
    await expect(housekeeper({ retentionMs: 0 }).round()).rejects.toThrow('h.purge');
    expect(log.messages).toHaveLength(100);
  });

  it('is purged again after a purge that was written down and not carried out', async () => {
    applied(100);
    const purge = copies.purgeLog.bind(copies);
    copies.purgeLog = async () => {
      throw new StitchworkError('STORE_UNAVAILABLE');
    };
    const keeper = housekeeper({ retentionMs: 0 });
    await expect(keeper.round()).rejects.toThrow();
    copies.purgeLog = purge;
    await keeper.round();
    expect(copies.asked).toEqual(['purge log 99, written down 99']);
  });
});

describe('the rounds', () => {
  it('are played only on duty, and go on after one that failed', async () => {
    let duty = false;
    let rounds = 0;
    copies.states = async () => {
      rounds++;
      if (rounds === 1) throw new StitchworkError('STORE_UNAVAILABLE');
      return [];
    };
    const keeper = housekeeper({}, () => duty);
    keeper.start();
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    for (let i = 0; i < 10; i++) await turn();
    expect(rounds).toBe(0);
    duty = true;
    while (rounds < 3) await turn();
    expect(toldOf('failed')).toHaveLength(1);
    await keeper.stop();
    const after = rounds;
    for (let i = 0; i < 10; i++) await turn();
    expect(rounds).toBe(after);
  });

  it('purge at their own, longer interval', async () => {
    copies.set('activations', { copiedTo: 1 });
    const keeper = housekeeper({ purgeIntervalMs: 5000 });
    await keeper.round();
    copies.set('activations', { copiedTo: 2 });
    await keeper.round();
    expect(copies.asked).toHaveLength(1);
    clock.ms += 5000;
    await keeper.round();
    expect(copies.asked).toHaveLength(2);
  });
});
