// The audit log and others that are read backwards, over JetStream: direct get batches, which any replica answers, without a
// consumer. The server reads forward only, so a page is a stretch of sequences read from its older end; what does not fit the bytes goes from there.
import type { Msg } from 'nats';
import type { SegmentNames } from '../contract/names.ts';
import { StitchworkError } from '../kernel/errors.ts';
import type { AuditLog, AuditMessage, AuditPage, AuditPageLimits } from '../ports/audit-log.ts';
import type { NatsDoor } from './connect.ts';
import { getMessage, LEADER_TIMEOUT_MS, streamInfo } from './jetstream-api.ts';
import { whileBehind } from './leader-lag.ts';

const TIMEOUT_MS = 3000;

/** A part of a stream: everything whose subject begins so. */
interface Place {
  readonly stream: string;
  readonly filter: string;
}

export function createAuditLog(door: NatsDoor, names: SegmentNames): AuditLog {
  return createLogBack(door, { stream: names.auditStream, filter: names.auditFilter });
}

/** A part of a stream as a log that is read backwards. The filter ends in a wildcard. */
export function createLogBack(door: NatsDoor, place: Place): AuditLog {
  return {
    end: (beforeMs) => end(door, place, beforeMs),
    readBack: (before, limits) => readBack(door, place, before, limits),
  };
}

async function end(door: NatsDoor, place: Place, beforeMs: number | undefined): Promise<number> {
  const { last_seq } = await stateOf(door, place);
  if (beforeMs === undefined) return last_seq + 1;
  let first = last_seq + 1;
  const query = { start_time: new Date(beforeMs).toISOString(), batch: 1 };
  await directGet(door, place, query, ({ sequence }) => {
    first = sequence;
    return 'done';
  });
  return first;
}

async function readBack(
  door: NatsDoor,
  place: Place,
  before: number,
  limits: AuditPageLimits,
): Promise<AuditPage> {
  const { messages, first_seq, last_seq } = await stateOf(door, place);
  const newest = Math.min(before - 1, last_seq);
  if (messages === 0 || newest < first_seq) return { messages: [], from: before, isLast: true };
  const oldest = Math.max(first_seq, newest - limits.messages + 1);
  // A replica that has not applied all that the leader has answers with less.
  const look = async () => {
    const page = await readStretch(door, place, oldest, newest, limits.bytes);
    const isWhole =
      page.to === newest || !(await leaderHas(door, place, Math.max(page.to + 1, oldest), newest));
    return { page, isWhole };
  };
  const { page, isWhole } = await whileBehind(look, (found) => Number(found.isWhole), 1);
  if (!isWhole) throw unavailable(place, 'a replica lags behind');
  return { messages: page.messages.reverse(), from: page.from, isLast: page.from <= first_seq };
}

interface Stretch {
  /** Oldest first. */
  readonly messages: AuditMessage[];
  readonly from: number;
  /** Sequence of the newest message, 0: there is none. */
  readonly to: number;
}

/** The messages from `oldest` to `newest`, or the newer ones of them that fit `bytesMax`. */
async function readStretch(
  door: NatsDoor,
  place: Place,
  oldest: number,
  newest: number,
  bytesMax: number,
): Promise<Stretch> {
  const messages: AuditMessage[] = [];
  let bytes = 0;
  let from = oldest;
  let to = 0;
  const take = (message: AuditMessage): 'more' | 'done' => {
    if (message.sequence > newest) return 'done';
    to = message.sequence;
    messages.push(message);
    bytes += message.payload.length;
    while (bytes > bytesMax && messages.length > 1) {
      const gone = messages.shift()!;
      bytes -= gone.payload.length;
      from = gone.sequence + 1;
    }
    return to === newest ? 'done' : 'more';
  };
  // The server ends an answer at a number of bytes of its own.
  for (let next = oldest; next <= newest; next = to + 1) {
    await directGet(door, place, { seq: next, batch: newest - next + 1 }, take);
    if (to < next) break;
  }
  return { messages, from, to };
}

/** Hands over what the answer brings, in order, until there is no more or `take` has enough. */
async function directGet(
  door: NatsDoor,
  place: Place,
  query: Readonly<Record<string, unknown>>,
  take: (message: AuditMessage) => 'more' | 'done',
): Promise<void> {
  let problem: string | undefined;
  const each = (msg: Msg): 'more' | 'done' => {
    const status = msg.headers?.code ?? 0;
    // 204: the end of the answer; 404: nothing at or after what was asked for.
    if (status === 204 || status === 404) return 'done';
    if (status >= 400) {
      problem = `${status} ${msg.headers?.description ?? ''}`;
      return 'done';
    }
    return take(messageOf(msg));
  };
  const body = JSON.stringify({ ...query, next_by_subj: place.filter });
  const answer = await door.requestMany(`$JS.API.DIRECT.GET.${place.stream}`, body, each, TIMEOUT_MS);
  if (answer.kind !== 'done') throw unavailable(place, answer.kind);
  if (problem !== undefined) throw unavailable(place, problem);
}

function messageOf(msg: Msg): AuditMessage {
  const headers = msg.headers!;
  return {
    sequence: Number(headers.get('Nats-Sequence')),
    timeMs: Date.parse(headers.get('Nats-Time-Stamp')),
    payload: new Uint8Array(msg.data),
  };
}

async function stateOf(door: NatsDoor, place: Place) {
  const info = await streamInfo(door, place.stream, 'STORE_UNAVAILABLE', LEADER_TIMEOUT_MS);
  if (!info) throw unavailable(place, 'there is no such stream');
  return info.state;
}

/** Whether the leader has a message of the place between the two sequences, both included. */
async function leaderHas(door: NatsDoor, place: Place, from: number, to: number): Promise<boolean> {
  const next = { seq: from, next_by_subj: place.filter };
  const message = await getMessage(door, place.stream, next, 'STORE_UNAVAILABLE');
  return message !== undefined && message.sequence <= to;
}

function unavailable(place: Place, reason: string): StitchworkError {
  return new StitchworkError('STORE_UNAVAILABLE', `${place.stream} gives no answer: ${reason}`);
}
