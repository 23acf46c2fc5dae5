// Deliveries over JetStream: attempts and what was tried so far in a stream of their own, the end of a delivery through the
// outbox of the profile bucket, as what a commit tells leaves.
import type { PastAttempts } from '../contract/delivery.ts';
import { NO_ATTEMPTS } from '../contract/delivery.ts';
import { recordKeys, type SegmentNames } from '../contract/names.ts';
import { StitchworkError } from '../kernel/errors.ts';
import type { DeliveryLog } from '../ports/delivery-log.ts';
import type { RecordStore, StoreWrite } from '../ports/record-store.ts';
import { type BatchMessage, publishBatch } from './atomic-batch.ts';
import type { HeaderList, NatsDoor } from './connect.ts';
import { gather } from './gather.ts';
import { callApi, getMessage, LEADER_TIMEOUT_MS } from './jetstream-api.ts';

const PUBLISH_TIMEOUT_MS = 5000;

/** What is written together. */
const TOGETHER = { items: 100, bytes: 1024 * 1024 } as const;

export function createDeliveryLog(
  door: NatsDoor,
  names: SegmentNames,
  store: Pick<RecordStore, 'commit'>,
): DeliveryLog {
  const attempts = gather<BatchMessage>((messages) => publishAll(door, names, messages), {
    ...TOGETHER,
    weigh: ({ payload }) => payload.length,
  });
  const ends = gather<readonly NewRecord[]>((records) => commitAll(store, records.flat()), {
    ...TOGETHER,
    weigh: (records) => records.reduce((sum, { value }) => sum + value.length, 0),
  });
  return {
    add: (entry) =>
      attempts.write({ subject: names.attemptSubject(entry.name), payload: bytesOf(entry), headers: [] }),
    async past(destination, key) {
      const query = { last_by_subj: names.pastSubject(destination, key) };
      const found = await getMessage(door, names.deliveriesStream, query, 'LOG_UNAVAILABLE');
      return found ? pastOf(found.data) : NO_ATTEMPTS;
    },
    remember: (destination, key, past, keepMs) =>
      publish(door, names.pastSubject(destination, key), past, [
        ['Nats-Rollup', 'sub'],
        ['Nats-TTL', `${Math.max(1, Math.ceil(keepMs / 1000))}s`],
      ]),
    async forget(destination, key) {
      const filter = names.pastSubject(destination, key);
      await callApi(door, `STREAM.PURGE.${names.deliveriesStream}`, { filter }, LEADER_TIMEOUT_MS);
    },
    end: (audit, dead) =>
      ends.write([
        ...(dead ? [newRecord(recordKeys.deadActivation(dead.destination, audit.id), dead)] : []),
        newRecord(recordKeys.audit(audit.kind, audit.id), audit),
      ]),
  };
}

type NewRecord = Extract<StoreWrite, { kind: 'put' }>;

function newRecord(key: string, body: object): NewRecord {
  return { kind: 'put', key, value: bytesOf(body), expect: 0 };
}

async function publishAll(
  door: NatsDoor,
  names: SegmentNames,
  messages: readonly BatchMessage[],
): Promise<void> {
  const answer = await publishBatch(door, messages, PUBLISH_TIMEOUT_MS);
  if (answer.kind === 'stored') return;
  const reason = answer.kind === 'error' ? answer.description : answer.reason;
  throw new StitchworkError('LOG_UNAVAILABLE', `${names.deliveriesStream}: ${reason}`);
}

async function commitAll(store: Pick<RecordStore, 'commit'>, records: readonly NewRecord[]): Promise<void> {
  // Two ends of one delivery that come at the same time are one.
  const unique = [...new Map(records.map((record) => [record.key, record])).values()];
  const outcome = await store.commit(unique);
  if (outcome.kind === 'committed') return;
  // It stands there from a time whose answer was lost. Of several, each is tried by itself.
  if (outcome.kind === 'conflict' && unique.every(({ key }) => isOneEnd(key, unique))) return;
  const reason = outcome.kind === 'conflict' ? outcome.kind : outcome.reason;
  throw new StitchworkError('STORE_UNAVAILABLE', `the end of a delivery was not stored: ${reason}`);
}

/** Whether all records are of the end that the key is of: ends differ in the last token of their keys. */
function isOneEnd(key: string, records: readonly NewRecord[]): boolean {
  const end = key.split('.').at(-1);
  return records.every((record) => record.key.split('.').at(-1) === end);
}

function bytesOf(body: object): Uint8Array {
  return Buffer.from(JSON.stringify(body));
}

async function publish(door: NatsDoor, subject: string, body: object, headers: HeaderList): Promise<void> {
  const reply = await door.request(subject, JSON.stringify(body), { headers, timeoutMs: PUBLISH_TIMEOUT_MS });
  if (reply.kind !== 'reply') throw new StitchworkError('LOG_UNAVAILABLE', `${subject}: ${reply.kind}`);
  const { error } = reply.msg.json<{ error?: { description: string } }>();
  if (error) throw new StitchworkError('LOG_UNAVAILABLE', `${subject}: ${error.description}`);
}

function pastOf(data: Uint8Array): PastAttempts {
  const { attempts, refusals } = JSON.parse(Buffer.from(data).toString('utf8')) as PastAttempts;
  return { attempts, refusals };
}
