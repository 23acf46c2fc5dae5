// The clients of the crash test: they post what the event stream says to either gateway and repeat a request with the
// same message ids until it is accepted. Runs in a process of its own (`workload-process.ts`).
import { appendFileSync } from 'node:fs';
import { EventStream, type Unit } from './events.ts';
import type { WireEvent } from './oracle.ts';

export interface WorkloadOptions {
  readonly seed: number;
  readonly clients: number;
  /** Requests that one client has open at a time. */
  readonly lanes: number;
  /** Events a second over all clients. */
  readonly rate: number;
  readonly gateways: readonly string[];
  readonly writeKey: string;
  readonly startMs: number;
  /** Every accepted request goes here, one JSON array of events a line. */
  readonly journal: string;
  /** After the stop a request that is still refused for this long is given up, and the run has failed. */
  readonly drainMs: number;
}

export interface WorkloadStats {
  /** Events in accepted requests, repeats included. */
  accepted: number;
  requests: number;
  attempts: number;
  /** Why attempts were not accepted: HTTP status or kind of connection error. */
  readonly refusals: Record<string, number>;
  readonly latencyMs: number[];
  /** Answers that no client should get. */
  readonly failures: string[];
  durationMs: number;
}

const REQUEST_TIMEOUT_MS = 5000;
const RETRY_MS = 50;
const RETRY_AFTER_MAX_MS = 500;

export class Workload {
  readonly stats: WorkloadStats = {
    accepted: 0,
    requests: 0,
    attempts: 0,
    refusals: {},
    latencyMs: [],
    failures: [],
    durationMs: 0,
  };
  readonly #options: WorkloadOptions;
  #stoppedAtMs: number | undefined;
  #held = false;
  #turn = 0;

  constructor(options: WorkloadOptions) {
    this.#options = options;
  }

  /** No new unit of work is begun; those begun are finished. */
  stop(): void {
    this.#stoppedAtMs ??= Date.now();
  }

  /** While held no request is begun; those begun are repeated as ever. */
  hold(held: boolean): void {
    this.#held = held;
  }

  /** Resolves when everything that was posted has been accepted, or given up after the stop. */
  async run(): Promise<WorkloadStats> {
    const startedMs = Date.now();
    const { clients } = this.#options;
    await Promise.all(Array.from({ length: clients }, (_, client) => this.#client(client)));
    this.stats.durationMs = Date.now() - startedMs;
    return this.stats;
  }

  async #client(client: number): Promise<void> {
    const { seed, clients, lanes, rate, startMs } = this.#options;
    const stream = new EventStream({ seed, client, clients, startMs });
    const begunMs = Date.now();
    let drawn = 0;
    const lane = async () => {
      while (this.#stoppedAtMs === undefined) {
        const unit = stream.next();
        drawn += unit.posts.flat().length;
        await this.#perform(unit);
        await this.#pause(begunMs + (drawn * 1000 * clients) / rate - Date.now());
      }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    const rest = stream.rest();
    if (rest.length > 0) await this.#post(rest);
  }

  /** Waits for the pace of the client, in steps, so that a stop is seen soon. */
  async #pause(ms: number): Promise<void> {
    for (let left = ms; left > 0 && this.#stoppedAtMs === undefined; left -= 100) {
      await delay(Math.min(left, 100));
    }
  }

  async #perform(unit: Unit): Promise<void> {
    if (unit.parallel) await Promise.all(unit.posts.map((post) => this.#post(post)));
    else for (const post of unit.posts) await this.#post(post);
  }

  async #post(events: readonly WireEvent[]): Promise<void> {
    while (this.#held && this.#stoppedAtMs === undefined) await delay(50);
    const { gateways, drainMs, journal } = this.#options;
    const { body, type } = bodyOf(events, this.#turn);
    this.stats.requests++;
    for (let attempt = this.#turn++; ; attempt++) {
      const gateway = gateways[attempt % gateways.length]!;
      const answer = await this.#attempt(gateway, body, type, events.length);
      if (answer.kind === 'accepted') {
        appendFileSync(journal, `${JSON.stringify(events)}\n`);
        this.stats.accepted += events.length;
        return;
      }
      if (answer.kind === 'failed') return void this.#fail(answer.reason);
      this.stats.refusals[answer.reason] = (this.stats.refusals[answer.reason] ?? 0) + 1;
      if (this.#stoppedAtMs !== undefined && Date.now() - this.#stoppedAtMs > drainMs) {
        return void this.#fail(`${events[0]!.messageId} was not accepted in time: ${answer.reason}`);
      }
      await delay(answer.retryMs);
    }
  }

  async #attempt(gateway: string, body: string, type: string, count: number): Promise<Answer> {
    this.stats.attempts++;
    const startedMs = Date.now();
    try {
      const response = await fetch(`${gateway}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': type, authorization: `Bearer ${this.#options.writeKey}` },
        body,
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
      });
      const text = await response.text();
      if (response.status === 202) {
        this.stats.latencyMs.push(Date.now() - startedMs);
        return judgeAccepted(text, count);
      }
      return judgeRefusal(response, text);
    } catch (error) {
      return { kind: 'refused', reason: connectionError(error), retryMs: RETRY_MS };
    }
  }

  #fail(reason: string): void {
    if (this.stats.failures.length < 20) this.stats.failures.push(reason);
    this.stop();
  }
}

type Answer =
  | { readonly kind: 'accepted' }
  | { readonly kind: 'refused'; readonly reason: string; readonly retryMs: number }
  | { readonly kind: 'failed'; readonly reason: string };

function judgeAccepted(text: string, count: number): Answer {
  const answer = JSON.parse(text) as { accepted?: unknown; rejected?: unknown };
  const whole = answer.accepted === count && Array.isArray(answer.rejected) && answer.rejected.length === 0;
  return whole ? { kind: 'accepted' } : { kind: 'failed', reason: `202 for ${count} events: ${text}` };
}

/** Too busy and unavailable are to be repeated, after a whole number of seconds that is named; nothing else is right. */
function judgeRefusal(response: Response, text: string): Answer {
  const { status } = response;
  const after = response.headers.get('retry-after');
  if ((status !== 429 && status !== 503) || after === null || !/^\d+$/.test(after)) {
    return { kind: 'failed', reason: `status ${status}, Retry-After ${after}: ${text.slice(0, 500)}` };
  }
  const code = /"code":"([A-Z_]+)"/.exec(text)?.[1] ?? '';
  const retryMs = Math.min(Number(after) * 1000, RETRY_AFTER_MAX_MS);
  return { kind: 'refused', reason: `${status} ${code}`, retryMs };
}

function connectionError(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined;
  return code ?? (error instanceof Error ? error.name : 'error');
}

/** All forms of a request that the gateway takes, in turn. */
function bodyOf(events: readonly WireEvent[], turn: number): { body: string; type: string } {
  const json = 'application/json';
  if (events.length === 1 && turn % 2 === 0) return { body: JSON.stringify(events[0]), type: json };
  if (turn % 3 === 0) return { body: JSON.stringify(events), type: json };
  if (turn % 3 === 1) return { body: JSON.stringify({ events }), type: json };
  return { body: events.map((event) => JSON.stringify(event)).join('\n'), type: 'application/x-ndjson' };
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(1, ms)));
}
