// The profile bucket over JetStream: an atomic batch with an expected revision per record.
import type { SegmentNames } from '../contract/names.ts';
import { unreachable } from '../kernel/assert.ts';
import { StitchworkError } from '../kernel/errors.ts';
import type { CommitOutcome, RecordStore, StoredRecord, StoreWrite } from '../ports/record-store.ts';
import { type BatchMessage, publishBatch } from './atomic-batch.ts';
import type { HeaderList, NatsDoor } from './connect.ts';
import { readLast } from './direct-get.ts';
import { getMessage, rawHeader } from './jetstream-api.ts';

const COMMIT_TIMEOUT_MS = 5000;
/** How long the marker of a removed record or cancelled alarm stays: far longer than any reader's cache of it matters. */
const MARKER_TTL = '1h';
const EXPECT = 'Nats-Expected-Last-Subject-Sequence';
const EMPTY = new Uint8Array();
const UNAVAILABLE = 503;

const ERROR = {
  wrongLastSequence: 10071,
  inFlight: 10164,
  tooManyBatches: 10210,
  incomplete: 10176,
} as const;
/** The server cannot take more now, whatever is sent: storage, memory or account limits. */
const FULL_CODES = new Set([10023, 10028, 10047, 10077, 10122]);

export interface RecordStoreOptions {
  /** Alarm clocks are kept and do not ring (a shadow segment, whose clock is the events'). */
  readonly silentAlarms?: boolean;
}

export function createRecordStore(
  door: NatsDoor,
  names: SegmentNames,
  { silentAlarms = false }: RecordStoreOptions = {},
): RecordStore {
  const stream = names.profilesStream;
  const prefix = names.recordSubjectPrefix;
  return {
    async read(keys, from) {
      if (keys.length === 0) return new Map();
      return from === 'leader' ? readFromLeader(door, names, keys) : readFromReplica(door, names, keys);
    },
    async keyAt(sequence) {
      const message = await getMessage(door, stream, { seq: sequence }, 'STORE_UNAVAILABLE');
      return message?.subject.startsWith(prefix) ? message.subject.slice(prefix.length) : undefined;
    },
    async commit(writes) {
      const messages = writes.map((write) => toMessage(names, silentAlarms ? silenced(write) : write));
      const answer = await publishBatch(door, messages, COMMIT_TIMEOUT_MS);
      switch (answer.kind) {
        case 'stored': {
          const first = answer.lastSequence - (writes.length - 1);
          return { kind: 'committed', revisions: writes.map((_, index) => first + index) };
        }
        case 'none':
          return { kind: 'unknown', reason: answer.reason };
        case 'error':
          // A leader that loses its followers says so for what it has passed on already.
          if (answer.status === UNAVAILABLE && !FULL_CODES.has(answer.errCode))
            return { kind: 'unknown', reason: answer.description };
          return outcomeOf(answer.errCode, answer.description);
        default:
          return unreachable(answer);
      }
    },
  };
}

function outcomeOf(errCode: number, description: string): CommitOutcome {
  if (errCode === ERROR.wrongLastSequence) {
    return { kind: 'conflict', sequence: Number(/: (\d+)$/.exec(description)?.[1] ?? 0) };
  }
  // Another write of one of these records is on its way to the replicas: whether it is stored is not known yet.
  if (errCode === ERROR.inFlight) return { kind: 'busy', reason: `${errCode} ${description}` };
  if (errCode === ERROR.tooManyBatches || errCode === ERROR.incomplete)
    return { kind: 'busy', reason: description };
  const code = FULL_CODES.has(errCode) ? 'FULL' : String(errCode);
  return { kind: 'refused', code, reason: description };
}

function silenced(write: StoreWrite): StoreWrite {
  return write.kind === 'schedule' ? { kind: 'append', key: write.key, value: write.value } : write;
}

function toMessage(names: SegmentNames, write: StoreWrite): BatchMessage {
  const subject = names.recordSubject(write.key);
  switch (write.kind) {
    case 'put':
      return {
        subject,
        payload: write.value,
        headers: [[EXPECT, String(write.expect)], ...ttlHeaders(write.ttlMs)],
      };
    case 'delete':
      return { subject, payload: EMPTY, headers: [...markerHeaders(), [EXPECT, String(write.expect)]] };
    case 'append':
      return { subject, payload: write.value, headers: [] };
    case 'schedule':
      return {
        subject,
        payload: write.value,
        headers: [
          ['Nats-Schedule', `@at ${new Date(write.atMs).toISOString()}`],
          ['Nats-Schedule-Target', names.recordSubject(write.target)],
        ],
      };
    case 'cancel':
      return { subject, payload: EMPTY, headers: markerHeaders() };
    default:
      return unreachable(write);
  }
}

/** The server counts in whole seconds. */
function ttlHeaders(ttlMs: number | undefined): HeaderList {
  return ttlMs === undefined ? [] : [['Nats-TTL', `${Math.max(1, Math.ceil(ttlMs / 1000))}s`]];
}

function markerHeaders(): HeaderList {
  return [
    ['KV-Operation', 'PURGE'],
    ['Nats-Rollup', 'sub'],
    ['Nats-TTL', MARKER_TTL],
  ];
}

async function readFromLeader(
  door: NatsDoor,
  names: SegmentNames,
  keys: readonly string[],
): Promise<Map<string, StoredRecord>> {
  const found = await Promise.all(
    keys.map((key) =>
      getMessage(door, names.profilesStream, { last_by_subj: names.recordSubject(key) }, 'STORE_UNAVAILABLE'),
    ),
  );
  return new Map(
    keys.map((key, index) => {
      const message = found[index];
      if (!message) return [key, { key, value: null, revision: 0 }];
      const removed = rawHeader(message.headers, 'KV-Operation') !== undefined;
      return [key, { key, value: removed ? null : message.data, revision: message.sequence }];
    }),
  );
}

async function readFromReplica(
  door: NatsDoor,
  names: SegmentNames,
  keys: readonly string[],
): Promise<Map<string, StoredRecord>> {
  const records = new Map<string, StoredRecord>(keys.map((key) => [key, { key, value: null, revision: 0 }]));
  const answer = await readLast(
    door,
    names.profilesStream,
    keys.map(names.recordSubject),
    (subject, sequence, data, removed) => {
      const key = subject.slice(names.recordSubjectPrefix.length);
      records.set(key, { key, value: removed ? null : data, revision: sequence });
    },
  );
  if (answer !== 'ok') throw new StitchworkError('STORE_UNAVAILABLE', `${names.profilesStream}: ${answer}`);
  return records;
}
