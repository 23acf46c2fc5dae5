// One event every few milliseconds, whatever has become of those before it: shows when events are not accepted. Each is
// sent again until it is accepted, and counts for the oracle.
import { WRITE_KEY } from '../crash/fleet.ts';
import type { WireEvent } from '../crash/oracle.ts';

const EVERY_MS = 50;
const OPEN_MAX = 100;
const RETRY_MS = 50;
const TIMEOUT_MS = 15_000;
const DRAIN_MS = 60_000;

export class Pulse {
  readonly accepted: WireEvent[] = [];
  /** When each answer came, ms since the epoch, in order. */
  readonly acceptedAtMs: number[] = [];
  readonly #gateways: readonly string[];
  readonly #seed: number;
  readonly #open = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  readonly #giveUp = new AbortController();
  #beats = 0;

  constructor(gateways: readonly string[], seed: number) {
    this.#gateways = gateways;
    this.#seed = seed;
    this.#timer = setInterval(() => this.#beat(), EVERY_MS);
  }

  /** Resolves when everything that was sent is accepted. Throws when that takes too long. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const late = setTimeout(() => this.#giveUp.abort(new Error('the pulse was not accepted')), DRAIN_MS);
    await Promise.all(this.#open);
    clearTimeout(late);
    this.#giveUp.signal.throwIfAborted();
  }

  #beat(): void {
    if (this.#open.size >= OPEN_MAX) return;
    const beat = ++this.#beats;
    const messageId = `pulse-${this.#seed}-${beat}`;
    const keys = { device: `pulse-${beat % 100}` };
    const timestamp = Date.now();
    const event = { messageId, name: 'Page Viewed', keys, properties: { page: messageId }, timestamp };
    const sending = this.#send(event, beat).finally(() => this.#open.delete(sending));
    this.#open.add(sending);
  }

  async #send(event: WireEvent, beat: number): Promise<void> {
    for (let attempt = beat; !this.#giveUp.signal.aborted; attempt++) {
      if (await post(this.#gateways[attempt % this.#gateways.length]!, event)) {
        this.accepted.push(event);
        this.acceptedAtMs.push(Date.now());
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

async function post(gateway: string, event: WireEvent): Promise<boolean> {
  try {
    const response = await fetch(`${gateway}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${WRITE_KEY}` },
      body: JSON.stringify(event),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await response.arrayBuffer();
    return response.status === 202;
  } catch {
    return false;
  }
}
