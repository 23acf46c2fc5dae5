// Where activations are delivered to: answers, or answers badly for a while, and remembers what came.
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export const RECEIVER_FAULTS = ['down', 'errors', 'hangs', 'closes'] as const;
export type ReceiverFault = (typeof RECEIVER_FAULTS)[number];

const HOST = '127.0.0.1';
/** So long a request is under way. */
const ANSWER_MS = 20;

export class Receiver {
  /** How often each activation was answered with 200. */
  readonly answered = new Map<string, number>();
  /** Requests that were answered otherwise, or not at all, by fault. */
  readonly failed: Record<string, number> = {};
  /** What is wrong with what came. */
  readonly strange: string[] = [];
  #fault: ReceiverFault | undefined;
  #server: Server;
  #port = 0;
  #open = 0;

  constructor() {
    this.#server = this.#make();
  }

  get url(): string {
    return `http://${HOST}:${this.#port}/hook`;
  }

  /** Requests that have come and are not answered. */
  get open(): number {
    return this.#open;
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => void this.#server.listen(this.#port, HOST, resolve));
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  /** Behaves so for a while. */
  async misbehave(fault: ReceiverFault, forMs: number): Promise<void> {
    this.#fault = fault;
    if (fault === 'down') await this.close();
    await new Promise((resolve) => setTimeout(resolve, forMs));
    this.#fault = undefined;
    if (fault !== 'down') {
      this.#server.closeAllConnections();
      return;
    }
    this.#server = this.#make();
    await this.start();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #make(): Server {
    return createServer((request, response) => this.#take(request, response));
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    this.#open += 1;
    let text = '';
    response.once('close', () => {
      this.#open -= 1;
    });
    request.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    request.on('error', () => {});
    request.on('end', () => {
      const fault = this.#fault;
      if (fault) this.failed[fault] = (this.failed[fault] ?? 0) + 1;
      if (fault === 'hangs') return;
      if (fault === 'closes') request.socket.destroy();
      else if (fault) response.writeHead(500).end('no');
      else setTimeout(() => this.#note(request, response, text), ANSWER_MS);
    });
  }

  /** Noted before it is answered: whoever gets the answer finds it noted. */
  #note(request: IncomingMessage, response: ServerResponse, text: string): void {
    if (response.destroyed) return;
    const { id } = JSON.parse(text) as { id: string };
    for (const name of ['webhook-id', 'idempotency-key'])
      if (request.headers[name] !== id)
        this.strange.push(`${name} ${request.headers[name]} of activation ${id}`);
    this.answered.set(id, (this.answered.get(id) ?? 0) + 1);
    response.writeHead(200).end();
  }
}
