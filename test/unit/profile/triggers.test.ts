// Triggers: what fires, when, how often, and what the activation says.
import { describe, expect, it } from 'vitest';
import { recordKeys } from '../../../shared/contract/names.ts';
import { configOf, ProfileFold, parseConfig, SECOND, T0 } from './harness.ts';

const CONFIG = `events:
  - { name: ordered, when: 'event.name == "Ordered"' }
  - { name: big, when: 'event.name == "Ordered" && event.properties.amount >= 100' }
attributes:
  - { name: spend, type: counter, total: true, on: ordered, by: event.properties.amount }
  - { name: recent, type: counter, windows: [1h], on: ordered }
activations:
  - name: vip
    to: crm
    payload:
      mail: '{{ keys.email }}'
      all: '{{ keys_all.email }}'
      spend: '{{ profile.spend }}'
      text: 'Spent {{ profile.spend }} on {{ event.properties.item }}'
      phone: '{{ keys.phone }}'
      nested: [{ amount: '{{ event.properties.amount }}', fixed: 1 }]
  - { name: plain }
triggers:
  - { name: thousand, on: ordered, when: 'profile.spend >= 1000', once: true, activate: vip }
  - { name: every, on: big, activate: plain }
  - { name: busy, on: ordered, when: 'profile.recent["1h"] == 3', activate: plain }
`;

const KEYS = `keys:
    - { name: customer, limit: 1 }
    - { name: email, limit: 5 }
    - { name: phone, limit: 5 }
    - { name: device, kind: device }`;

function foldOf() {
  return new ProfileFold(configOf(CONFIG, KEYS));
}

const ordered = (amount: unknown, extra = {}) => ({
  name: 'Ordered',
  keys: { device: 'd1', email: 'a@x' },
  properties: { amount, item: 'tea' },
  ...extra,
});

describe('a trigger', () => {
  it('sees the profile as it is after the event', () => {
    const fold = foldOf();
    fold.send(ordered(50));
    expect(fold.activations()).toEqual([]);
    fold.send(ordered(950, { id: 'm2' }), T0 + SECOND);
    expect(fold.activations().map(({ cause }) => cause.trigger)).toEqual(['thousand', 'every']);
  });

  it('fires an activation with its payload, types kept', () => {
    const fold = foldOf();
    fold.send({ ...ordered(1), keys: { device: 'd1', email: 'old@x' } });
    fold.send(ordered(1000, { id: 'm2' }), T0 + SECOND);
    const [vip] = fold.activations();
    expect(vip).toEqual({
      id: expect.stringMatching(/^[0-9A-Za-z_-]{16,}$/),
      name: 'vip',
      segment: 'shop',
      profileId: fold.profiles()[0]!.id,
      keys: { device: 'd1', email: 'a@x' },
      payload: {
        mail: 'a@x',
        all: ['old@x', 'a@x'],
        spend: 1001,
        text: 'Spent 1001 on tea',
        phone: null,
        nested: [{ amount: 1000, fixed: 1 }],
      },
      cause: { trigger: 'thousand', event: 'ordered', messageId: 'm2' },
      at: new Date(T0 + SECOND).toISOString(),
      configVersion: 1,
    });
    expect(fold.outbox.map(({ key }) => key)).toContain(recordKeys.activation('vip', vip!.id));
  });

  it('with once fires once, also after a merge with a profile where it had fired', () => {
    const fold = foldOf();
    fold.send({ ...ordered(1000), keys: { device: 'd1' } });
    fold.send({ ...ordered(1000), keys: { device: 'd1' } });
    fold.send({ ...ordered(1), keys: { customer: 'c1' } });
    fold.send({ ...ordered(1), keys: { customer: 'c1', device: 'd1' } });
    expect(fold.activations().filter(({ name }) => name === 'vip')).toHaveLength(1);
    expect(fold.profiles()).toHaveLength(1);
  });

  it('without once fires each time it holds', () => {
    const fold = foldOf();
    for (let i = 0; i < 3; i++) fold.send(ordered(100));
    const fired = fold.activations().map(({ cause }) => cause.trigger);
    expect(fired.filter((trigger) => trigger === 'every')).toHaveLength(3);
    expect(fired.filter((trigger) => trigger === 'busy')).toHaveLength(1);
  });

  it('has an id that is the cause’s, so that a replay gives the same', () => {
    const ids = [foldOf(), foldOf()].map((fold) => {
      fold.send(ordered(5000, { id: 'm1' }));
      return fold.activations().map(({ id }) => id);
    });
    expect(ids[0]).toEqual(ids[1]);
    expect(new Set(ids[0]).size).toBe(2);
  });

  it('does not fire for a duplicate', () => {
    const fold = foldOf();
    for (let i = 0; i < 3; i++) fold.send(ordered(5000, { id: 'm1' }));
    expect(fold.activations()).toHaveLength(2);
  });
});

describe('conditions that cannot be evaluated', () => {
  it('do not match, and are told with expression and reason', () => {
    const fold = foldOf();
    fold.send(ordered('much'));
    expect(fold.activations()).toEqual([]);
    expect(fold.facts('condition_failed')).toContainEqual(
      expect.objectContaining({
        expression: 'event.name == "Ordered" && event.properties.amount >= 100',
        reason: expect.stringMatching(/./),
      }),
    );
  });

  it('do not match and are not told when something is only missing', () => {
    const fold = foldOf();
    fold.send(ordered(undefined));
    expect(fold.facts('condition_failed')).toEqual([]);
  });

  it('stay small in the audit, whatever the event holds', () => {
    const fold = foldOf();
    fold.send({ ...ordered('x'.repeat(100_000)) });
    expect(JSON.stringify(fold.audit()).length).toBeLessThan(10_000);
  });
});

describe('a payload of a literal object', () => {
  it('is sent', () => {
    const config = parseConfig(
      `segment: s\nstitching: { keys: [{ name: a }] }\nevents: [{ name: e, when: 'true' }]\nactivations: [{ name: x, payload: { o: '{{ {"n": 1} }}' } }]\ntriggers: [{ name: t, on: e, activate: x }]\n`,
    );
    const fold = new ProfileFold(config, { onPoison: 'keep' });
    fold.send({ keys: { a: 'k1' } });
    expect(fold.deadLetters).toEqual([]);
    expect(fold.activations()).toMatchObject([{ payload: { o: { n: 1 } } }]);
  });
});
