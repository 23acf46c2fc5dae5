// One event for every shard, and how long it takes until all of them are applied: the measure of recovery.
import { deviceIn, SHARDS } from './events.ts';
import { ADMIN_KEY, type Fleet, until, WRITE_KEY } from './fleet.ts';
import type { WireEvent } from './oracle.ts';

const DEADLINE_MS = 90_000;
const LOOK_MS = 20;

export class Canary {
  /** Everything that was accepted. */
  readonly accepted: WireEvent[] = [];
  readonly #fleet: Fleet;
  readonly #seed: number;
  #songs = 0;

  constructor(fleet: Fleet, seed: number) {
    this.#fleet = fleet;
    this.#seed = seed;
  }

  /** Resolves with the time that it took. Throws when a shard does not come back. */
  async untilAllShardsWork(): Promise<number> {
    const startedMs = Date.now();
    const events = this.#events(++this.#songs, startedMs);
    await until('the canary is accepted', DEADLINE_MS, () => this.#post(events), LOOK_MS);
    this.accepted.push(...events);
    let waiting = events.map((event) => event.keys.device!);
    await until(
      'the canary is applied in every shard',
      DEADLINE_MS,
      async () => {
        this.#fleet.throwIfBroken();
        const found = await Promise.all(waiting.map((device) => this.#isApplied(device)));
        waiting = waiting.filter((_, index) => !found[index]);
        return waiting.length === 0;
      },
      LOOK_MS,
    );
    return Date.now() - startedMs;
  }

  #events(song: number, nowMs: number): WireEvent[] {
    return Array.from({ length: SHARDS }, (_, shard) => {
      const messageId = `canary-${this.#seed}-${song}-${shard}`;
      const keys = { device: deviceIn(shard, `canary-${song}`) };
      return { messageId, name: 'Page Viewed', keys, properties: { page: messageId }, timestamp: nowMs };
    });
  }

  async #post(events: readonly WireEvent[]): Promise<boolean> {
    const response = await this.#ask('/v1/events', {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${WRITE_KEY}` },
      body: JSON.stringify(events),
    });
    return response?.status === 202;
  }

  async #isApplied(device: string): Promise<boolean> {
    const headers = { authorization: `Bearer ${ADMIN_KEY}` };
    return (
      (await this.#ask(`/v1/profiles/device/${encodeURIComponent(device)}`, { headers }))?.status === 200
    );
  }

  /** Asks the gateways in turn until one answers. */
  async #ask(path: string, init: RequestInit): Promise<Response | undefined> {
    for (const gateway of this.#fleet.gateways) {
      try {
        const response = await fetch(`${gateway.url}${path}`, { ...init, signal: AbortSignal.timeout(3000) });
        await response.arrayBuffer();
        if (response.status < 500) return response;
      } catch {
        // It was just killed: the other one is asked.
      }
    }
    return undefined;
  }
}
