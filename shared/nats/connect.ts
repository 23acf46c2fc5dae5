// The one door to NATS: a connection with its own reply multiplexer (one inbox subscription, a callback per reply, one
// timer for all deadlines), since the client's request path costs more than the server. Everything in flight is
// answered `disconnected` when the connection breaks, so that nothing waits for a server that is gone.
import { connect, headers, type Msg, type MsgHdrs, type NatsConnection, nuid } from 'nats';
import { errorText, StitchworkError } from '../kernel/errors.ts';
import { assertServerVersion } from './server-version.ts';

export type Reply =
  | { readonly kind: 'reply'; readonly msg: Msg }
  | { readonly kind: 'no_responders' }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'disconnected' };

export type HeaderList = readonly (readonly [string, string])[];

export interface NatsDoor {
  readonly nc: NatsConnection;
  readonly connected: boolean;
  readonly serverVersion: string;
  /** Sends a request; always resolves, within the deadline. */
  request(subject: string, payload?: Uint8Array | string, options?: RequestOptions): Promise<Reply>;
  /** A request with many answers: `each` sees them one by one and says whether that was the last. */
  requestMany(
    subject: string,
    payload: Uint8Array | string,
    each: (msg: Msg) => 'more' | 'done',
    timeoutMs?: number,
  ): Promise<Exclude<Reply, { kind: 'reply' }> | { readonly kind: 'done' }>;
  /** Publishes without waiting. Returns false, and sends nothing, while there is no connection. */
  publish(subject: string, payload: Uint8Array | string, headerList?: HeaderList): boolean;
  onReconnect(callback: () => void): () => void;
  onDisconnect(callback: () => void): () => void;
  close(): Promise<void>;
}

export interface RequestOptions {
  readonly headers?: HeaderList;
  readonly timeoutMs?: number;
}

const REQUEST_TIMEOUT_MS = 5000;
/** How often deadlines are looked at. */
const SWEEP_MS = 50;
const RECONNECT_WAIT_MS = 100;

/** Connects, or rejects with LOG_UNAVAILABLE (unreachable) or SERVER_TOO_OLD. Reconnects for ever afterwards. */
export async function connectNats(options: {
  readonly url: string;
  readonly name: string;
}): Promise<NatsDoor> {
  let nc: NatsConnection;
  try {
    nc = await connect({
      servers: options.url.split(',').map((url) => url.trim()),
      name: options.name,
      noAsyncTraces: true,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_WAIT_MS,
      reconnectJitter: RECONNECT_WAIT_MS,
      // A server that is cut off says nothing: it is given up after the second ping without an answer.
      pingInterval: 2000,
      maxPingOut: 2,
      timeout: 5000,
    });
  } catch (cause) {
    throw new StitchworkError('LOG_UNAVAILABLE', `no nats-server at ${options.url}: ${errorText(cause)}`, {
      cause,
    });
  }
  try {
    assertServerVersion(nc.info?.version ?? '0');
  } catch (error) {
    await nc.close();
    throw error;
  }
  return new Door(nc);
}

interface Waiting {
  readonly deadlineMs: number;
  readonly resolve: (reply: Reply) => void;
  /** For many answers: whether more are to come after this one. */
  readonly each?: (msg: Msg) => 'more' | 'done';
}

class Door implements NatsDoor {
  readonly nc: NatsConnection;
  readonly serverVersion: string;
  connected = true;
  readonly #inbox = `_INBOX.${nuid.next()}`;
  readonly #waiting = new Map<string, Waiting>();
  readonly #reconnects = new Set<() => void>();
  readonly #disconnects = new Set<() => void>();
  readonly #sweep: NodeJS.Timeout;
  #sent = 0;

