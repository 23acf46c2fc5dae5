// The real profile actor under customers who are seen by device, mail address and customer id, partly together: who
// they are comes out only when two keys meet in one event. The account at the end is made from the events alone.
import { routingKeyFor } from '../../actors/identity/keys.ts';
import { createProfileActor } from '../../actors/profile/actor.ts';
import type { Link, Members, Profile, Redirect } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import { viewProfile } from '../../actors/profile/view.ts';
import { parseSegmentConfig } from '../../shared/contract/config/parse.ts';
import type { CustomerEvent, LogEnvelope } from '../../shared/contract/event.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { Activation, AuditEntry } from '../../shared/contract/outbox.ts';
import { shardOf } from '../../shared/contract/routing.ts';
import type { Outcome, Scenario, SentMessage } from './scenario.ts';
import type { SimStore } from './store.ts';
import type { World } from './world.ts';

const CONFIG = `
segment: sim
stitching:
  keys:
    - { name: customer_id, limit: 1 }
    - { name: email, limit: 20, normalize: [trim, lowercase] }
    - { name: device, kind: device, limit: 100 }
  retention: { anonymous: forever, known: forever, redirects: forever }
events:
  - { name: viewed, when: 'event.name == "viewed"' }
  - { name: bought, when: 'event.name == "bought"' }
attributes:
  - { name: views, type: counter, total: true, on: viewed }
  - { name: spent, type: counter, total: true, on: bought, by: event.properties.price }
  - { name: last_item, type: single, on: bought, value: event.properties.item }
  - { name: recent, type: counter, on: viewed, windows: [2s] }
  - { name: seen_at, type: single, keep: first, on: viewed, value: event.timestamp }
  - { name: items, type: list, on: bought, id: event.properties.item, max: 200 }
audiences:
  - { name: viewers, when: 'profile.views >= 3.0' }
  - { name: spenders, when: 'profile.spent >= 4.0' }
  - { name: active, when: 'profile.recent["2s"] >= 2.0' }
activations:
  - { name: come_back }
  - { name: thanks, payload: { item: '{{ event.properties.item }}' } }
  - { name: nudged }
  - { name: letter, quiet_hours: '22:00-22:14' }
  - { name: receipt, frequency_cap: 2/1s }
  - { name: reminder }
journeys:
  - name: nudge
    enter: { on: viewed }
    reentry: always
    goal: { on: bought }
    steps: [{ wait: 2s }, { activate: nudged }]
triggers:
  - { name: went, on: { left: active }, activate: come_back }
  - { name: bought_something, on: bought, activate: thanks }
  - { name: writes, on: bought, activate: letter }
  - { name: gives, on: bought, activate: receipt, priority: 1 }
  - { name: reminds, on: { at: profile.seen_at, offset: '+3s' }, activate: reminder }
`;

const parsed = parseSegmentConfig(CONFIG);
if (parsed.kind !== 'ok') throw new Error(JSON.stringify(parsed.problems));
const { config } = parsed;

export const profileScenario: Scenario = {
  marksEachMessage: false,
  damagedKey: undefined,
  alarmsRing: true,
  actor: (configVersion, shards) => createProfileActor(config, { shards, configVersion }),
  draw: drawEvents,
  judge: judgeProfiles,
};

function drawEvents(world: World, shards: number, spanMs: number): readonly SentMessage[] {
  const people = world.pick([1, 3, 12]);
  const count = world.pick([30, 80, 150]);
  const sent: SentMessage[] = [];
  for (let i = 0; i < count; i++) {
    const event = drawEvent(world, people, `m${i}`);
    const shard = shardOf(routingKeyFor(config, event), shards);
    const envelope: LogEnvelope = { v: 1, type: 'event', event };
    const payload = Buffer.from(JSON.stringify(envelope));
    const times = world.chance(0.05) ? 2 : 1;
    for (let time = 0; time < times; time++) sent.push({ atMs: world.between(0, spanMs), shard, payload });
  }
  return sent.sort((a, b) => a.atMs - b.atMs);
}

