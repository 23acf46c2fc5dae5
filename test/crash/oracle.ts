// What must be true at the end, computed from the accepted events alone. Shares no code with the product: the partition
// is a union-find over key values, everything else a plain fold. It holds only for workloads in which no limit of a key
// is ever reached: then the final partition does not depend on the order of arrival.

/** An event as it is posted. */
export interface WireEvent {
  readonly messageId: string;
  readonly name: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly properties: Readonly<Record<string, unknown>>;
  /** Epoch ms; unique among the events of one customer. */
  readonly timestamp: number;
}

/** What the end state is judged by; names of events that count. */
export interface OracleRules {
  /** Adds `properties.amount` to the sum, and fires an activation for every event. */
  readonly orderName: string;
  /** Fires one activation a customer. All such events of a customer carry one and the same strongest key. */
  readonly signupName: string;
}

export interface ExpectedProfile {
  /** `<keyName>:<value>` */
  readonly keys: readonly string[];
  readonly messageIds: ReadonlySet<string>;
  readonly spend: number;
  /** `properties.page` of the event with the latest time. */
  readonly lastPage: unknown;
  readonly orders: ReadonlySet<string>;
  /** Message ids of the orders with the latest times, oldest first. */
  readonly lastOrders: readonly string[];
  readonly signups: ReadonlySet<string>;
}

export interface Expected {
  readonly profiles: readonly ExpectedProfile[];
  readonly profileByKey: ReadonlyMap<string, ExpectedProfile>;
  readonly profileByMessage: ReadonlyMap<string, ExpectedProfile>;
  /** Distinct events. */
  readonly events: number;
}

/** Orders that a profile remembers. */
const LAST_ORDERS = 20;

interface Draft {
  readonly keys: Set<string>;
  readonly messageIds: Set<string>;
  readonly orders: Set<string>;
  readonly ordered: WireEvent[];
  readonly signups: Set<string>;
  spend: number;
  last: WireEvent | undefined;
}

/** Folds accepted events; a repeated message id counts once and must be the same event. */
export function expectedOf(accepted: Iterable<WireEvent>, rules: OracleRules): Expected {
  const events = distinct(accepted);
  const groups = new Groups();
  for (const event of events.values()) groups.join(keysOf(event));
  const drafts = new Map<string, Draft>();
  for (const event of events.values()) {
    const keys = keysOf(event);
    const root = groups.find(keys[0]!);
    const draft = drafts.get(root) ?? emptyDraft();
    drafts.set(root, draft);
    fold(draft, event, keys, rules);
  }
  const profiles = [...drafts.values()].map(({ last, ordered, ...rest }) => ({
    ...rest,
    keys: [...rest.keys],
    lastPage: last?.properties.page,
    lastOrders: ordered
      .sort((a, b) => a.timestamp - b.timestamp)
      .slice(-LAST_ORDERS)
      .map(({ messageId }) => messageId),
  }));
  const profileByKey = new Map(profiles.flatMap((profile) => profile.keys.map((key) => [key, profile])));
  const profileByMessage = new Map(
    profiles.flatMap((profile) => [...profile.messageIds].map((id) => [id, profile])),
  );
  return { profiles, profileByKey, profileByMessage, events: events.size };
}

function distinct(accepted: Iterable<WireEvent>): ReadonlyMap<string, WireEvent> {
  const events = new Map<string, WireEvent>();
  for (const event of accepted) {
    const known = events.get(event.messageId);
    if (known && JSON.stringify(known) !== JSON.stringify(event)) {
      throw new Error(`the workload used message id ${event.messageId} for two different events`);
    }
    events.set(event.messageId, event);
  }
  return events;
}

function keysOf(event: WireEvent): string[] {
  const keys = Object.entries(event.keys).map(([name, value]) => `${name}:${value}`);
  if (keys.length === 0) throw new Error(`event ${event.messageId} has no key`);
  return keys;
}

function emptyDraft(): Draft {
  return {
    keys: new Set(),
    messageIds: new Set(),
    orders: new Set(),
    ordered: [],
    signups: new Set(),
    spend: 0,
    last: undefined,
  };
}

function fold(draft: Draft, event: WireEvent, keys: readonly string[], rules: OracleRules): void {
  for (const key of keys) draft.keys.add(key);
  draft.messageIds.add(event.messageId);
  if (event.name === rules.orderName) {
    draft.orders.add(event.messageId);
    draft.ordered.push(event);
    draft.spend += Number(event.properties.amount);
  }
  if (event.name === rules.signupName) draft.signups.add(event.messageId);
  if (draft.last?.timestamp === event.timestamp) {
    throw new Error(`events ${draft.last.messageId} and ${event.messageId} have the same time`);
  }
  if (!draft.last || event.timestamp > draft.last.timestamp) draft.last = event;
}

/** Union-find over strings, with path halving. */
class Groups {
  readonly #parent = new Map<string, string>();

  find(item: string): string {
    let at = item;
    for (;;) {
      const up = this.#parent.get(at);
      if (up === undefined) return at;
      const above = this.#parent.get(up);
      if (above !== undefined) this.#parent.set(at, above);
      at = up;
    }
  }

  join(items: readonly string[]): void {
    const root = this.find(items[0]!);
    for (const item of items) {
      const other = this.find(item);
      if (other !== root) this.#parent.set(other, root);
    }
  }
}
