// Journeys by hand: in, from step to step, out; with events out of order, repeats, merges, outages and changes of config.
import { describe, expect, it } from 'vitest';
import { createProfileActor } from '../../../actors/profile/actor.ts';
import type { Members } from '../../../actors/profile/profile.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { configOf, DAY, HOUR, MINUTE, ProfileFold, T0 } from '../profile/harness.ts';

const CART = `events:
  - { name: added, when: 'event.name == "Added"' }
  - { name: removed, when: 'event.name == "Removed"' }
  - { name: ordered, when: 'event.name == "Ordered"' }
  - { name: opened, when: 'event.name == "Opened"' }
attributes:
  - { name: cart, type: list, on: added, id: event.properties.sku, fields: { price: event.properties.price }, clear: [{ on: ordered }], aggregate: { cart_total: { sum: item.price } } }
  - { name: stage, type: single, on: opened, value: event.properties.none }
audiences:
  - { name: rich, when: 'profile.cart_total > 500.0' }
  - { name: staged, when: 'has(profile.stage) && profile.stage == "mailed"' }
activations:
  - { name: mail, payload: { total: '{{ profile.cart_total }}' } }
  - { name: push }
  - { name: sms }
  - { name: hello }
`;
const STEPS = `
      - { wait: 30m }
      - { decide: [{ when: 'profile.cart_total > 50.0', steps: [{ activate: mail }] }, { else: [{ activate: push }] }] }
      - { wait: { until: { on: opened }, at_most: 24h } }
      - { split: [{ name: sms, percent: 50, steps: [{ activate: sms }] }, { name: control, percent: 50, steps: [] }] }`;
const journey = (more = 'reentry: always', steps = STEPS) => `journeys:
  - name: abandoned
    enter: { on: added }
    ${more}
    goal: { on: ordered }
    exit: [{ on: removed, when: 'profile.cart_total < 1.0' }, { stale: 7d }]
    steps:${steps}
`;

function foldOf(yaml = journey(), logId = 'log-1') {
  return new ProfileFold(configOf(`${CART}${yaml}`), { logId });
}

let made = 0;
const happen = (
  fold: ProfileFold,
  name: string,
  atMs: number,
  more: { id?: string; price?: number; device?: string; at?: number; keys?: Record<string, string> } = {},
) => {
  made += 1;
  const { id = `e${made}`, price = 20, device = 'd1', at = atMs, keys = {} } = more;
  fold.ringUntil(atMs);
  return fold.send(
    { id, name, keys: { device, ...keys }, properties: { sku: id, price }, timestampMs: at },
    atMs,
  );
};
const sent = (fold: ProfileFold) =>
  fold.activations().map(({ name, at }) => `${name} ${(Date.parse(at) - T0) / MINUTE}`);
const left = (fold: ProfileFold) => fold.facts('journey_left').map(({ reason, step }) => `${reason} ${step}`);
const inside = (fold: ProfileFold) =>
  (fold.records.get(recordKeys.members(0)) as Members | undefined)?.journeys ?? {};

