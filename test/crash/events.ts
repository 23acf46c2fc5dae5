// The events of the crash test, drawn from a seed: a stream of units of work for each client. Customers appear as devices
// and identify later; all clients meet the same customers, from devices that live in different shards. No key limit is
// ever reached: each device and each address belongs to one customer.
import { routingKeyOf, shardOf } from '../../shared/contract/routing.ts';
import { type Random, randomBelow, seededRandom } from '../../shared/kernel/random.ts';
import type { WireEvent } from './oracle.ts';

export const ORDER = 'Order Completed';
export const SIGNUP = 'Signed Up';

/** Posts that belong together: in order, each accepted before the next, or all at once. */
export interface Unit {
  readonly kind: 'normal' | 'burst' | 'late';
  readonly posts: readonly (readonly WireEvent[])[];
  readonly parallel: boolean;
}

export interface EventsOptions {
  readonly seed: number;
  readonly client: number;
  readonly clients: number;
  /** Event times lie in the ten minutes before this. */
  readonly startMs: number;
}

/** Customers that a client meets at one time; who is older is more likely to be known by name. */
const WINDOW = 500;
/** Events a client sends before the window moves on by one customer. */
const EVENTS_PER_STEP = 8;
const BURST_EVERY = 60;
const LATE_EVERY = 45;
const BURST_EVENTS = 500;
const LATE_BETWEEN_MAX = 1000;
const TWICE_SHARE = 0.01;
const HOT_SHARE = 0.03;
/** Below the 4,000 message ids that a profile remembers, over all clients. */
const HOT_EVENTS_MAX = 3200;
const HOT_DEVICES_A_SHARD = 4;
export const SHARDS = 64;
const SHUFFLE = 64;
const PAGES = ['home', 'sale', 'yoga', 'boots', 'bikes', 'tents', 'books'] as const;

export class EventStream {
  readonly #random: Random;
  readonly #options: EventsOptions;
  readonly #again: { readonly atUnit: number; readonly event: WireEvent }[] = [];
  #events = 0;
  #units = 0;
  #hot = 0;
  #mask = 0;

  constructor(options: EventsOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed * 1000 + options.client);
  }

  next(): Unit {
    const unit = ++this.#units;
    if (unit % BURST_EVERY === 20) return this.#burst();
    if (unit % LATE_EVERY === 10) return this.#late();
    return { kind: 'normal', posts: [this.#normalPost()], parallel: false };
  }

  /** Everything that was promised to be sent a second time and has not been. */
  rest(): readonly WireEvent[] {
    return this.#again.splice(0).map(({ event }) => event);
  }

  #normalPost(): WireEvent[] {
    const size = 1 + Math.floor(this.#random.next() ** 3 * 80);
    const events: WireEvent[] = [];
    while (events.length < size) {
      const event = this.#chance(HOT_SHARE) ? this.#hotEvent() : this.#visit();
      events.push(event);
      if (this.#chance(TWICE_SHARE)) this.#again.push({ atUnit: this.#units + this.#below(40), event });
    }
    for (let i = this.#again.length - 1; i >= 0; i--) {
      if (this.#again[i]!.atUnit <= this.#units) events.push(...this.#again.splice(i, 1).map((a) => a.event));
    }
    return events;
  }

  /** One visit of a customer of the window: anonymous when new, later with address, number, or both. */
  #visit(): WireEvent {
    const front = Math.floor(this.#events / EVENTS_PER_STEP);
    const age = Math.floor(this.#random.next() ** 2 * WINDOW);
    const customer = WINDOW + front - age;
    const device = `d-${customer}-${this.#below(4)}`;
    const email = `m-${customer}-${this.#below(2)}@example.com`;
    const known = this.#random.next() < (age / WINDOW) ** 0.5;
    const keys: Record<string, string> = { device };
    if (known && this.#chance(0.5)) keys.email = email;
    if (known && this.#chance(0.5)) keys.customer_id = `c-${customer}`;
    if (keys.email && this.#chance(0.2)) delete keys.device;
    if (keys.customer_id && this.#chance(0.1)) return this.#event(SIGNUP, keys);
    return this.#event(this.#chance(0.2) ? ORDER : 'Page Viewed', keys);
  }

  /** The one customer whom every shard meets. */
  #hotEvent(): WireEvent {
    const { client, clients } = this.#options;
    if (++this.#hot > HOT_EVENTS_MAX / clients) return this.#visit();
    const shard = (this.#hot * clients + client) % SHARDS;
    const keys = { device: deviceIn(shard, `hot-${this.#below(HOT_DEVICES_A_SHARD)}`), customer_id: 'hot' };
    return this.#event(this.#chance(0.1) ? ORDER : 'Page Viewed', keys);
  }

  /** A full request for one new profile, sent three times at once. */
  #burst(): Unit {
    const who = `burst-${this.#options.client}-${this.#units}`;
    const events = Array.from({ length: BURST_EVENTS }, () =>
      this.#event(this.#chance(0.1) ? ORDER : 'Page Viewed', { device: `d-${who}`, customer_id: `c-${who}` }),
    );
    return { kind: 'burst', posts: [events, events, events], parallel: true };
  }

  /** An event, up to 1,000 others of its profile from another device, and the event again. */
  #late(): Unit {
    const who = `late-${this.#options.client}-${this.#units}`;
    const keys: Record<string, string> = { customer_id: `c-${who}` };
    if (this.#chance(0.5)) keys.device = `d-${who}`;
    const event = this.#event(ORDER, keys);
    const posts: WireEvent[][] = [[event]];
    for (let left = this.#below(LATE_BETWEEN_MAX + 1); left > 0; ) {
      const size = Math.min(left, 1 + this.#below(250));
      left -= size;
      posts.push(
        Array.from({ length: size }, () =>
          this.#event('Page Viewed', { device: `d2-${who}`, customer_id: `c-${who}` }),
        ),
      );
    }
    posts.push([event], [event]);
    return { kind: 'late', posts, parallel: false };
  }

  #event(name: string, keys: Readonly<Record<string, string>>): WireEvent {
    const messageId = `${this.#options.seed}-${this.#options.client}-${++this.#events}`;
    const properties = {
      page: `/${PAGES[this.#below(PAGES.length)]}/${messageId}`,
      amount: this.#below(1000),
      currency: 'EUR',
      campaign: `spring-${this.#below(20)}`,
      referrer: 'https://search.example/',
      language: 'en',
      viewport: { width: 1280, height: 800 },
      logged_in: 'customer_id' in keys,
      position: this.#below(50),
      product_id: `p-${this.#below(5000)}`,
    };
    return { messageId, name, keys, properties, timestamp: this.#timestamp() };
  }

  /** Unique over all clients, and not in the order of sending. */
  #timestamp(): number {
    const { client, clients, startMs } = this.#options;
    if (this.#events % SHUFFLE === 0) this.#mask = this.#below(SHUFFLE);
    return startMs - 600_000 + (this.#events ^ this.#mask) * clients + client;
  }

  #below(bound: number): number {
    return randomBelow(this.#random, bound);
  }

  #chance(share: number): boolean {
    return this.#random.next() < share;
  }
}

/** A device of this name whose events go to the shard. */
export function deviceIn(shard: number, name: string): string {
  for (let salt = 0; ; salt++) {
    const device = `${name}-${shard}-${salt}`;
    if (shardOf(routingKeyOf('device', device), SHARDS) === shard) return device;
  }
}
