// The real profile actor under people who share devices: keys move from one to another, are freed by a logout and become
// nobody's, while workers crash. Who ends with which device depends on the order; that every event counts once, on one
// profile, does not.
import { routingKeyFor } from '../../actors/identity/keys.ts';
import { createProfileActor } from '../../actors/profile/actor.ts';
import type { Link, Profile } from '../../actors/profile/profile.ts';
import { viewProfile } from '../../actors/profile/view.ts';
import { parseSegmentConfig } from '../../shared/contract/config/parse.ts';
import type { CustomerEvent, LogEnvelope } from '../../shared/contract/event.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import type { Activation } from '../../shared/contract/outbox.ts';
import { shardOf } from '../../shared/contract/routing.ts';
import { read, totalOf } from './profile-scenario.ts';
import type { Outcome, Scenario, SentMessage } from './scenario.ts';
import type { SimStore } from './store.ts';
import { EPOCH_MS, type World } from './world.ts';

const CONFIG = `
segment: sim
stitching:
  keys:
    - { name: customer_id, limit: 1 }
    - { name: email, limit: 2 }
    - { name: phone, kind: device, owner: last_authenticated }
    - { name: tablet, kind: device, owner: none_when_shared }
    - { name: device, kind: device, limit: 2, links: { email: 2 } }
  on_limit: replace_oldest
  logout: [left]
  flag_after_profiles: 2
  max_keys_per_profile: 6
  on_max_keys: evict_oldest
events:
  - { name: viewed, when: 'event.name == "viewed"' }
  - { name: bought, when: 'event.name == "bought"' }
attributes:
  - { name: views, type: counter, total: true, on: viewed }
activations:
  - { name: thanks, payload: { item: '{{ event.properties.item }}' } }
triggers:
  - { name: bought_something, on: bought, activate: thanks }
`;

const parsed = parseSegmentConfig(CONFIG);
if (parsed.kind !== 'ok') throw new Error(JSON.stringify(parsed.problems));
const { config } = parsed;

export const sharedScenario: Scenario = {
  marksEachMessage: false,
  damagedKey: undefined,
  alarmsRing: false,
  actor: (configVersion, shards) => createProfileActor(config, { shards, configVersion }),
  draw,
  judge,
};

function draw(world: World, shards: number, spanMs: number): readonly SentMessage[] {
  const people = world.pick([2, 3, 6]);
  const count = world.pick([30, 80, 150]);
  const sent: SentMessage[] = [];
  for (let i = 0; i < count; i++) {
    const atMs = world.between(0, spanMs);
    const event = drawEvent(world, people, `m${i}`, EPOCH_MS + atMs);
    const shard = shardOf(routingKeyFor(config, event), shards);
    const envelope: LogEnvelope = { v: 1, type: 'event', event };
    const payload = Buffer.from(JSON.stringify(envelope));
    const times = world.chance(0.1) ? 2 : 1;
    for (let time = 0; time < times; time++)
      sent.push({ atMs: Math.min(spanMs, atMs + time * world.between(0, spanMs)), shard, payload });
  }
  return sent.sort((a, b) => a.atMs - b.atMs);
}

function drawEvent(world: World, people: number, messageId: string, nowMs: number): CustomerEvent {
  const person = world.between(0, people - 1);
  const all: Readonly<Record<string, string>> = {
    customer_id: `c${person}`,
    email: `p${person}.${world.between(0, 3)}@example.org`,
    phone: `f${world.between(0, 1)}`,
    tablet: `t${world.between(0, 1)}`,
    device: `d${world.between(0, people)}`,
  };
  const shown = world.pick([
    ['phone'],
    ['tablet'],
    ['device'],
    ['email', 'device'],
    ['customer_id', 'phone'],
    ['customer_id', 'tablet'],
    ['customer_id', 'email', 'device'],
  ]);
  const keys = Object.fromEntries(shown.map((name) => [name, all[name]!]));
  const name = world.pick(['viewed', 'viewed', 'viewed', 'bought', 'left']);
  const timestampMs = world.chance(0.5) ? nowMs - world.between(0, 2000) : undefined;
  return { messageId, name, keys, properties: { item: messageId }, timestampMs, table: undefined };
}

function judge({ store, copies, history }: Outcome): readonly string[] {
  const wrong: string[] = [];
  const events = new Map<string, CustomerEvent>();
  for (const { payload } of history) {
    const envelope = JSON.parse(Buffer.from(payload).toString()) as LogEnvelope;
    if (envelope.type === 'event') events.set(envelope.event.messageId, envelope.event);
  }
  const live = store
    .keys('p.')
    .map((key) => read(store, key))
    .filter((state): state is Profile => state?.kind === 'profile');
  wrong.push(...judgeKeys(store, live));
  const named = (name: string) => [...events.values()].filter((event) => event.name === name);
  const counted = live.reduce(
    (sum, profile) => sum + totalOf(viewProfile(profile, config, profile.lastEventAtMs).attributes.views),
    0,
  );
  const views = named('viewed').length;
  if (counted !== views) wrong.push(`${counted} views on all profiles together, ${views} events`);
  for (const { key, value } of copies.copied.dead)
    wrong.push(`dead letter ${key} ${Buffer.from(value!).toString().slice(0, 300)}`);
  const bought = named('bought').map(({ messageId }) => messageId);
  const told = copies.copied.activations.map(
    ({ value }) => (JSON.parse(Buffer.from(value!).toString()) as Activation).cause.messageId,
  );
  if (told.sort().join() !== bought.sort().join())
    wrong.push(`activations for [${told}], bought [${bought}]`);
  return wrong;
}

/** A key stands on one profile, within the limits, and its link leads there. */
function judgeKeys(store: SimStore, live: readonly Profile[]): readonly string[] {
  const wrong: string[] = [];
  const owners = new Map<string, string>();
  for (const { id, keys } of live) {
    for (const { name, limit } of config.stitching.keys)
      if (limit !== null && (keys[name]?.length ?? 0) > limit)
        wrong.push(`${id} has ${keys[name]!.length} ${name}`);
    for (const [name, held] of Object.entries(keys)) {
      for (const { value } of held) {
        const key = recordKeys.link(name, value);
        if (owners.has(key)) wrong.push(`${name} ${value} is of ${owners.get(key)} and of ${id}`);
        owners.set(key, id);
        if (ownerOf(store, key) !== id)
          wrong.push(`${name} ${value} of ${id} leads to ${ownerOf(store, key)}`);
      }
    }
  }
  for (const key of store.keys('k.')) {
    const owner = ownerOf(store, key);
    if (owner !== undefined && owners.get(key) !== owner)
      wrong.push(`${key} leads to ${owner}, not listed there`);
  }
  return wrong;
}

function ownerOf(store: SimStore, linkKey: string): string | undefined {
  const link = read(store, linkKey) as Link | undefined;
  let id = link?.profileId ?? undefined;
  for (let steps = 0; id !== undefined && steps < 100; steps++) {
    const state = read(store, recordKeys.profile(id));
    if (state?.kind !== 'redirect') return id;
    id = state.to;
  }
  return id;
}