describe('a journey', () => {
  it('goes from step to step by its clock, by conditions and by events', () => {
    const fold = foldOf();
    happen(fold, 'Added', T0, { price: 60 });
    expect(fold.view('device', 'd1').journeys).toEqual({
      abandoned: {
        step: '1',
        enteredAt: new Date(T0).toISOString(),
        dueAt: new Date(T0 + 30 * MINUTE).toISOString(),
        configVersion: 1,
      },
    });
    expect(inside(fold)).toEqual({ abandoned: { 1: 1 } });
    fold.ringUntil(T0 + 29 * MINUTE);
    expect(sent(fold)).toEqual([]);
    fold.ringUntil(T0 + 30 * MINUTE);
    expect(sent(fold)).toEqual(['mail 30']);
    expect(fold.activations()[0]).toMatchObject({
      payload: { total: 60 },
      cause: { journey: 'abandoned', step: '2a.1' },
    });
    expect(inside(fold)).toEqual({ abandoned: { 3: 1 } });
    happen(fold, 'Opened', T0 + HOUR);
    expect(left(fold)).toEqual(['end 4']);
    expect(inside(fold)).toEqual({});
    expect(fold.view('device', 'd1').journeys).toEqual({});
    expect(fold.facts('journey_entered')).toHaveLength(1);
  });

  it('takes the other branch, and goes on when nobody answers', () => {
    const fold = foldOf();
    happen(fold, 'Added', T0, { price: 10 });
    fold.ringUntil(T0 + 25 * HOUR);
    expect(sent(fold).slice(0, 1)).toEqual(['push 30']);
    expect(left(fold)).toEqual(['end 4']);
  });

  it.each([
    ['goal', 'Ordered', 'goal 1'],
    ['exit', 'Removed', undefined],
  ])('is left by its %s', (_, name, expected) => {
    const fold = foldOf();
    happen(fold, 'Added', T0, { price: 10 });
    happen(fold, name, T0 + MINUTE);
    expect(left(fold)).toEqual(expected === undefined ? [] : [expected]);
    fold.ringUntil(T0 + 2 * DAY);
    expect(sent(fold).includes('push 30')).toBe(expected === undefined);
  });

  it('is over when nothing went on for too long', () => {
    const fold = foldOf(journey('reentry: always', '\n      - { wait: { until: { on: opened } } }'));
    happen(fold, 'Added', T0);
    fold.ringUntil(T0 + 8 * DAY);
    expect(left(fold)).toEqual(['stale 1']);
    expect(inside(fold)).toEqual({});
  });

  it('begins with no event that happened before its end, whichever is applied first', () => {
    const fold = foldOf();
    happen(fold, 'Ordered', T0 + 10 * MINUTE);
    happen(fold, 'Added', T0 + 11 * MINUTE, { at: T0 });
    expect(fold.facts('journey_entered')).toEqual([]);
    happen(fold, 'Added', T0 + 12 * MINUTE);
    expect(fold.facts('journey_entered')).toHaveLength(1);
    // An order of before does not end it.
    happen(fold, 'Ordered', T0 + 13 * MINUTE, { at: T0 + 11 * MINUTE });
    expect(left(fold)).toEqual([]);
  });

  it('is entered once by an event that is sent again', () => {
    const fold = foldOf();
    for (let i = 0; i < 3; i++) happen(fold, 'Added', T0, { id: 'same' });
    fold.ringUntil(T0 + 30 * MINUTE);
    expect(sent(fold)).toHaveLength(1);
  });

  it.each([
    ['never', 1, 1],
    ['unless_goal', 2, 1],
    ['always', 2, 2],
  ])('with reentry %s', (reentry, afterEnd, afterGoal) => {
    const run = (end: 'end' | 'goal') => {
      const fold = foldOf(journey(`reentry: ${reentry}`, '\n      - { wait: 1h }'));
      happen(fold, 'Added', T0);
      if (end === 'goal') happen(fold, 'Ordered', T0 + MINUTE);
      happen(fold, 'Added', T0 + 2 * HOUR);
      return fold.facts('journey_entered').length;
    };
    expect([run('end'), run('goal')]).toEqual([afterEnd, afterGoal]);
  });

  it('as a draft takes nobody in; paused neither, and nobody goes on until it is not', () => {
    const draft = foldOf(journey('state: draft'));
    happen(draft, 'Added', T0);
    expect(draft.facts('journey_entered')).toEqual([]);
    const fold = foldOf();
    happen(fold, 'Added', T0, { price: 10 });
    fold.actor = createProfileActor(configOf(`${CART}${journey('paused: true')}`), {
      shards: 8,
      configVersion: 2,
    });
    fold.ringUntil(T0 + 2 * HOUR);
    happen(fold, 'Added', T0 + 2 * HOUR, { device: 'd2' });
    expect([sent(fold), fold.facts('journey_entered').length]).toEqual([[], 1]);
    fold.actor = createProfileActor(fold.config, { shards: 8, configVersion: 3 });
    fold.ringUntil(T0 + 2 * HOUR + 5 * MINUTE);
    expect(sent(fold)).toHaveLength(1);
  });

  it('counts what follows a wait from its end, also after an outage', () => {
    const fold = foldOf(
      journey(
        'reentry: always',
        '\n      - { wait: 10m }\n      - { activate: hello }\n      - { wait: 10m }\n      - { activate: push }\n      - { wait: 1h }',
      ),
    );
    happen(fold, 'Added', T0);
    const [alarm] = [...fold.alarms.values()].filter(({ key }) => key.endsWith('.journeys'));
    fold.ring(alarm!.key, T0 + 15 * MINUTE);
    expect(sent(fold)).toEqual(['hello 15']);
    fold.ringUntil(T0 + 20 * MINUTE);
    expect(sent(fold)).toEqual(['hello 15', 'push 20']);
    expect(fold.holder('device', 'd1')!.journeys!.abandoned!.dueMs).toBe(T0 + 80 * MINUTE);
  });

  it('does what is due before the event that comes', () => {
    const fold = foldOf();
    happen(fold, 'Added', T0, { price: 10 });
    // The clock is late: the order comes a minute after the wait was over.
    fold.send(
      { id: 'late', name: 'Ordered', keys: { device: 'd1' }, timestampMs: T0 + 31 * MINUTE },
      T0 + 31 * MINUTE,
    );
    expect(sent(fold)).toEqual(['push 31']);
    expect(left(fold)).toEqual(['goal 3']);
    fold.ringUntil(T0 + 2 * DAY);
    expect(sent(fold)).toEqual(['push 31']);
  });

  it('is entered and set in motion by audiences, and writes attributes that change them', () => {
    const fold = foldOf(`journeys:
  - name: care
    enter: { entered: rich }
    steps:
      - { set: { stage: '"mailed"' } }
      - { wait: { until: { when: 'profile.cart_total == 0.0' } } }
      - { activate: hello }
`);
    happen(fold, 'Added', T0, { price: 600 });
    expect(fold.view('device', 'd1')).toMatchObject({
      audiences: expect.arrayContaining(['rich', 'staged']),
      attributes: { stage: 'mailed' },
      journeys: { care: { step: '2', dueAt: null } },
    });
    happen(fold, 'Ordered', T0 + HOUR);
    expect(sent(fold)).toEqual(['hello 60']);
  });

  it('jumps, waits for a time of day and for a date', () => {
    const fold = foldOf(`journeys:
  - name: daily
    enter: { on: added }
    exit: [{ on: ordered }]
    steps:
      - { name: morning, wait: { until: { time: '09:00', zone: Europe/Berlin } } }
      - { activate: hello }
      - { jump: morning }
  - name: dated
    enter: { on: added }
    steps:
      - { wait: { until: { date: 'timestamp("2026-01-02T12:00:00Z")' } } }
      - { activate: push }
`);
    happen(fold, 'Added', T0);
    fold.ringUntil(T0 + 2.5 * DAY);
    // 09:00 in Berlin is 08:00 UTC in winter.
    expect(sent(fold)).toEqual([
      `hello ${8 * 60}`,
      `hello ${32 * 60}`,
      `push ${36 * 60}`,
      `hello ${56 * 60}`,
    ]);
    happen(fold, 'Ordered', T0 + 2.6 * DAY);
    fold.ringUntil(T0 + 9 * DAY);
    expect(sent(fold)).toHaveLength(4);
  });
});