/** A person has one customer id, two mail addresses and three devices; an event shows one or two of them. */
function drawEvent(world: World, people: number, messageId: string): CustomerEvent {
  const person = world.between(0, people - 1);
  const all = {
    customer_id: `c${person}`,
    email: `P${person}.${world.between(0, 1)}@example.org`,
    device: `d${person}-${world.between(0, 2)}`,
  };
  const shown = world.pick([
    ['device'],
    ['device'],
    ['email'],
    ['device', 'email'],
    ['customer_id', 'device'],
  ] as const);
  const keys = Object.fromEntries(shown.map((name) => [name, all[name]]));
  const name = world.pick(['viewed', 'viewed', 'bought']);
  const properties = { price: world.between(1, 500) / 100, item: messageId };
  return { messageId, name, keys, properties, timestampMs: undefined, table: undefined };
}

interface Customer {
  readonly keys: Set<string>;
  readonly events: CustomerEvent[];
}

/** Customers as the events show them: keys that met in an event belong together. */
function customersOf(events: Iterable<CustomerEvent>): Set<Customer> {
  const byKey = new Map<string, Customer>();
  for (const event of events) {
    const keys = Object.entries(event.keys).map(([name, value]) => `${name} ${value.toLowerCase()}`);
    const met = new Set(keys.flatMap((key) => byKey.get(key) ?? []));
    const customer: Customer = { keys: new Set(keys), events: [event] };
    for (const other of met) {
      for (const key of other.keys) customer.keys.add(key);
      customer.events.push(...other.events);
    }
    for (const key of customer.keys) byKey.set(key, customer);
  }
  return new Set(byKey.values());
}

function judgeProfiles({ store, copies, history }: Outcome): readonly string[] {
  const wrong: string[] = [];
  const events = new Map<string, CustomerEvent>();
  for (const { payload } of history) {
    const envelope = JSON.parse(Buffer.from(payload).toString()) as LogEnvelope;
    if (envelope.type === 'event') events.set(envelope.event.messageId, envelope.event);
  }
  const ids = new Set<string>();
  for (const customer of customersOf(events.values())) wrong.push(...judgeCustomer(store, customer, ids));
  const live = store.keys('p.').filter((key) => read(store, key)?.kind === 'profile');
  if (live.length !== ids.size) wrong.push(`${live.length} live profiles for ${ids.size} customers`);
  wrong.push(...judgeSizes(store, customersOf(events.values())));
  for (const { key } of copies.copied.dead) wrong.push(`dead letter ${key}`);
  const bought = [...events.values()]
    .filter(({ name }) => name === 'bought')
    .map(({ messageId }) => messageId);
  const activations = copies.copied.activations.map(
    ({ value }) => JSON.parse(Buffer.from(value!).toString()) as Activation,
  );
  const told = activations.filter(({ name }) => name === 'thanks').map(({ cause }) => cause.messageId);
  const wentAway = activations.filter(({ name }) => name === 'come_back').length;
  wrong.push(...judgeTold(copies, wentAway));
  wrong.push(...judgeJourney(store, copies, activations));
  wrong.push(...judgeSends(copies, activations, bought));
  wrong.push(...judgeReminders(store, activations, customersOf(events.values())));
  if (told.sort().join() !== bought.sort().join())
    wrong.push(`activations for [${told}], bought [${bought}]`);
  return wrong;
}

function audiencesOf(views: number, spentCents: number): readonly string[] {
  return [...(spentCents >= 400 ? ['spenders'] : []), ...(views >= 3 ? ['viewers'] : [])];
}

