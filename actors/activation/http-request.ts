// One HTTP request without redirects: to an address that is allowed, within a deadline, with the first bytes of the answer.
import type { Agent as HttpAgent, IncomingHttpHeaders, IncomingMessage, RequestOptions } from 'node:http';
import { request as requestHttp } from 'node:http';
import { type Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { errorText } from '../../shared/kernel/errors.ts';

/** Bytes of an answer that are kept. */
const ANSWER_BYTES_MAX = 1024;
/** An answer that is longer costs its connection. */
const DRAINED_BYTES_MAX = 64 * 1024;

export interface HttpCall {
  readonly url: URL;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  readonly agent: HttpAgent | HttpsAgent;
  readonly lookup: NonNullable<RequestOptions['lookup']>;
  readonly signal: AbortSignal;
}

export type HttpResult =
  | {
      readonly kind: 'answered';
      readonly status: number;
      readonly headers: IncomingHttpHeaders;
      /** Control characters and what is no UTF-8 replaced. */
      readonly answer: string;
    }
  /** `sent`: the receiver may have it. */
  | { readonly kind: 'failed'; readonly sent: boolean; readonly error: Error };

/** Never rejects. A connection that was kept and turns out to be closed is replaced once. */
export async function callHttp(call: HttpCall): Promise<HttpResult> {
  const first = await callOnce(call);
  return first.kind === 'stale' ? asResult(await callOnce(call)) : first;
}

type Once = HttpResult | { readonly kind: 'stale'; readonly error: Error };

function asResult(result: Once): HttpResult {
  return result.kind === 'stale' ? { kind: 'failed', sent: true, error: result.error } : result;
}

function callOnce({ url, method, headers, body, agent, lookup, signal }: HttpCall): Promise<Once> {
  return new Promise((resolve) => {
    const request = url.protocol === 'https:' ? requestHttps : requestHttp;
    let sent = false;
    const outgoing = request(url, { method, headers, agent, lookup, signal });
    outgoing.once('socket', (socket) => {
      const event = url.protocol === 'https:' ? 'secureConnect' : 'connect';
      if (outgoing.reusedSocket) sent = true;
      else
        socket.once(event, () => {
          sent = true;
        });
    });
    outgoing.once('response', (response) => {
      readAnswer(response, signal).then((answer) =>
        resolve({ kind: 'answered', status: response.statusCode ?? 0, headers: response.headers, answer }),
      );
    });
    outgoing.once('error', (error: NodeJS.ErrnoException) => {
      const stale = outgoing.reusedSocket && error.code === 'ECONNRESET' && !signal.aborted;
      resolve(stale ? { kind: 'stale', error } : { kind: 'failed', sent, error });
    });
    outgoing.end(body);
  });
}

/** The first bytes; what is already known of the answer counts, also when the rest never comes. */
function readAnswer(response: IncomingMessage, signal: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const kept: Buffer[] = [];
    let bytes = 0;
    const end = () => {
      signal.removeEventListener('abort', onAbort);
      resolve(readable(Buffer.concat(kept).subarray(0, ANSWER_BYTES_MAX)));
    };
    const onAbort = () => {
      response.destroy();
      end();
    };
    signal.addEventListener('abort', onAbort, { once: true });
    response.on('data', (chunk: Buffer) => {
      if (bytes < ANSWER_BYTES_MAX) kept.push(chunk);
      bytes += chunk.length;
      if (bytes > DRAINED_BYTES_MAX) response.destroy();
    });
    response.once('error', end);
    response.once('close', end);
  });
}

function readable(bytes: Buffer): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is replaced
  return bytes.toString('utf8').replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g, '\ufffd');
}

/** What went wrong, with the code of the system when it has one. */
export function failureText(error: Error): string {
  const inner = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
  const text = errorText(inner);
  const code = inner instanceof Error && 'code' in inner ? String(inner.code) : '';
  return code === '' || text.includes(code) ? text : `${code}: ${text}`;
}
