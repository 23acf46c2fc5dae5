// Audiences: who is in them after events, after time alone, after merges and at the end; told once, counted exactly.
import { describe, expect, it } from 'vitest';
import type { Members } from '../../../actors/profile/profile.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { configOf, DAY, HOUR, MINUTE, ProfileFold, T0 } from './harness.ts';

const CONFIG = configOf(`events:
  - { name: viewed, when: 'event.name == "Viewed"' }
  - { name: bought, when: 'event.name == "Bought"' }
attributes:
  - { name: views, type: counter, on: viewed, windows: [1h] }
  - { name: spend, type: counter, on: bought, total: true, by: event.properties.paid }
  - { name: interest, type: single, on: viewed, value: event.properties.category, ttl: 1d }
  - { name: busy, type: computed, value: 'profile.views["1h"] >= 3.0' }
audiences:
  - { name: browsing, when: 'profile.views["1h"] >= 2.0' }
  - { name: spenders, when: 'profile.spend >= 100.0' }
  - { name: yogis, when: 'profile.interest == "yoga"' }
  - { name: very_busy, when: profile.busy }
  - { name: mailable, when: 'has(keys.email)' }
activations:
  - { name: hello, payload: { who: '{{ keys.device }}', views: '{{ profile.views["1h"] }}' } }
triggers:
  - { name: welcome, on: { entered: spenders }, activate: hello }
  - { name: come_back, on: { left: browsing }, when: 'profile.spend == 0.0', activate: hello }
`);

function fold(): ProfileFold {
  return new ProfileFold(CONFIG);
}

const audiencesOf = (f: ProfileFold, device = 'd1', nowMs = T0) => f.view('device', device, nowMs).audiences;
const told = (f: ProfileFold) =>
  f
    .facts()
    .filter(({ kind }) => kind.startsWith('audience_'))
    .map(({ kind, audience, reason }) => [
      kind.slice('audience_'.length),
      audience,
      ...(reason ? [reason] : []),
    ]);

function sizes(f: ProfileFold): Record<string, number> {
  const members = f.records.get(recordKeys.members(0)) as Members | undefined;
  const counts = Object.entries(members?.audiences ?? {}).map(([name, [count]]) => [name, count] as const);
  return Object.fromEntries(counts.filter(([, count]) => count !== 0));
}