/** When all clocks have rung nobody is active: whoever came in went away, once, and set off what that sets off. */
function judgeTold(copies: Outcome['copies'], wentAway: number): readonly string[] {
  const entries = copies.copied.audit.map(
    ({ value }) => JSON.parse(Buffer.from(value!).toString()) as AuditEntry,
  );
  const facts = entries
    .flatMap((entry) => entry.facts)
    .filter((fact) => 'audience' in fact && fact.audience === 'active');
  const came = facts.filter(({ kind }) => kind === 'audience_entered').length;
  const went = facts.filter(({ kind }) => kind === 'audience_left');
  const byThemselves = went.filter((fact) => !('reason' in fact)).length;
  return [
    ...(came === went.length
      ? []
      : [`${came} times somebody became active, ${went.length} times not any more`]),
    ...(byThemselves === wentAway ? [] : [`${byThemselves} went away, ${wentAway} activations tell it`]),
  ];
}

/** When all clocks have rung nobody is inside: whoever came in left, once, and whoever came to the end was told, once. */
function judgeJourney(
  store: SimStore,
  copies: Outcome['copies'],
  activations: readonly Activation[],
): readonly string[] {
  const facts = copies.copied.audit.flatMap(
    ({ value }) => (JSON.parse(Buffer.from(value!).toString()) as AuditEntry).facts,
  );
  const came = facts.filter(({ kind }) => kind === 'journey_entered').length;
  const left = facts.filter(({ kind }) => kind === 'journey_left');
  const through = left.filter(({ reason }) => reason === 'end').length;
  const nudges = activations.filter(({ name }) => name === 'nudged');
  const inside = store
    .keys('a.')
    .flatMap((key) => Object.values((read(store, key) as unknown as Members).journeys ?? {}))
    .flatMap((steps) => Object.values(steps));
  const sum = inside.reduce((total, count) => total + count, 0);
  const strange = left.filter(({ reason }) => !['end', 'goal', 'merged'].includes(String(reason)));
  return [
    ...(came === left.length
      ? []
      : [`${came} times somebody came into the journey, ${left.length} times out`]),
    ...(through === nudges.length ? [] : [`${through} came to its end, ${nudges.length} were told`]),
    ...(new Set(nudges.map(({ id }) => id)).size === nudges.length ? [] : ['a nudge was sent twice']),
    ...(sum === 0 ? [] : [`${sum} are counted inside`]),
    ...strange.map(({ reason }) => `somebody left with the reason ${reason}`),
  ];
}

/** What was bought is told by a letter, in the morning, and by a receipt, or it is told why not; each once. */
function judgeSends(
  copies: Outcome['copies'],
  activations: readonly Activation[],
  bought: readonly string[],
): readonly string[] {
  const facts = copies.copied.audit.flatMap(
    ({ value }) => (JSON.parse(Buffer.from(value!).toString()) as AuditEntry).facts,
  );
  const due = [...bought].sort().join();
  return ['letter', 'receipt'].flatMap((name) => {
    const out = activations.filter((one) => one.name === name).map(({ cause }) => cause.messageId);
    const not = facts
      .filter(({ kind, activation }) => kind === 'activation_suppressed' && activation === name)
      .map(({ cause }) => (cause as Activation['cause']).messageId);
    const told = [...out, ...not].sort().join();
    return told === due ? [] : [`${name}s for [${out}], suppressed [${not}], bought [${due}]`];
  });
}

/** When all clocks have rung everybody who has seen anything was reminded, and nobody is still to be. */
function judgeReminders(
  store: SimStore,
  activations: readonly Activation[],
  customers: ReadonlySet<Customer>,
): readonly string[] {
  const reminders = activations.filter(({ name }) => name === 'reminder');
  const wrong =
    new Set(reminders.map(({ id }) => id)).size === reminders.length ? [] : ['a reminder was sent twice'];
  for (const { keys, events } of customers) {
    if (!events.some(({ name }) => name === 'viewed')) continue;
    const [key] = keys;
    const profile = profileOf(store, ...(key!.split(' ') as [string, string]));
    if (!profile) continue;
    const own = new Set([profile.id, ...profile.mergedFrom]);
    if (!reminders.some(({ profileId }) => own.has(profileId))) wrong.push(`${profile.id} was not reminded`);
    const { held = [], moments = {} } = profile.sending ?? {};
    if (held.length > 0) wrong.push(`${held.length} are held back for ${profile.id}`);
    if (Object.values(moments).some(({ atMs, came }) => !came.includes(atMs)))
      wrong.push(`${profile.id} waits for a moment`);
  }
  return wrong;
}

