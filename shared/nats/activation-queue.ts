// The queue of activations over JetStream: a durable consumer a destination on the stream of activations, shared by all
// processes. It filters nothing: which destinations an activation goes to stands in it, and a filter that is changed later
// would miss what the server had passed by already.
import { createInbox, type Msg } from 'nats';
import type { SegmentNames } from '../contract/names.ts';
import { StitchworkError } from '../kernel/errors.ts';
import { type ActivationQueue, HOLD_MS, type QueuedActivation } from '../ports/activation-queue.ts';
import type { NatsDoor } from './connect.ts';
import { callApi, LEADER_TIMEOUT_MS } from './jetstream-api.ts';
import { parseAckSubject } from './pull-session.ts';

const NS = 1e6;
const EXPIRES_MS = 5000;
const HEARTBEAT_MS = 1000;
/** Handed out and not done, of all processes: those that wait for another attempt count. */
const BEGUN_MAX = 5000;
/** A consumer that nobody uses goes when all that it could hand out has gone from the stream. */
const UNUSED_MS = 45 * 86_400_000;

export function createActivationQueue(door: NatsDoor, names: SegmentNames): ActivationQueue {
  const made = new Set<string>();
  return {
    async pull(destination, max, take, signal) {
      const consumer = names.deliveryConsumer(destination);
      try {
        if (!made.has(consumer)) await makeConsumer(door, names, consumer);
        made.add(consumer);
        const end = await pullOnce({ door, names, consumer, max, take, signal });
        if (end === 'gone') made.delete(consumer);
        return end === 'over' ? 'over' : 'unavailable';
      } catch {
        // The server is out of reach: whoever asks waits and asks again.
        return 'unavailable';
      }
    },
    async backlog(destination) {
      const subject = `CONSUMER.INFO.${names.activationsStream}.${names.deliveryConsumer(destination)}`;
      const answer = await callApi(door, subject, undefined, LEADER_TIMEOUT_MS);
      if (answer.kind !== 'ok') return { waiting: 0, begun: 0 };
      const { num_pending = 0, num_ack_pending = 0 } = answer.body;
      return { waiting: Number(num_pending), begun: Number(num_ack_pending) };
    },
  };
}

/** Creates the consumer, or brings it up to date. */
async function makeConsumer(door: NatsDoor, names: SegmentNames, consumer: string): Promise<void> {
  const config = {
    durable_name: consumer,
    name: consumer,
    deliver_policy: 'all',
    ack_policy: 'explicit',
    ack_wait: HOLD_MS * NS,
    max_deliver: -1,
    max_ack_pending: BEGUN_MAX,
    replay_policy: 'instant',
    inactive_threshold: UNUSED_MS * NS,
  };
  const subject = `CONSUMER.CREATE.${names.activationsStream}.${consumer}`;
  const answer = await callApi(door, subject, { stream_name: names.activationsStream, config });
  if (answer.kind === 'ok') return;
  const reason = answer.kind === 'error' ? answer.error.description : answer.reason;
  throw new StitchworkError('LOG_UNAVAILABLE', `${names.activationsStream}, consumer ${consumer}: ${reason}`);
}

interface Pull {
  readonly door: NatsDoor;
  readonly names: SegmentNames;
  readonly consumer: string;
  readonly max: number;
  readonly take: (activation: QueuedActivation) => void;
  readonly signal: AbortSignal;
}

/** `gone`: there may be no consumer any more. */
function pullOnce({ door, names, consumer, max, take, signal }: Pull): Promise<'over' | 'lost' | 'gone'> {
  return new Promise((resolve) => {
    const inbox = createInbox();
    let left = max;
    let heardAtMs = performance.now();
    const end = (how: 'over' | 'lost' | 'gone') => {
      clearInterval(watchdog);
      subscription.unsubscribe();
      forget();
      signal.removeEventListener('abort', onAbort);
      resolve(how);
    };
    const onAbort = () => end('over');
    const receive = (msg: Msg) => {
      heardAtMs = performance.now();
      if (!msg.reply?.startsWith('$JS.ACK.')) {
        const how = endOf(msg);
        if (how) end(how);
        return;
      }
      left -= 1;
      take(queued(door, msg));
      if (left === 0) end('over');
    };
    const subscription = door.nc.subscribe(inbox, {
      callback: (error, msg) => {
        if (!error) receive(msg);
      },
    });
    const watchdog = setInterval(() => {
      if (performance.now() - heardAtMs > 3 * HEARTBEAT_MS) end('lost');
    }, HEARTBEAT_MS);
    const forget = door.onDisconnect(() => end('lost'));
    signal.addEventListener('abort', onAbort, { once: true });
    const request = { batch: max, expires: EXPIRES_MS * NS, idle_heartbeat: HEARTBEAT_MS * NS };
    const subject = `$JS.API.CONSUMER.MSG.NEXT.${names.activationsStream}.${consumer}`;
    if (signal.aborted || !door.connected) end(signal.aborted ? 'over' : 'lost');
    else door.nc.publish(subject, JSON.stringify(request), { reply: inbox });
  });
}

/** What a status means; undefined: the pull goes on. */
function endOf(msg: Msg): 'over' | 'lost' | 'gone' | undefined {
  const code = msg.headers?.code ?? 0;
  if (code === 100) return undefined;
  if (code === 503) return 'gone';
  if (code !== 409) return 'over';
  const description = msg.headers?.description ?? '';
  if (/delet|not found/i.test(description)) return 'gone';
  // Moved, shutting down, too many that wait: not to be asked again at once.
  return /completed/i.test(description) ? 'over' : 'lost';
}

function queued(door: NatsDoor, msg: Msg): QueuedActivation {
  const reply = msg.reply!;
  const place = parseAckSubject(reply);
  return {
    sequence: place.streamSequence,
    storedMs: place.timeMs,
    handedOut: place.delivered,
    payload: Uint8Array.from(msg.data),
    done: () => void door.publish(reply, '+ACK'),
    again: (afterMs) => void door.publish(reply, `-NAK {"delay": ${Math.round(afterMs * NS)}}`),
    working: () => void door.publish(reply, '+WPI'),
  };
}
