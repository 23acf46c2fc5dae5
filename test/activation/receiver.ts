// An HTTP receiver that answers as a test says, and remembers what it was sent. It can go away and come back on its port.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  readonly atMs: number;
}

export type Behaviour = (request: Received, response: ServerResponse, count: number) => void;

export const accept: Behaviour = (_request, response) => void response.writeHead(200).end('thanks');
export const answer =
  (status: number, headers: Record<string, string> = {}, body = ''): Behaviour =>
  (_request, response) =>
    void response.writeHead(status, headers).end(body);
/** Reads the request and says nothing. */
export const hang: Behaviour = () => {};
/** Closes the connection without an answer. */
export const drop: Behaviour = (_request, response) => void response.socket?.destroy();

export class Receiver {
  readonly received: Received[] = [];
  behave: Behaviour = accept;
  #server: Server | undefined;
  #port = 0;

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Ids of what it was sent, in order, repeats included. */
  get ids(): readonly string[] {
    return this.received.map(({ headers }) => String(headers['webhook-id']));
  }

  async open(): Promise<this> {
    const server = createServer((request, response) => this.#take(request, response));
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
    this.#server = server;
    return this;
  }

  /** Cuts every connection and listens no more. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    if (!server) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const received: Received = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(chunks).toString('utf8'),
        atMs: performance.now(),
      };
      this.received.push(received);
      this.behave(received, response, this.received.length);
    });
  }
}