/** What the shards have counted, each in its own record, is how many customers there are in each audience. */
function judgeSizes(store: SimStore, customers: ReadonlySet<Customer>): readonly string[] {
  const due: Record<string, number> = { active: 0, spenders: 0, viewers: 0 };
  for (const { events } of customers) {
    const views = events.filter(({ name }) => name === 'viewed').length;
    const bought = events.filter(({ name }) => name === 'bought');
    const spent = bought.reduce((sum, { properties }) => sum + Math.round(Number(properties.price) * 100), 0);
    for (const name of audiencesOf(views, spent)) due[name] = due[name]! + 1;
  }
  const counted: Record<string, number> = { active: 0, spenders: 0, viewers: 0 };
  for (const key of store.keys('a.')) {
    const members = read(store, key) as unknown as Members;
    for (const [name, [count]] of Object.entries(members.audiences)) counted[name] = counted[name]! + count;
  }
  return Object.keys(due)
    .filter((name) => due[name] !== counted[name])
    .map((name) => `audience ${name} counts ${counted[name]}, ${due[name]} customers are in it`);
}

function judgeCustomer(store: SimStore, { keys, events }: Customer, ids: Set<string>): string[] {
  const found = [...keys].map((key) => profileOf(store, ...(key.split(' ') as [string, string])));
  const [profile] = found;
  if (!profile || found.some((other) => other?.id !== profile.id)) {
    return [`keys ${[...keys]} lead to ${found.map((other) => other?.id)}`];
  }
  const wrong = ids.has(profile.id) ? [`profile ${profile.id} is two customers`] : [];
  ids.add(profile.id);
  const { attributes, audiences } = viewProfile(profile, config, profile.lastEventAtMs);
  const views = events.filter(({ name }) => name === 'viewed').length;
  const bought = events.filter(({ name }) => name === 'bought');
  const spent = bought.reduce((sum, { properties }) => sum + Math.round(Number(properties.price) * 100), 0);
  if (totalOf(attributes.views) !== views)
    wrong.push(`${profile.id} has ${JSON.stringify(attributes.views)} views, not ${views}`);
  if (Math.round(totalOf(attributes.spent) * 100) !== spent) {
    wrong.push(`${profile.id} spent ${JSON.stringify(attributes.spent)}, not ${spent / 100}`);
  }
  const due = audiencesOf(views, spent);
  if ([...audiences].sort().join() !== due.join())
    wrong.push(`${profile.id} is in [${audiences}], not in [${due}]`);
  const { items } = attributes.items as { items: readonly { id: string }[] };
  const listed = items.map(({ id }) => id).sort();
  if (
    listed.join() !==
    bought
      .map(({ messageId }) => messageId)
      .sort()
      .join()
  )
    wrong.push(`${profile.id} lists [${listed}]`);
  if (bought.length > 0 && !bought.some(({ messageId }) => messageId === attributes.last_item)) {
    wrong.push(`${profile.id} bought ${attributes.last_item} last, which nobody did`);
  }
  return wrong;
}

/** A counter with a total and no window is its total. */
export function totalOf(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'object' && value !== null && 'total' in value) return Number(value.total);
  return 0;
}

function profileOf(store: SimStore, keyName: string, value: string): Profile | undefined {
  const link = read(store, recordKeys.link(keyName, value)) as Link | undefined;
  let state = link?.profileId ? read(store, recordKeys.profile(link.profileId)) : undefined;
  for (let steps = 0; state?.kind === 'redirect' && steps < 100; steps++) {
    state = read(store, recordKeys.profile((state as Redirect).to));
  }
  return state?.kind === 'profile' ? (state as Profile) : undefined;
}

export function read(store: SimStore, key: string): Profile | Redirect | Link | undefined {
  const value = store.latest(key)?.value;
  return value ? (decodeRecord(key, value) as Profile | Redirect | Link) : undefined;
}