describe('an audience', () => {
  it('is entered and left by events, once each, and told', () => {
    const f = fold();
    f.send({ name: 'Bought', properties: { paid: 60 } });
    expect(audiencesOf(f)).toEqual([]);
    f.send({ name: 'Bought', properties: { paid: 40 } });
    f.send({ name: 'Bought', properties: { paid: 40 } });
    expect(audiencesOf(f)).toEqual(['spenders']);
    f.send({ name: 'Bought', properties: { paid: -50 } });
    expect(audiencesOf(f)).toEqual([]);
    expect(told(f)).toEqual([
      ['entered', 'spenders'],
      ['left', 'spenders'],
    ]);
    expect(f.activations()).toMatchObject([
      { name: 'hello', cause: { trigger: 'welcome', audience: 'spenders', change: 'entered' } },
    ]);
    expect(sizes(f)).toEqual({});
  });

  it('is left when time alone says so', () => {
    const f = fold();
    f.send({ timestampMs: T0 - MINUTE }, T0);
    f.send({ properties: { category: 'yoga' } }, T0);
    expect(audiencesOf(f)).toEqual(['browsing', 'yogis']);
    f.ringUntil(T0 + HOUR - 5 * MINUTE);
    expect(audiencesOf(f)).toEqual(['browsing', 'yogis']);
    f.ringUntil(T0 + HOUR + MINUTE);
    expect(audiencesOf(f)).toEqual(['yogis']);
    f.ringUntil(T0 + DAY - 1);
    expect(audiencesOf(f)).toEqual(['yogis']);
    f.ringUntil(T0 + DAY);
    expect(audiencesOf(f)).toEqual([]);
    expect(told(f).slice(2)).toEqual([
      ['left', 'browsing'],
      ['left', 'yogis'],
    ]);
    expect(f.activations()).toMatchObject([
      { cause: { trigger: 'come_back', audience: 'browsing', change: 'left' } },
    ]);
    expect(f.alarms.size, 'only its end is still to come').toBe(1);
  });

  it('is left and entered again when the clock was late and an event comes', () => {
    const f = fold();
    f.send({}, T0);
    f.send({}, T0);
    f.send({}, T0 + 2 * HOUR);
    f.send({}, T0 + 2 * HOUR);
    expect(told(f)).toEqual([
      ['entered', 'browsing'],
      ['left', 'browsing'],
      ['entered', 'browsing'],
    ]);
    f.ringUntil(T0 + 2 * HOUR);
    expect(told(f)).toHaveLength(3);
  });

  it('is told of when the event that brings it back is the first after the clock', () => {
    const f = fold();
    f.send({}, T0);
    f.send({}, T0 + 50 * MINUTE);
    f.send({}, T0 + 70 * MINUTE);
    expect(told(f)).toEqual([
      ['entered', 'browsing'],
      ['left', 'browsing'],
      ['entered', 'browsing'],
    ]);
    expect(f.activations()).toMatchObject([{ cause: { trigger: 'come_back', change: 'left' } }]);
    expect(sizes(f)).toEqual({ browsing: 1 });
  });

  it('is left by each of two profiles whose clocks were late before they become one', () => {
    const f = fold();
    for (const keys of [{ device: 'd1' }, { email: 'a@x.org' }]) for (let i = 0; i < 2; i++) f.send({ keys });
    f.send({ name: 'Other', keys: { device: 'd1', email: 'a@x.org' } }, T0 + 2 * HOUR);
    expect(told(f).filter(([, audience]) => audience === 'browsing')).toEqual([
      ['entered', 'browsing'],
      ['entered', 'browsing'],
      ['left', 'browsing'],
      ['left', 'browsing'],
    ]);
    expect(f.activations().map(({ cause }) => cause)).toMatchObject([
      { trigger: 'come_back' },
      { trigger: 'come_back' },
    ]);
    expect(sizes(f)).toEqual({ mailable: 1 });
  });

  it('sees what is computed, and keys', () => {
    const f = fold();
    f.send({});
    f.send({});
    f.send({ keys: { device: 'd1', email: 'a@x.org' } });
    expect(audiencesOf(f)).toEqual(['browsing', 'very_busy', 'mailable']);
  });

  it('a repeat changes nothing', () => {
    const f = fold();
    const event = { id: 'm1', name: 'Bought', properties: { paid: 200 } };
    f.send(event);
    f.send(event);
    expect(told(f)).toHaveLength(1);
    expect(sizes(f)).toEqual({ spenders: 1 });
  });
});

describe('sizes', () => {
  it('follow merges: one person is counted once, and inherits without being triggered', () => {
    const f = fold();
    for (const device of ['d1', 'd2', 'd3'])
      f.send({ keys: { device }, name: 'Bought', properties: { paid: 150 } });
    expect(sizes(f)).toEqual({ spenders: 3 });
    f.send({ keys: { customer_id: 'c', device: 'd1' } });
    f.send({ keys: { customer_id: 'c', device: 'd2' } });
    expect(sizes(f)).toEqual({ spenders: 2, browsing: 1 });
    f.send({ keys: { customer_id: 'new' } });
    f.send({ keys: { customer_id: 'new', device: 'd3' } });
    expect(sizes(f)).toEqual({ spenders: 2, browsing: 2 });
    expect(told(f).filter(([, audience]) => audience === 'spenders')).toEqual([
      ['entered', 'spenders'],
      ['entered', 'spenders'],
      ['entered', 'spenders'],
      ['left', 'spenders', 'merged'],
      ['left', 'spenders', 'merged'],
      ['entered', 'spenders', 'merged'],
    ]);
    expect(f.activations()).toHaveLength(3);
  });

  it('go down when profiles end', () => {
    const f = fold();
    f.send({ name: 'Bought', properties: { paid: 150 } });
    f.ringUntil(T0 + 90 * DAY);
    expect(f.profiles()).toEqual([]);
    expect(sizes(f)).toEqual({});
    expect(told(f)).toEqual([
      ['entered', 'spenders'],
      ['left', 'spenders', 'ended'],
    ]);
  });

  it('come with some of the members, the newest last', () => {
    const f = fold();
    for (let i = 0; i < 15; i++)
      f.send({ keys: { device: `d${i}` }, name: 'Bought', properties: { paid: 150 } });
    const { audiences } = f.records.get(recordKeys.members(0)) as Members;
    const [count, ...sample] = audiences.spenders!;
    expect(count).toBe(15);
    expect(sample).toHaveLength(10);
    expect(sample.at(-1)).toBe(f.holder('device', 'd14')!.id);
  });
});

