// Atomic batch publish (NATS ADR-50), written by hand: the client's helper drops per-message expectations and hides the
// server's error. All messages go out at once; the answer to the last one speaks for all.
import { nuid } from 'nats';
import type { HeaderList, NatsDoor } from './connect.ts';

export interface BatchMessage {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly headers: HeaderList;
}

export type BatchAnswer =
  | { readonly kind: 'stored'; readonly lastSequence: number; readonly duplicate: boolean }
  | {
      readonly kind: 'error';
      readonly errCode: number;
      readonly status: number;
      readonly description: string;
    }
  | { readonly kind: 'none'; readonly reason: string };

/** The server's code for a message over the size limit; it would break the connection instead of answering with it. */
const MESSAGE_TOO_LARGE = 10054;
/** Most that the headers of the batch itself take. */
const BATCH_HEADER_BYTES = 160;

function sizeOf({ payload, headers }: BatchMessage): number {
  const own = headers.reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0);
  return payload.length + own + BATCH_HEADER_BYTES;
}

/** Stores all messages or none. One message goes as a plain publish, which costs the server less. */
export async function publishBatch(
  door: NatsDoor,
  messages: readonly BatchMessage[],
  timeoutMs: number,
): Promise<BatchAnswer> {
  if (!door.connected) return { kind: 'none', reason: 'disconnected' };
  const tooLarge = messages.find((message) => sizeOf(message) > (door.nc.info?.max_payload ?? Infinity));
  if (tooLarge) {
    const description = `${tooLarge.subject}: ${sizeOf(tooLarge)} bytes are more than the server takes`;
    return { kind: 'error', errCode: MESSAGE_TOO_LARGE, status: 400, description };
  }
  const batchId = nuid.next();
  const last = messages.length - 1;
  for (let i = 0; i < last; i++) {
    const { subject, payload, headers } = messages[i]!;
    if (!door.publish(subject, payload, [...batchHeaders(batchId, i), ...headers])) {
      return { kind: 'none', reason: 'disconnected' };
    }
  }
  const { subject, payload, headers } = messages[last]!;
  const own: HeaderList = last === 0 ? [] : [...batchHeaders(batchId, last), ['Nats-Batch-Commit', '1']];
  const reply = await door.request(subject, payload, { headers: [...own, ...headers], timeoutMs });
  if (reply.kind !== 'reply') return { kind: 'none', reason: reply.kind };
  return parseAnswer(reply.msg.json());
}

function batchHeaders(batchId: string, index: number): HeaderList {
  return [
    ['Nats-Batch-Id', batchId],
    ['Nats-Batch-Sequence', String(index + 1)],
  ];
}

function parseAnswer(answer: {
  seq?: number;
  duplicate?: boolean;
  error?: { code: number; err_code: number; description: string };
}): BatchAnswer {
  if (answer.error) {
    const { code, err_code, description } = answer.error;
    return { kind: 'error', errCode: err_code, status: code, description };
  }
  return { kind: 'stored', lastSequence: answer.seq!, duplicate: answer.duplicate === true };
}
