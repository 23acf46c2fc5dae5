// In-memory ports for a gateway, each with a handle to make it fail or wait.

import type { LogEnvelope } from '../../../../shared/contract/event.ts';
import type { EventHistory } from '../../../../shared/ports/event-history.ts';
import type {
  AppendOutcome,
  EventLogAppender,
  LogAppend,
  LogMessage,
  LogState,
  ShardReader,
} from '../../../../shared/ports/event-log.ts';
import type { MemberReport, ProbeAnswer } from '../../../../shared/ports/membership.ts';
import type { CopyState } from '../../../../shared/ports/outbox-copies.ts';
import type { RecentEvents } from '../../../../shared/ports/recent-events.ts';
import type { CommitOutcome, StoredRecord, StoreWrite } from '../../../../shared/ports/record-store.ts';
import type { ReplyBox, ReplyBoxes } from '../../../../shared/ports/replies.ts';

export interface FakeAppender extends EventLogAppender {
  reachable: boolean;
  readonly requests: (readonly LogAppend[])[];
  /** What the next appends answer; then `stored`. A promise keeps the request in flight. */
  readonly answers: (AppendOutcome | Promise<AppendOutcome>)[];
  closed: number;
  /** Resolves at the next append. */
  nextAppend(): Promise<void>;
  envelopes(): LogEnvelope[];
}

export function fakeAppender(): FakeAppender {
  let waiting: (() => void)[] = [];
  const fake: FakeAppender = {
    reachable: true,
    requests: [],
    answers: [],
    closed: 0,
    async append(messages) {
      fake.requests.push(messages);
      for (const wake of waiting) wake();
      waiting = [];
      return (await fake.answers.shift()) ?? { kind: 'stored' };
    },
    async close() {
      fake.closed++;
    },
    nextAppend: () => new Promise((resolve) => waiting.push(resolve)),
    envelopes: () =>
      fake.requests
        .flat()
        .map(({ payload }) => JSON.parse(Buffer.from(payload).toString('utf8')) as LogEnvelope),
  };
  return fake;
}

export interface FakeStore {
  readonly leader: Map<string, Uint8Array>;
  /** What replica reads see instead, where it differs; null: they see nothing. */
  readonly stale: Map<string, Uint8Array | null>;
  /** Set to make reads throw, or hang. */
  failure: (() => Promise<never>) | undefined;
  readonly reads: { readonly keys: readonly string[]; readonly from: string }[];
  read(keys: readonly string[], from: 'replica' | 'leader'): Promise<ReadonlyMap<string, StoredRecord>>;
  commit(writes: readonly StoreWrite[]): Promise<CommitOutcome>;
}

export function fakeStore(): FakeStore {
  const revisions = new Map<string, number>();
  const revisionOf = (key: string) => revisions.get(key) ?? (fake.leader.has(key) ? 1 : 0);
  let revision = 1;
  const fake: FakeStore = {
    leader: new Map(),
    stale: new Map(),
    failure: undefined,
    reads: [],
    async read(keys, from) {
      fake.reads.push({ keys, from });
      if (fake.failure) return fake.failure();
      return new Map(
        keys.map((key) => {
          const stale = from === 'replica' ? fake.stale.get(key) : undefined;
          const value = stale === undefined ? (fake.leader.get(key) ?? null) : stale;
          return [key, { key, value, revision: value === null ? 0 : revisionOf(key) }];
        }),
      );
    },
    async commit(writes) {
      const puts = writes.filter((write) => write.kind === 'put');
      const stale = puts.find(({ key, expect }) => expect !== undefined && expect !== revisionOf(key));
      if (stale) return { kind: 'conflict', sequence: 0 };
      for (const { key, value } of puts) {
        fake.leader.set(key, value);
        revisions.set(key, ++revision);
      }
      return { kind: 'committed', revisions: writes.map(() => revision) };
    },
  };
  return fake;
}

export interface FakeRecentEvents extends RecentEvents {
  /** What the log holds, oldest first. */
  readonly messages: LogMessage[];
}