  constructor(nc: NatsConnection) {
    this.nc = nc;
    this.serverVersion = nc.info?.version ?? '0';
    nc.subscribe(`${this.#inbox}.*`, { callback: (error, msg) => this.#answered(error, msg) });
    this.#sweep = setInterval(() => this.#expire(), SWEEP_MS);
    this.#sweep.unref();
    void this.#watch();
  }

  request(subject: string, payload: Uint8Array | string = '', options: RequestOptions = {}): Promise<Reply> {
    return this.#send(subject, payload, options);
  }

  async requestMany(
    subject: string,
    payload: Uint8Array | string,
    each: (msg: Msg) => 'more' | 'done',
    timeoutMs?: number,
  ): Promise<Exclude<Reply, { kind: 'reply' }> | { readonly kind: 'done' }> {
    const reply = await this.#send(subject, payload, timeoutMs === undefined ? {} : { timeoutMs }, each);
    return reply.kind === 'reply' ? { kind: 'done' } : reply;
  }

  #send(
    subject: string,
    payload: Uint8Array | string,
    options: RequestOptions,
    each?: (msg: Msg) => 'more' | 'done',
  ): Promise<Reply> {
    return new Promise((resolve) => {
      if (!this.connected) return resolve({ kind: 'disconnected' });
      const token = (this.#sent++).toString(36);
      const reply = `${this.#inbox}.${token}`;
      const deadlineMs = performance.now() + (options.timeoutMs ?? REQUEST_TIMEOUT_MS);
      this.#waiting.set(token, each ? { deadlineMs, resolve, each } : { deadlineMs, resolve });
      try {
        this.nc.publish(subject, payload, { reply, ...headerOption(options.headers) });
      } catch {
        // The connection is closing under us, or the payload is over the server's limit: nothing was sent.
        this.#waiting.delete(token);
        resolve({ kind: 'disconnected' });
      }
    });
  }

  publish(subject: string, payload: Uint8Array | string, headerList?: HeaderList): boolean {
    if (!this.connected) return false;
    this.nc.publish(subject, payload, headerOption(headerList));
    return true;
  }

  onReconnect(callback: () => void): () => void {
    this.#reconnects.add(callback);
    return () => this.#reconnects.delete(callback);
  }

  onDisconnect(callback: () => void): () => void {
    this.#disconnects.add(callback);
    return () => this.#disconnects.delete(callback);
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep);
    this.#drop();
    await this.nc.close();
  }

  #answered(error: Error | null, msg: Msg): void {
    if (error) return;
    const token = msg.subject.slice(this.#inbox.length + 1);
    const waiting = this.#waiting.get(token);
    if (!waiting) return;
    if (waiting.each?.(msg) === 'more') return;
    this.#waiting.delete(token);
    const gone = msg.data.length === 0 && msg.headers?.code === 503;
    waiting.resolve(gone ? { kind: 'no_responders' } : { kind: 'reply', msg });
  }

  /** Requests are kept in the order they were sent, with few different time-outs: a full pass is cheap and rare. */
  #expire(): void {
    const nowMs = performance.now();
    for (const [token, { deadlineMs, resolve }] of this.#waiting) {
      if (deadlineMs > nowMs) continue;
      this.#waiting.delete(token);
      resolve({ kind: 'timeout' });
    }
  }

  async #watch(): Promise<void> {
    for await (const status of this.nc.status()) {
      if (status.type === 'disconnect' || status.type === 'close') this.#drop();
      if (status.type === 'reconnect') {
        this.connected = true;
        for (const callback of [...this.#reconnects]) callback();
      }
    }
    this.#drop();
  }

  #drop(): void {
    const was = this.connected;
    this.connected = false;
    for (const [, { resolve }] of this.#waiting) resolve({ kind: 'disconnected' });
    this.#waiting.clear();
    if (was) for (const callback of [...this.#disconnects]) callback();
  }
}

function headerOption(list: HeaderList | undefined): { headers?: MsgHdrs } {
  if (!list || list.length === 0) return {};
  const hdrs = headers();
  for (const [name, value] of list) hdrs.append(name, value);
  return { headers: hdrs };
}

/**
 * The transport can throw ECONNRESET or EPIPE out of the event loop when the server dies at connect time (CRASH G10).
 * Installs a handler that swallows exactly that and ends the process, as Node would, on anything else.
 */
export function surviveTransportErrors(onOther: (error: unknown) => void): () => void {
  const handler = (error: unknown) => {
    if (!isTransportReset(error)) onOther(error);
  };
  process.on('uncaughtException', handler);
  return () => process.off('uncaughtException', handler);
}

/** Whether an error is a reset of a socket outside of any call. */
export function isTransportReset(error: unknown): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false;
  return (error.code === 'ECONNRESET' || error.code === 'EPIPE') && 'syscall' in error;
}
