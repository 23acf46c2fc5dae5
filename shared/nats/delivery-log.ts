// Deliveries over JetStream: attempts and what was tried so far in a stream of their own, the end of a delivery through the
// outbox of the profile bucket, as what a commit tells leaves.
import type { PastAttempts } from '../contract/delivery.ts';
import { NO_ATTEMPTS } from '../contract/delivery.ts';
import { recordKeys, type SegmentNames } from '../contract/names.ts';
import { StitchworkError } from '../kernel/errors.ts';
import type { DeliveryLog } from '../ports/delivery-log.ts';
import type { RecordStore, StoreWrite } from '../ports/record-store.ts';
import type { HeaderList, NatsDoor } from './connect.ts';
import { callApi, getMessage, LEADER_TIMEOUT_MS } from './jetstream-api.ts';

const PUBLISH_TIMEOUT_MS = 5000;

export function createDeliveryLog(
  door: NatsDoor,
  names: SegmentNames,
  store: Pick<RecordStore, 'commit'>,
): DeliveryLog {
  return {
    add: (entry) => publish(door, names.attemptSubject(entry.name), entry, []),
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
    async end(audit, dead) {
      const bytes = (value: object) => Buffer.from(JSON.stringify(value));
      const fresh = (key: string, value: object): StoreWrite => ({
        kind: 'put',
        key,
        value: bytes(value),
        expect: 0,
      });
      const letter = dead ? [fresh(recordKeys.deadActivation(dead.destination, audit.id), dead)] : [];
      const outcome = await store.commit([...letter, fresh(recordKeys.audit(audit.kind, audit.id), audit)]);
      // A conflict: it stands there from an attempt to write it whose answer was lost.
      if (outcome.kind === 'committed' || outcome.kind === 'conflict') return;
      throw new StitchworkError(
        'STORE_UNAVAILABLE',
        `the end of a delivery was not stored: ${outcome.reason}`,
      );
    },
  };
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