export function fakeRecentEvents(): FakeRecentEvents {
  const messages: LogMessage[] = [];
  return {
    messages,
    async *read(count) {
      yield* messages.slice(-count);
    },
  };
}

export interface FakeLog {
  createdAt: string;
  /** Sequences of each shard. */
  readonly shards: Map<number, number[]>;
  failure: (() => Promise<never>) | undefined;
  state(): Promise<LogState>;
  lastSequenceOf(shard: number): Promise<number>;
  countAfter(shard: number, after: number): Promise<number>;
  /** Sequence and log time of the first message that is kept. */
  first: { readonly sequence: number; readonly timeMs: number };
  messageAt(sequence: number): Promise<LogMessage | undefined>;
  open(): ShardReader;
}

/** History that is as long as the log, of which nothing is read. */
export function fakeHistory(log: FakeLog): EventHistory {
  return {
    async beginning() {
      const { createdAt, firstSequence, lastSequence } = await log.state();
      const first = lastSequence < firstSequence ? undefined : await log.messageAt(firstSequence);
      return { logId: createdAt, firstSequence, keptFromMs: first?.timeMs };
    },
    async *read() {},
  };
}

export function fakeLog(): FakeLog {
  const of = (shard: number) => fake.shards.get(shard) ?? [];
  const fake: FakeLog = {
    createdAt: 'log-1',
    shards: new Map(),
    failure: undefined,
    async state() {
      if (fake.failure) return fake.failure();
      const all = [...fake.shards.values()].flat();
      const lastSequence = Math.max(0, ...all);
      return {
        createdAt: fake.createdAt,
        firstSequence: fake.first.sequence,
        lastSequence,
        messages: all.length,
        bytes: 0,
        bytesMax: -1,
      };
    },
    lastSequenceOf: async (shard) => of(shard).at(-1) ?? 0,
    countAfter: async (shard, after) => of(shard).filter((sequence) => sequence > after).length,
    first: { sequence: 1, timeMs: 0 },
    messageAt: async (sequence) => {
      const { timeMs } = fake.first;
      return { shard: 0, source: 'ingest', sequence, timeMs, payload: Buffer.from('{}') };
    },
    open() {
      throw new Error('the log of this test holds no messages');
    },
  };
  return fake;
}

export interface FakeMembership {
  readonly answers: Map<string, ProbeAnswer>;
  members(): Promise<readonly string[]>;
  probe(id: string, timeoutMs: number): Promise<ProbeAnswer>;
}

export function fakeMembership(): FakeMembership {
  const answers = new Map<string, ProbeAnswer>();
  return {
    answers,
    members: async () => [...answers.keys()],
    probe: async (id) => answers.get(id) ?? { kind: 'gone' },
  };
}

export interface FakeCopies {
  readonly known: CopyState[];
  states(): Promise<readonly CopyState[]>;
}

export function fakeCopies(): FakeCopies {
  const known: CopyState[] = [];
  return { known, states: async () => known };
}

export function report(id: string, part: Partial<MemberReport> = {}): MemberReport {
  return {
    id,
    startedAtMs: 1_000,
    shards: [],
    halted: [],
    lag: {},
    lastCommitAtMs: {},
    configVersion: 1,
    ...part,
  };
}

export interface FakeReplyBoxes extends ReplyBoxes {
  /** Replies that each box gets, by number. */
  readonly replies: Map<number, object>;
  open(): ReplyBox;
  /** Boxes that were opened and not closed. */
  openCount: number;
}

/** Boxes that hold what a test put into `replies`, at once or never. */
export function fakeReplyBoxes(): FakeReplyBoxes {
  const fake: FakeReplyBoxes = {
    replies: new Map(),
    openCount: 0,
    open() {
      fake.openCount++;
      return {
        subjectOf: (number) => `_INBOX.box.${number}`,
        collect: async () =>
          new Map([...fake.replies].map(([number, reply]) => [number, Buffer.from(JSON.stringify(reply))])),
        close: () => {
          fake.openCount--;
        },
      };
    },
  };
  return fake;
}
