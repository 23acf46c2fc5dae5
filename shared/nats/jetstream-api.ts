// Requests to the JetStream API over the door: JSON in, JSON out, the server's error as a value.
import { StitchworkError } from '../kernel/errors.ts';
import type { NatsDoor } from './connect.ts';

export interface ApiError {
  readonly code: number;
  readonly err_code: number;
  readonly description: string;
}

export type ApiAnswer =
  | { readonly kind: 'ok'; readonly body: Record<string, unknown> }
  | { readonly kind: 'error'; readonly error: ApiError }
  | { readonly kind: 'none'; readonly reason: string };

/** One API request. `none`: no answer, so it may or may not have been carried out. */
export async function callApi(
  door: NatsDoor,
  subject: string,
  body?: unknown,
  timeoutMs = 5000,
): Promise<ApiAnswer> {
  const payload = body === undefined ? '' : JSON.stringify(body);
  const reply = await door.request(`$JS.API.${subject}`, payload, { timeoutMs });
  if (reply.kind !== 'reply') return { kind: 'none', reason: reply.kind };
  const answer = reply.msg.json<Record<string, unknown> & { error?: ApiError }>();
  return answer.error ? { kind: 'error', error: answer.error } : { kind: 'ok', body: answer };
}

export interface RawMessage {
  readonly subject: string;
  readonly sequence: number;
  readonly timeMs: number;
  readonly data: Uint8Array;
  readonly headers: string;
}

export const NO_MESSAGE = 10037;
/**
 * For requests that are asked again: while a stream has no leader nobody answers, and the new leader does not know of what
 * was asked before its time.
 */
export const LEADER_TIMEOUT_MS = 2000;

/**
 * STREAM.MSG.GET from the leader: by `seq`, `last_by_subj` (wildcards allowed) or `next_by_subj`. Undefined when there is
 * no such message. Throws `unavailable` when there is no answer.
 */
export async function getMessage(
  door: NatsDoor,
  stream: string,
  query: Readonly<Record<string, unknown>>,
  unavailable: 'LOG_UNAVAILABLE' | 'STORE_UNAVAILABLE',
): Promise<RawMessage | undefined> {
  const answer = await callApi(door, `STREAM.MSG.GET.${stream}`, query, LEADER_TIMEOUT_MS);
  if (answer.kind === 'none')
    throw new StitchworkError(unavailable, `${stream} gives no answer: ${answer.reason}`);
  if (answer.kind === 'error') {
    if (answer.error.err_code === NO_MESSAGE) return undefined;
    throw new StitchworkError(unavailable, `${stream}: ${answer.error.description}`);
  }
  const message = answer.body.message as Record<string, string> & { seq: number };
  return {
    subject: message.subject!,
    sequence: message.seq,
    timeMs: Date.parse(message.time!),
    data: Buffer.from(message.data ?? '', 'base64'),
    headers: Buffer.from(message.hdrs ?? '', 'base64').toString('latin1'),
  };
}

/** The value of a header in a raw header block. */
export function rawHeader(block: string, name: string): string | undefined {
  const line = block.split('\r\n').find((text) => text.toLowerCase().startsWith(`${name.toLowerCase()}:`));
  return line?.slice(name.length + 1).trim();
}

export interface StreamState {
  readonly created: string;
  readonly config: Record<string, unknown>;
  readonly state: { messages: number; bytes: number; first_seq: number; last_seq: number };
  readonly sources?: readonly {
    name: string;
    lag: number;
    active: number;
    error?: { description?: string };
  }[];
}

/** STREAM.INFO, undefined when there is no such stream. Throws `unavailable`. */
export async function streamInfo(
  door: NatsDoor,
  stream: string,
  unavailable: 'LOG_UNAVAILABLE' | 'STORE_UNAVAILABLE',
  timeoutMs?: number,
): Promise<StreamState | undefined> {
  const answer = await callApi(door, `STREAM.INFO.${stream}`, undefined, timeoutMs);
  if (answer.kind === 'ok') return answer.body as unknown as StreamState;
  if (answer.kind === 'error' && answer.error.err_code === 10059) return undefined;
  const reason = answer.kind === 'error' ? answer.error.description : answer.reason;
  throw new StitchworkError(unavailable, `${stream} gives no answer: ${reason}`);
}