describe('two profiles that become one', () => {
  it('go on as the one that is further, and the other ends', () => {
    for (const order of [
      ['d1', 'd2'],
      ['d2', 'd1'],
    ]) {
      const fold = foldOf();
      happen(fold, 'Added', T0, { device: 'd1', price: 10 });
      happen(fold, 'Added', T0 + 40 * MINUTE, { device: 'd2', price: 10 });
      expect(inside(fold)).toEqual({ abandoned: { 3: 1, 1: 1 } });
      for (const device of order)
        happen(fold, 'Else', T0 + 41 * MINUTE, { device, keys: { customer_id: 'c' } });
      expect(left(fold)).toEqual(['merged 1']);
      expect(inside(fold)).toEqual({ abandoned: { 3: 1 } });
      fold.ringUntil(T0 + 2 * DAY);
      expect(sent(fold).filter((one) => one.startsWith('push'))).toEqual(['push 30']);
      expect(inside(fold)).toEqual({});
    }
  });

  it('keep the branch that they drew, and do not come in again', () => {
    const steps =
      '\n      - { split: [{ name: a, percent: 50, steps: [{ activate: hello }] }, { name: b, percent: 50, steps: [{ activate: push }] }] }\n      - { wait: 1m }';
    const drawn = new Set<string>();
    for (let i = 0; i < 20; i++) {
      const fold = foldOf(journey('reentry: always', steps), `log-${i}`);
      const device = `x${i}`;
      for (let again = 0; again < 4; again++) {
        happen(fold, 'Added', T0 + again * HOUR, { device });
        if (again === 1)
          happen(fold, 'Else', T0 + 90 * MINUTE, { device: `y${i}`, keys: { customer_id: 'c' } });
        if (again === 1) happen(fold, 'Else', T0 + 91 * MINUTE, { device, keys: { customer_id: 'c' } });
      }
      const names = new Set(fold.activations().map(({ name }) => name));
      expect(fold.activations()).toHaveLength(4);
      expect(names.size).toBe(1);
      drawn.add([...names][0]!);
    }
    expect(drawn.size).toBe(2);
  });
});

describe('a change of config', () => {
  it('lets who is inside finish by the old one, if that is known', () => {
    const changed = configOf(
      `${CART}${journey('reentry: always', '\n      - { wait: 5m }\n      - { activate: sms }')}`,
    );
    for (const knows of [true, false]) {
      const fold = foldOf();
      happen(fold, 'Added', T0, { price: 10 });
      const formerJourneys = knows ? fold.config.journeys : [];
      fold.actor = createProfileActor(changed, { shards: 8, configVersion: 2, formerJourneys });
      happen(fold, 'Added', T0 + MINUTE, { device: 'd2' });
      fold.ringUntil(T0 + HOUR);
      expect(sent(fold)).toEqual(knows ? ['sms 6', 'push 30'] : ['sms 6']);
      expect(left(fold)).toContain(knows ? 'end 2' : 'config 1');
    }
  });
});
