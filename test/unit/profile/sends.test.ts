// What is sent, when: bounds that are crossed, moments, periods, and what becomes of what is held back.
import { describe, expect, it } from 'vitest';
import { createProfileActor } from '../../../actors/profile/actor.ts';
import { parseSegmentConfig } from '../../../shared/contract/config/parse.ts';
import { configOf, DAY, HOUR, MINUTE, ProfileFold, SECOND, T0 } from './harness.ts';

const EVENTS = `events:
  - { name: bought, when: 'event.name == "Bought"' }
  - { name: renewed, when: 'event.name == "Renewed"' }
  - { name: moved, when: 'event.name == "Moved"' }
attributes:
  - { name: spend, type: counter, total: true, on: bought, by: event.properties.price }
  - { name: lately, type: counter, on: bought, windows: [1h] }
  - { name: renews_at, type: single, on: renewed, value: event.properties.until }
  - { name: time_zone, type: single, on: moved, value: event.properties.zone }
`;
const CROSSING = `${EVENTS}activations: [{ name: vip }, { name: quiet_down }]
triggers:
  - { name: rich, on: { crosses: profile.spend, at_least: 1000 }, activate: vip }
  - { name: calm, on: { crosses: 'profile.lately["1h"]', below: 2 }, activate: quiet_down }
`;

function buy(
  fold: ProfileFold,
  price: number,
  nowMs: number,
  keys = { device: 'd1' } as Record<string, string>,
) {
  return fold.send({ name: 'Bought', keys, properties: { price } }, nowMs);
}
const told = (fold: ProfileFold) => fold.activations().map(({ name, at }) => [name, Date.parse(at) - T0]);

describe('a bound', () => {
  it('is crossed once, however often it is beyond', () => {
    const fold = new ProfileFold(configOf(CROSSING));
    for (let i = 0; i < 4; i++) buy(fold, 600, T0 + i * MINUTE);
    expect(told(fold)).toEqual([['vip', MINUTE]]);
    expect(fold.activations()[0]!.cause).toEqual({ trigger: 'rich', messageId: expect.any(String) });
    expect(fold.view('device', 'd1').audiences).toEqual([]);
    expect(fold.facts('audience_entered')).toEqual([]);
  });

  it('is crossed by time alone, and again when it was crossed back', () => {
    const fold = new ProfileFold(configOf(CROSSING));
    buy(fold, 1, T0);
    buy(fold, 1, T0 + MINUTE);
    fold.ringUntil(T0 + 3 * HOUR);
    buy(fold, 1, T0 + 4 * HOUR);
    buy(fold, 1, T0 + 4 * HOUR + MINUTE);
    fold.ringUntil(T0 + 9 * HOUR);
    const times = told(fold).filter(([name]) => name === 'quiet_down');
    // The first purchase is fewer than two as well, but nothing fell.
    expect(times).toHaveLength(2);
    expect(times[0]![1]).toBeGreaterThanOrEqual(HOUR);
    expect(times[0]![1]).toBeLessThan(HOUR + 6 * MINUTE);
    expect(times[1]![1]).toBeGreaterThanOrEqual(5 * HOUR);
  });

  it('that both sides of a merge are below is crossed by it, one that either was beyond is not', () => {
    const fold = new ProfileFold(configOf(CROSSING));
    const vips = () => told(fold).filter(([name]) => name === 'vip').length;
    buy(fold, 600, T0, { device: 'd1' });
    buy(fold, 600, T0, { device: 'd2' });
    fold.send({ name: 'In', keys: { customer_id: 'c', device: 'd1' } }, T0 + MINUTE);
    expect(vips()).toBe(0);
    fold.send({ name: 'In', keys: { customer_id: 'c', device: 'd2' } }, T0 + MINUTE);
    expect(vips()).toBe(1);
    buy(fold, 2000, T0, { device: 'd3' });
    expect(vips()).toBe(2);
    fold.send({ name: 'In', keys: { customer_id: 'c', device: 'd3' } }, T0 + MINUTE);
    expect(vips()).toBe(2);
  });

  it('that was crossed before another config came is not crossed by its next event, one that is crossed by it is', () => {
    const before = parseSegmentConfig(
      `segment: shop\nstitching: { keys: [{ name: device, kind: device, limit: 9 }] }\n${EVENTS}`,
    );
    if (before.kind !== 'ok') throw new Error('config');
    const fold = new ProfileFold(before.config);
    buy(fold, 5000, T0, { device: 'd1' });
    buy(fold, 900, T0, { device: 'd2' });
    fold.actor = createProfileActor(configOf(CROSSING), { shards: 8, configVersion: 2 });
    buy(fold, 200, T0 + MINUTE, { device: 'd1' });
    expect(told(fold).filter(([name]) => name === 'vip')).toEqual([]);
    buy(fold, 200, T0 + 2 * MINUTE, { device: 'd2' });
    expect(told(fold).filter(([name]) => name === 'vip')).toEqual([['vip', 2 * MINUTE]]);
    fold.actor = createProfileActor(configOf(CROSSING), { shards: 8, configVersion: 3 });
    buy(fold, 200, T0 + 3 * MINUTE, { device: 'd2' });
    expect(told(fold).filter(([name]) => name === 'vip')).toHaveLength(1);
  });
});

