// The events of the bench: shop visitors of the demo config, three keys and ten properties each, the same for the same
// seed. Message ids are unique within a workload's `name`.
import { type Random, seededRandom } from '../../shared/kernel/random.ts';
import { eachInTurn, scatter, uniform, zipf } from './zipf.ts';

export interface Workload {
  /** Stands in message ids, so that two workloads of one run do not repeat one another. */
  readonly name: string;
  readonly seed: number;
  readonly profiles: number;
  /** Number of the first profile (default 0). */
  readonly first?: number;
  /** `once`: each profile in turn. */
  readonly spread: 'uniform' | 'zipf' | 'once';
  /** Names of the stitching keys, as many as there are; strongest first. */
  readonly keys: readonly string[];
  /** `page`: the small event of the comparison with other systems; else a shop event. */
  readonly shape: 'shop' | 'page' | 'page-full' | 'order' | 'anonymous' | 'waits' | JoinShape;
  /** Of events that wait: until when, ISO 8601. */
  readonly until?: string;
  /** Each so many-th event is one that came shortly before, sent again with its message id. */
  readonly repeatEvery?: number;
}

/** Events that make one of two profiles each time: one after another, all with the first of their group, or two by two. */
export const JOIN_SHAPES = ['join-chain', 'join-star', 'join-pairs'] as const;
export type JoinShape = (typeof JOIN_SHAPES)[number];
/** Profiles that become one in a chain or star. */
const JOIN_GROUP = 50;

export interface BenchEvent {
  readonly messageId: string;
  readonly name: string;
  readonly keys: Readonly<Record<string, string>>;
  readonly properties: Readonly<Record<string, unknown>>;
}

export const SHOP_KEYS = ['customer_id', 'cookie', 'session'] as const;
export const ZIPF_EXPONENT = 1.1;
export const PAGE_FIELDS = 18;
const CATEGORIES = ['garden', 'kitchen', 'lights', 'toys', 'paper', 'bags', 'clocks', 'frames'];
const COUNTRIES = ['United Kingdom', 'France', 'Germany', 'Spain', 'Norway'];
const CAMPAIGNS = ['newsletter-november', 'search-brand', 'social-winter', 'none'];

/** A source of events that never ends. */
export function createWorkload(workload: Workload): { next(): BenchEvent } {
  const random = seededRandom(workload.seed);
  const place = scatter(workload.profiles);
  const draw = drawOf(workload, random);
  let count = 0;
  const { repeatEvery, first = 0 } = workload;
  const fresh = () => eventOf(workload, first + place(draw()), count++, random);
  return repeatEvery === undefined ? { next: fresh } : withRepeats(fresh, repeatEvery);
}

function withRepeats(fresh: () => BenchEvent, every: number): { next(): BenchEvent } {
  const recent: BenchEvent[] = [];
  let given = 0;
  return {
    next() {
      given += 1;
      if (given % every === 0 && recent.length > 0) return recent[0]!;
      const event = fresh();
      recent.push(event);
      if (recent.length > every / 2) recent.shift();
      return event;
    },
  };
}

function drawOf({ spread, profiles }: Workload, random: Random): () => number {
  if (spread === 'once') return eachInTurn(profiles);
  return spread === 'zipf' ? zipf(profiles, ZIPF_EXPONENT, random) : uniform(profiles, random);
}

/** The keys by which a profile of the bench is known. */
export function keysOf(names: readonly string[], profile: number): Record<string, string> {
  const keys: Record<string, string> = {};
  names.forEach((name, index) => {
    keys[name] = index === 0 ? `bench-${profile}` : `bench-${name}-${hexOf(profile, index)}`;
  });
  return keys;
}

function eventOf(workload: Workload, profile: number, count: number, random: Random): BenchEvent {
  const messageId = `${workload.name}-${count.toString(36)}`;
  switch (workload.shape) {
    case 'page':
    case 'page-full':
      return {
        messageId,
        ...pageEvent(workload.shape, count, random),
        keys: { visitor: visitorOf(profile) },
      };
    case 'order':
      return { messageId, ...orderEvent(), keys: { customer_id: `${workload.name}-${profile}-${count}` } };
    case 'anonymous':
      return { messageId, ...viewEvent(random), keys: { cookie: `${workload.name}-${profile}-${count}` } };
    case 'waits':
      return {
        ...{ messageId, name: 'Waits', properties: { until: workload.until } },
        keys: keysOf(workload.keys, profile),
      };
    case 'join-chain':
    case 'join-star':
    case 'join-pairs': {
      const [one, other] = joined(workload.shape, count);
      return { messageId, ...viewEvent(random), keys: joinKeys(workload.keys, one, other) };
    }
    default:
      return { messageId, ...shopEvent(count, random), keys: keysOf(workload.keys, profile) };
  }
}