describe('a change of config', () => {
  it('forgets audiences that are gone, and fills new ones as profiles are touched', () => {
    const f = fold();
    f.send({ name: 'Bought', properties: { paid: 150 } });
    const other = new ProfileFold(
      configOf(`events: [{ name: bought, when: 'event.name == "Bought"' }]
attributes: [{ name: spend, type: counter, on: bought, total: true, by: event.properties.paid }]
audiences: [{ name: rich, when: 'profile.spend > 100.0' }]
`),
      { configVersion: 2 },
    );
    for (const [key, state] of f.records) other.records.set(key, state);
    expect(audiencesOf(other)).toEqual([]);
    other.send({ name: 'Bought', properties: { paid: 1 } });
    expect(audiencesOf(other)).toEqual(['rich']);
  });
});

describe('an audience of those who have a key', () => {
  const byKey = (keys: string) =>
    new ProfileFold(
      configOf(
        `audiences: [{ name: on_device, when: 'has(keys.device)' }]
activations: [{ name: bye }]
triggers: [{ name: gone, on: { left: on_device }, activate: bye }]
`,
        `keys: ${keys}\n  logout: [Logout]`,
      ),
    );
  const PERSON = '{ name: customer_id, kind: person, limit: 1 }';

  it('is left with the key, at a logout', () => {
    const f = byKey(`[${PERSON}, { name: device, kind: device, limit: 9 }]`);
    f.send({ keys: { customer_id: 'c', device: 'd1' } });
    expect(f.view('customer_id', 'c').audiences).toEqual(['on_device']);
    f.send({ name: 'Logout', keys: { customer_id: 'c', device: 'd1' } });
    expect(f.view('customer_id', 'c').audiences).toEqual([]);
    expect(sizes(f)).toEqual({});
    expect(f.activations()).toMatchObject([{ cause: { trigger: 'gone' } }]);
  });

  it('is left by the profile that loses the key to another', () => {
    const f = byKey(`[${PERSON}, { name: device, kind: device, limit: 9, owner: last_authenticated }]`);
    f.send({ keys: { customer_id: 'a', device: 'd1' } });
    f.send({ keys: { customer_id: 'b', device: 'd1' } });
    expect(f.view('customer_id', 'a').audiences).toEqual([]);
    expect(f.view('customer_id', 'b').audiences).toEqual(['on_device']);
    expect(sizes(f)).toEqual({ on_device: 1 });
    expect(f.activations()).toMatchObject([{ profileId: f.holder('customer_id', 'a')!.id }]);
  });

  it('is left by whoever had a key that became nobody’s', () => {
    const f = byKey(`[${PERSON}, { name: device, kind: device, limit: 9, owner: none_when_shared }]`);
    f.send({ keys: { customer_id: 'a', device: 'd1' } });
    f.send({ keys: { customer_id: 'b', device: 'd1' } });
    expect(f.view('customer_id', 'a').audiences).toEqual([]);
    expect(sizes(f)).toEqual({});
  });
});

describe('an audience over what a list comes to', () => {
  it('is left when the clock alone changes it', () => {
    const f = new ProfileFold(
      configOf(`events: [{ name: bought, when: 'true' }]
attributes:
  - name: items
    type: list
    on: bought
    id: event.properties.item
    aggregate: { fresh: { count: 'now - timestamp(item.at) < duration("90m")' } }
audiences: [{ name: fresh_buyer, when: 'profile.fresh > 0' }]
`),
    );
    f.send({ properties: { item: 'x' } });
    expect(audiencesOf(f)).toEqual(['fresh_buyer']);
    f.ringUntil(T0 + HOUR);
    expect(audiencesOf(f)).toEqual(['fresh_buyer']);
    f.ringUntil(T0 + 2 * HOUR);
    expect(audiencesOf(f)).toEqual([]);
  });
});
