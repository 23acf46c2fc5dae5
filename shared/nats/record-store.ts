// Records of a bucket over JetStream: an atomic batch with an expected revision per record.
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

/** A bucket: its stream, and what its keys have in front as subjects. */
interface Place {
  readonly stream: string;
  readonly prefix: string;
}

/** The profile bucket. */
export function createRecordStore(
  door: NatsDoor,
  names: SegmentNames,
  options: RecordStoreOptions = {},
): RecordStore {
  return storeAt(door, { stream: names.profilesStream, prefix: names.recordSubjectPrefix }, options);
}

/** The bucket of snapshots. Its records are put, never removed. */
export function createSnapshotStore(door: NatsDoor, names: SegmentNames): RecordStore {
  return storeAt(door, { stream: names.snapshotsStream, prefix: names.snapshotSubject('') }, {});
}

function storeAt(door: NatsDoor, place: Place, { silentAlarms = false }: RecordStoreOptions): RecordStore {
  const { stream, prefix } = place;
  return {
    async read(keys, from) {
      if (keys.length === 0) return new Map();
      return from === 'leader' ? readFromLeader(door, place, keys) : readFromReplica(door, place, keys);
    },
    async keyAt(sequence) {
      const message = await getMessage(door, stream, { seq: sequence }, 'STORE_UNAVAILABLE');
      return message?.subject.startsWith(prefix) ? message.subject.slice(prefix.length) : undefined;
    },
    async commit(writes) {
      const messages = writes.map((write) => toMessage(place, silentAlarms ? silenced(write) : write));
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

function toMessage({ prefix }: Place, write: StoreWrite): BatchMessage {
  const subject = `${prefix}${write.key}`;
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
          ['Nats-Schedule-Target', `${prefix}${write.target}`],
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
  { stream, prefix }: Place,
  keys: readonly string[],
): Promise<Map<string, StoredRecord>> {
  const found = await Promise.all(
    keys.map((key) => getMessage(door, stream, { last_by_subj: `${prefix}${key}` }, 'STORE_UNAVAILABLE')),
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
  { stream, prefix }: Place,
  keys: readonly string[],
): Promise<Map<string, StoredRecord>> {
  const records = new Map<string, StoredRecord>(keys.map((key) => [key, { key, value: null, revision: 0 }]));
  const answer = await readLast(
    door,
    stream,
    keys.map((key) => `${prefix}${key}`),
    (subject, sequence, data, removed) => {
      const key = subject.slice(prefix.length);
      records.set(key, { key, value: removed ? null : data, revision: sequence });
    },
  );
  if (answer !== 'ok') throw new StitchworkError('STORE_UNAVAILABLE', `${stream}: ${answer}`);
  return records;
}
