// The audit log over JetStream: direct get batches, which any replica answers, without a consumer. The server reads forward
// only, so a page is a stretch of sequences read from its older end; what does not fit the bytes goes from there.
import type { Msg } from 'nats';
import type { SegmentNames } from '../contract/names.ts';
import { StitchworkError } from '../kernel/errors.ts';
import type { AuditLog, AuditMessage, AuditPage, AuditPageLimits } from '../ports/audit-log.ts';
import type { NatsDoor } from './connect.ts';
import { getMessage, LEADER_TIMEOUT_MS, streamInfo } from './jetstream-api.ts';
import { whileBehind } from './leader-lag.ts';

const TIMEOUT_MS = 3000;

export function createAuditLog(door: NatsDoor, names: SegmentNames): AuditLog {
  return {
    end: (beforeMs) => end(door, names, beforeMs),
    readBack: (before, limits) => readBack(door, names, before, limits),
  };
}

async function end(door: NatsDoor, names: SegmentNames, beforeMs: number | undefined): Promise<number> {
  const { last_seq } = await stateOf(door, names);
  if (beforeMs === undefined) return last_seq + 1;
  let first = last_seq + 1;
  const query = { start_time: new Date(beforeMs).toISOString(), batch: 1 };
  await directGet(door, names, query, ({ sequence }) => {
    first = sequence;
    return 'done';
  });
  return first;
}

async function readBack(
  door: NatsDoor,
  names: SegmentNames,
  before: number,
  limits: AuditPageLimits,
): Promise<AuditPage> {
  const { messages, first_seq, last_seq } = await stateOf(door, names);
  const newest = Math.min(before - 1, last_seq);
  if (messages === 0 || newest < first_seq) return { messages: [], from: before, isLast: true };
  const oldest = Math.max(first_seq, newest - limits.messages + 1);
  let page = await readStretch(door, names, oldest, newest, limits.bytes);
  if (page.to < newest && (await isThere(door, names, newest))) {
    // The replica that answered has not applied all that the leader has.
    const look = () => readStretch(door, names, oldest, newest, limits.bytes);
    page = await whileBehind(look, ({ to }) => to, newest);
    if (page.to < newest) throw unavailable(names, 'a replica lags behind');
  }
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
  names: SegmentNames,
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
    await directGet(door, names, { seq: next, batch: newest - next + 1 }, take);
    if (to < next) break;
  }
  return { messages, from, to };
}

/** Hands over what the answer brings, in order, until there is no more or `take` has enough. */
async function directGet(
  door: NatsDoor,
  names: SegmentNames,
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
  const body = JSON.stringify({ ...query, next_by_subj: names.auditFilter });
  const answer = await door.requestMany(`$JS.API.DIRECT.GET.${names.auditStream}`, body, each, TIMEOUT_MS);
  if (answer.kind !== 'done') throw unavailable(names, answer.kind);
  if (problem !== undefined) throw unavailable(names, problem);
}

function messageOf(msg: Msg): AuditMessage {
  const headers = msg.headers!;
  return {
    sequence: Number(headers.get('Nats-Sequence')),
    timeMs: Date.parse(headers.get('Nats-Time-Stamp')),
    payload: new Uint8Array(msg.data),
  };
}

async function stateOf(door: NatsDoor, names: SegmentNames) {
  const info = await streamInfo(door, names.auditStream, 'STORE_UNAVAILABLE', LEADER_TIMEOUT_MS);
  if (!info) throw unavailable(names, 'there is no such stream');
  return info.state;
}

async function isThere(door: NatsDoor, names: SegmentNames, sequence: number): Promise<boolean> {
  return (await getMessage(door, names.auditStream, { seq: sequence }, 'STORE_UNAVAILABLE')) !== undefined;
}

function unavailable(names: SegmentNames, reason: string): StitchworkError {
  return new StitchworkError('STORE_UNAVAILABLE', `${names.auditStream} gives no answer: ${reason}`);
}