describe('a moment', () => {
  const config = (on: string, more = '') =>
    configOf(`${EVENTS}activations: [{ name: remind }]
triggers: [{ name: soon, on: ${on}, activate: remind${more} }]
`);
  const renew = (fold: ProfileFold, untilMs: number, nowMs: number, device = 'd1') =>
    fold.send(
      { name: 'Renewed', keys: { device }, properties: { until: new Date(untilMs).toISOString() } },
      nowMs,
    );

  it('comes once for a value, and moves with it', () => {
    const fold = new ProfileFold(config("{ at: profile.renews_at, offset: '-7d' }"));
    renew(fold, T0 + 10 * DAY, T0);
    renew(fold, T0 + 12 * DAY, T0 + DAY);
    fold.ringUntil(T0 + 4 * DAY);
    expect(told(fold)).toEqual([]);
    fold.ringUntil(T0 + 6 * DAY);
    expect(told(fold)).toEqual([['remind', 5 * DAY]]);
    expect(fold.activations()[0]!.cause).toMatchObject({
      trigger: 'soon',
      moment: new Date(T0 + 5 * DAY).toISOString(),
    });
    buy(fold, 1, T0 + 7 * DAY);
    renew(fold, T0 + 40 * DAY, T0 + 8 * DAY);
    fold.ringUntil(T0 + 60 * DAY);
    expect(told(fold)).toEqual([
      ['remind', 5 * DAY],
      ['remind', 33 * DAY],
    ]);
    expect(fold.alarms.size).toBe(fold.profiles().filter(({ timers }) => timers.expire).length);
  });

  it('that is past when it becomes known never comes, one that has just passed does', () => {
    const fold = new ProfileFold(config("{ at: profile.renews_at, offset: '-7d' }"));
    renew(fold, T0 + DAY, T0);
    fold.ringUntil(T0 + 30 * DAY);
    expect(told(fold)).toEqual([]);
    renew(fold, T0 + 37 * DAY - 30 * SECOND, T0 + 30 * DAY);
    expect(told(fold)).toEqual([['remind', 30 * DAY]]);
  });

  it('comes before an event that would move it, when it is due', () => {
    const fold = new ProfileFold(config('{ at: profile.renews_at }'));
    renew(fold, T0 + HOUR, T0);
    renew(fold, T0 + 9 * HOUR, T0 + HOUR + SECOND);
    expect(told(fold)).toEqual([['remind', HOUR + SECOND]]);
    fold.ringUntil(T0 + DAY);
    expect(told(fold)).toHaveLength(2);
  });

  it('waits for a time of day in the zone of the customer', () => {
    const fold = new ProfileFold(
      config("{ at: profile.renews_at, offset: '+1h', time: '09:00', zone: '{{ profile.time_zone }}' }"),
    );
    fold.send({ name: 'Moved', properties: { zone: 'Asia/Tokyo' } }, T0);
    renew(fold, T0 + HOUR, T0);
    fold.ringUntil(T0 + 3 * DAY);
    // Midnight and two hours in UTC are eleven in Tokyo: nine comes on the next day.
    expect(told(fold)).toEqual([['remind', DAY]]);
  });

  it('comes once for two profiles that become one', () => {
    const fold = new ProfileFold(config('{ at: profile.renews_at }', ', once: true'));
    renew(fold, T0 + HOUR, T0, 'd1');
    renew(fold, T0 + HOUR, T0, 'd2');
    fold.send({ name: 'In', keys: { customer_id: 'c', device: 'd1' } }, T0 + MINUTE);
    fold.send({ name: 'In', keys: { customer_id: 'c', device: 'd2' } }, T0 + MINUTE);
    fold.ringUntil(T0 + DAY);
    expect(told(fold)).toHaveLength(1);
  });
});

it('once in a period is by the time since it last fired', () => {
  const fold = new ProfileFold(
    configOf(`${EVENTS}activations: [{ name: thanks }]
triggers: [{ name: t, on: bought, once: 7d, activate: thanks }]
`),
  );
  for (const day of [0, 3, 6.9, 7, 13, 14]) buy(fold, 1, T0 + day * DAY);
  expect(told(fold)).toEqual([
    ['thanks', 0],
    ['thanks', 7 * DAY],
    ['thanks', 14 * DAY],
  ]);
});