/** How many events of a shape join so many profiles. */
export function joinsOf(shape: JoinShape, profiles: number): number {
  return shape === 'join-pairs'
    ? Math.floor(profiles / 2)
    : Math.floor(profiles / JOIN_GROUP) * (JOIN_GROUP - 1);
}

/** The profiles that the event of this number joins. */
function joined(shape: JoinShape, count: number): readonly [number, number] {
  if (shape === 'join-pairs') return [2 * count, 2 * count + 1];
  const first = Math.floor(count / (JOIN_GROUP - 1)) * JOIN_GROUP;
  const place = count % (JOIN_GROUP - 1);
  return [shape === 'join-chain' ? first + place : first, first + place + 1];
}

/** One key of each of the two. */
function joinKeys(names: readonly string[], one: number, other: number): Record<string, string> {
  const [a = '', b = ''] = names;
  return { [a]: keysOf(names, one)[a]!, [b]: keysOf(names, other)[b]! };
}

/** The one key of a visitor in the comparison with other systems. */
export function visitorOf(profile: number): string {
  return `v${profile}`;
}

type Body = Pick<BenchEvent, 'name' | 'properties'>;

/** Of twenty events fifteen views, three additions to a cart, an order on the web and a line of an invoice. */
function shopEvent(count: number, random: Random): Body {
  const step = count % 20;
  const product = Math.floor(random.next() * 5000);
  const properties = {
    category: pick(CATEGORIES, random),
    product_id: `sku-${product}`,
    title: `White hanging heart holder no. ${product}`,
    price: 1 + (product % 90) / 2,
    qty: 1 + (product % 4),
    country: pick(COUNTRIES, random),
    url: `https://shop.example/products/${product}?ref=list`,
    referrer: 'https://search.example/results?q=hanging+heart',
    device: 'Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101',
  };
  if (step < 15)
    return { name: 'product_view', properties: { ...properties, campaign: pick(CAMPAIGNS, random) } };
  if (step < 18)
    return { name: 'add_to_cart', properties: { ...properties, campaign: pick(CAMPAIGNS, random) } };
  if (step === 18)
    return { name: 'transaction', properties: { ...properties, revenue: properties.price * 3 } };
  return { name: 'Line Bought', properties: { ...properties, closes_invoice: false } };
}

function viewEvent(random: Random): Body {
  return { name: 'product_view', properties: { category: pick(CATEGORIES, random) } };
}

/** Makes a new customer a very important one at once: an activation each. */
function orderEvent(): Body {
  const properties = { qty: 10, price: 200, country: 'France', closes_invoice: true };
  return { name: 'Line Bought', properties };
}

/** A page view that changes one of the document's fields, or, to make the document, all of them. */
function pageEvent(shape: 'page' | 'page-full', count: number, random: Random): Body {
  const properties: Record<string, unknown> = { page: `/p/${Math.floor(random.next() * 1000)}` };
  if (shape === 'page') properties[`f${count % PAGE_FIELDS}`] = fieldText(count);
  else for (let field = 0; field < PAGE_FIELDS; field++) properties[`f${field}`] = fieldText(count + field);
  return { name: 'page_view', properties };
}

const FIELD_CHARACTERS = 44;

function fieldText(count: number): string {
  return `value-${count.toString(36)}-`.padEnd(FIELD_CHARACTERS, 'abcdefghijklmnop');
}

function pick<T>(list: readonly T[], random: Random): T {
  return list[Math.floor(random.next() * list.length)]!;
}

/** Looks like a cookie's value: 24 hexadecimal characters. */
function hexOf(profile: number, salt: number): string {
  const high = Math.imul(profile + 1, 0x9e3779b1) >>> 0;
  const low = Math.imul(profile + salt * 7919, 0x85ebca6b) >>> 0;
  return [high, low, profile].map((part) => part.toString(16).padStart(8, '0')).join('');
}
