// Many newest messages in one request (direct get with `multi_last`, NATS 2.11). Any replica answers, so what comes back
// may be older than the leader's. The server looks up all subjects of a request under one lock, and leaves out a message
// that was replaced before it was sent: what one request brings is of one moment.
import type { Msg } from 'nats';
import { READ_TOGETHER_MAX } from '../ports/record-store.ts';
import type { NatsDoor } from './connect.ts';

const TIMEOUT_MS = 3000;

type OnMessage = (subject: string, sequence: number, data: Uint8Array, removed: boolean) => void;

/**
 * Calls back for each subject that has a message, and with the position up to which a replica that answered had the stream
 * (of an answer without messages it says none). Resolves with `ok`, or with the reason why it is not known.
 */
export async function readLast(
  door: NatsDoor,
  stream: string,
  subjects: readonly string[],
  onMessage: OnMessage,
  onUpTo?: (sequence: number) => void,
): Promise<string> {
  const chunks: (readonly string[])[] = [];
  for (let i = 0; i < subjects.length; i += READ_TOGETHER_MAX)
    chunks.push(subjects.slice(i, i + READ_TOGETHER_MAX));
  const answers = await Promise.all(chunks.map((chunk) => readChunk(door, stream, chunk, onMessage, onUpTo)));
  return answers.find((answer) => answer !== 'ok') ?? 'ok';
}

async function readChunk(
  door: NatsDoor,
  stream: string,
  subjects: readonly string[],
  onMessage: OnMessage,
  onUpTo?: (sequence: number) => void,
): Promise<string> {
  let problem: string | undefined;
  let left = 0;
  const seen = new Set<string>();
  const each = (msg: Msg): 'more' | 'done' => {
    const status = msg.headers?.code ?? 0;
    if (status === 204 || status === 404) {
      left = Number(msg.headers?.get('Nats-Num-Pending') || 0);
      const upTo = msg.headers?.get('Nats-UpTo-Sequence');
      if (upTo) onUpTo?.(Number(upTo));
      return 'done';
    }
    if (status >= 400) {
      problem = `${status} ${msg.headers?.description ?? ''}`;
      return 'done';
    }
    const hdrs = msg.headers!;
    const removed = hdrs.has('KV-Operation');
    const subject = hdrs.get('Nats-Subject');
    seen.add(subject);
    onMessage(subject, Number(hdrs.get('Nats-Sequence')), new Uint8Array(msg.data), removed);
    return 'more';
  };
  const body = JSON.stringify({ multi_last: subjects });
  const end = await door.requestMany(`$JS.API.DIRECT.GET.${stream}`, body, each, TIMEOUT_MS);
  if (end.kind !== 'done') return end.kind;
  if (problem !== undefined || left === 0) return problem ?? 'ok';
  // The server ends an answer at a number of bytes (64 MB): what is missing is not absent, it was not sent.
  if (seen.size === 0) return 'the server sends nothing';
  const rest = subjects.filter((subject) => !seen.has(subject));
  return readChunk(door, stream, rest, onMessage, onUpTo);
}