describe('what is held back', () => {
  const config = (more = '') =>
    configOf(`${EVENTS}channels: [{ name: mail, quiet_hours: '22:00-08:00' }]
activations: [${more === 'gone' ? '{ name: other }' : "{ name: thanks, channel: mail, payload: { spend: '{{ profile.spend }}' } }"}]
triggers: ${more === 'gone' ? '[]' : '[{ name: t, on: bought, activate: thanks }]'}
`);

  it('is shown on the profile, leaves when quiet hours are over, and says when it was decided', () => {
    const fold = new ProfileFold(config());
    buy(fold, 5, T0 + HOUR);
    buy(fold, 7, T0 + 2 * HOUR);
    expect(told(fold)).toEqual([]);
    expect(fold.view('device', 'd1').held).toEqual([
      { activation: 'thanks', id: expect.any(String), until: new Date(T0 + 8 * HOUR).toISOString() },
      { activation: 'thanks', id: expect.any(String), until: new Date(T0 + 8 * HOUR).toISOString() },
    ]);
    expect(fold.facts('activation_held')[0]).toMatchObject({ activation: 'thanks' });
    fold.ringUntil(T0 + 9 * HOUR);
    expect(fold.activations().map(({ payload, at, decidedAt }) => [payload.spend, at, decidedAt])).toEqual([
      [5, new Date(T0 + 8 * HOUR).toISOString(), new Date(T0 + HOUR).toISOString()],
      [12, new Date(T0 + 8 * HOUR).toISOString(), new Date(T0 + 2 * HOUR).toISOString()],
    ]);
    expect(fold.view('device', 'd1').held).toEqual([]);
  });

  it('leaves for whom the profile has become by then', () => {
    const fold = new ProfileFold(config());
    buy(fold, 5, T0 + HOUR);
    fold.send({ name: 'In', keys: { customer_id: 'c', device: 'd2' } }, T0);
    fold.send({ name: 'In', keys: { customer_id: 'c', device: 'd1' } }, T0 + 2 * HOUR);
    fold.ringUntil(T0 + 9 * HOUR);
    expect(fold.activations()).toMatchObject([
      { name: 'thanks', profileId: fold.holder('customer_id', 'c')!.id, keys: { customer_id: 'c' } },
    ]);
  });

  it('is not sent when the config has no such activation any more, or the profile is no more; both are told', () => {
    const fold = new ProfileFold(config());
    buy(fold, 5, T0 + HOUR);
    fold.actor = createProfileActor(config('gone'), { shards: 8, configVersion: 2 });
    fold.ringUntil(T0 + 9 * HOUR);
    expect(told(fold)).toEqual([]);
    expect(fold.facts('activation_suppressed')).toMatchObject([{ activation: 'thanks', reason: 'config' }]);
    expect(fold.profiles()[0]!.sending).toBeUndefined();
  });

  it('is bounded: what is beyond is told', () => {
    const fold = new ProfileFold(config());
    for (let i = 0; i < 60; i++) buy(fold, 5, T0 + i * SECOND);
    expect(fold.view('device', 'd1').held).toHaveLength(50);
    expect(fold.facts('activation_suppressed').map(({ reason }) => reason)).toEqual(
      Array(10).fill('too_many_held'),
    );
  });
});

it.each([
  ['channels: [{ name: m }, { name: m }]', 'DUPLICATE', 'channels[1].name'],
  [
    'activations: [{ name: a, channel: mial }]\nchannels: [{ name: mail }]',
    'REFERENCE',
    'activations[0].channel',
  ],
  ["activations: [{ name: a, quiet_hours: '22:00-22:00' }]", 'SHAPE', 'activations[0].quiet_hours'],
  ["activations: [{ name: a, quiet_hours: '22:00-25:00' }]", 'SHAPE', 'activations[0].quiet_hours'],
  [
    "activations: [{ name: a, quiet_hours: { from: '22:00', to: '08:00', zone: Europe/Berlim } }]",
    'SHAPE',
    'activations[0].quiet_hours.zone',
  ],
  ['activations: [{ name: a, frequency_cap: 1/900d }]', 'LIMIT', 'activations[0].frequency_cap'],
  ['activations: [{ name: a, frequency_cap: 0/1d }]', 'SHAPE', 'activations[0].frequency_cap'],
  ['activations: [{ name: a, consent: profile.agreeed }]', 'REFERENCE', 'activations[0].consent'],
  ["activations: [{ name: a, consent: '1 + 1' }]", 'EXPRESSION', 'activations[0].consent'],
  [
    'activations: [{ name: a }]\ntriggers: [{ name: t, on: { crosses: profile.spend }, activate: a }]',
    'SHAPE',
    'triggers[0].on',
  ],
  [
    'activations: [{ name: a }]\ntriggers: [{ name: t, on: { crosses: profile.spend, above: 1, below: 3 }, activate: a }]',
    'SHAPE',
    'triggers[0].on',
  ],
  [
    'activations: [{ name: a }]\ntriggers: [{ name: t, on: { at: profile.renew_at }, activate: a }]',
    'REFERENCE',
    'triggers[0].on.at',
  ],
  [
    'activations: [{ name: a }]\ntriggers: [{ name: t, on: { at: profile.spend, zone: UTC }, activate: a }]',
    'SHAPE',
    'triggers[0].on.zone',
  ],
])('a config with %s is refused', (rest, code, path) => {
  const parsed = parseSegmentConfig(`segment: shop
stitching: { keys: [{ name: device, kind: device, limit: 9 }] }
${EVENTS}${rest}
`);
  expect(parsed.kind).toBe('invalid');
  if (parsed.kind === 'invalid')
    expect(parsed.problems.map((problem) => `${problem.code} ${problem.path}`)).toContain(`${code} ${path}`);
});
