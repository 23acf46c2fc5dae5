// A kept-alive HTTP/1.1 connection that costs the generator little: one request at a time, written as it was prepared, and
// of the answer no more is read than is needed.
import { connect as connectPlain, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

export interface HttpAnswer {
  readonly status: number;
  readonly body: Buffer;
}

interface Pending {
  readonly resolve: (answer: HttpAnswer) => void;
  readonly reject: (error: Error) => void;
}

const HEAD_END = Buffer.from('\r\n\r\n');
const LAST_CHUNK = '0\r\n\r\n';
const EMPTY = Buffer.alloc(0);

export class HttpConnection {
  readonly #url: URL;
  #socket: Socket | undefined;
  #received: Buffer = EMPTY;
  #pending: Pending | undefined;

  constructor(url: URL) {
    this.#url = url;
  }

  /** Sends one request, head and body as bytes; the one before must have been answered. Rejects when the connection breaks. */
  async request(bytes: Buffer | string): Promise<HttpAnswer> {
    this.#socket ??= await this.#open();
    const socket = this.#socket;
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      socket.write(bytes);
    });
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #open(): Promise<Socket> {
    const { hostname, port, protocol } = this.#url;
    const host = hostname.replace(/^\[|\]$/g, '');
    return new Promise((resolve, reject) => {
      const secure = protocol === 'https:';
      const onReady = () => resolve(socket);
      const socket = secure
        ? connectTls({ host, port: Number(port) || 443, servername: host }, onReady)
        : connectPlain({ host, port: Number(port) || 80 }, onReady);
      socket.setNoDelay(true);
      socket.on('data', (chunk: Buffer) => this.#read(chunk));
      const broken = (error: Error) => {
        if (this.#socket === socket) this.#socket = undefined;
        this.#received = EMPTY;
        const pending = this.#pending;
        this.#pending = undefined;
        pending?.reject(error);
        reject(error);
      };
      socket.once('error', broken);
      socket.once('close', () => broken(new Error('the connection was closed')));
    });
  }

  #read(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const answer = parseAnswer(this.#received);
    if (!answer) return;
    this.#received = EMPTY;
    const pending = this.#pending;
    this.#pending = undefined;
    pending?.resolve(answer);
  }
}

/** A whole answer, or undefined when more has to come. */
export function parseAnswer(bytes: Buffer): HttpAnswer | undefined {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const head = bytes.toString('latin1', 0, headEnd);
  const status = Number(head.slice(9, 12));
  const body = bytes.subarray(headEnd + HEAD_END.length);
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  if (length !== undefined) {
    return body.length < Number(length) ? undefined : { status, body: body.subarray(0, Number(length)) };
  }
  if (!/\r\ntransfer-encoding: *chunked/i.test(head)) return { status, body: EMPTY };
  return body.toString('latin1').endsWith(LAST_CHUNK) ? { status, body: unchunk(body) } : undefined;
}

function unchunk(body: Buffer): Buffer {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const lineEnd = body.indexOf('\r\n', at);
    const size = Number.parseInt(body.toString('latin1', at, lineEnd), 16);
    if (!(size > 0)) return Buffer.concat(parts);
    parts.push(body.subarray(lineEnd + 2, lineEnd + 2 + size));
    at = lineEnd + 2 + size + 2;
  }
}

/** Head and body of a request, ready to be written. */
export function requestBytes(
  method: 'GET' | 'POST',
  url: URL,
  path: string,
  options: { readonly key?: string; readonly body?: string },
): string {
  const { key, body } = options;
  const lines = [`${method} ${path} HTTP/1.1`, `host: ${url.host}`, 'connection: keep-alive'];
  if (key !== undefined) lines.push(`authorization: Bearer ${key}`);
  if (body !== undefined) {
    lines.push('content-type: application/json', `content-length: ${Buffer.byteLength(body)}`);
  }
  return `${lines.join('\r\n')}\r\n\r\n${body ?? ''}`;
}
