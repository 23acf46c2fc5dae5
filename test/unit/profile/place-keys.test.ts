// Keys that move, are freed, make room or are refused: what becomes of both profiles, of the links, and what is told.
import { describe, expect, it } from 'vitest';
import type { Link, Profile } from '../../../actors/profile/profile.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { configOf, DAY, HOUR, MINUTE, ProfileFold, SECOND, T0 } from './harness.ts';

const VIEWS = `
events: [{ name: viewed, when: 'event.name == "Viewed"' }]
attributes: [{ name: views, type: counter, total: true, on: viewed }]
`;

function foldWith(keys: readonly string[], lines = ''): ProfileFold {
  const listed = keys.map((key) => `    - { ${key} }`).join('\n');
  return new ProfileFold(configOf(VIEWS, `keys:\n${listed}\n${lines}`));
}

const ownedBy = (owner: string) =>
  foldWith(
    ['name: customer, limit: 1', `name: device, kind: device, owner: ${owner}`],
    '  logout: [Signed Out]',
  );

const linkOf = (fold: ProfileFold, name: string, value: string) =>
  fold.records.get(recordKeys.link(name, value)) as Link | undefined;
const viewsOf = (fold: ProfileFold, name: string, value: string) =>
  fold.view(name, value, T0 + DAY).attributes.views;

describe('a device that the last who signed in owns', () => {
  /** c1 on d1, then c2 on d1. */
  function shared(): ProfileFold {
    const fold = ownedBy('last_authenticated');
    fold.send({ id: 'a', keys: { customer: 'c1', device: 'd1' } });
    fold.send({ id: 'b', keys: { device: 'd1' } }, T0 + MINUTE);
    fold.send({ id: 'c', keys: { customer: 'c2', device: 'd1' } }, T0 + HOUR);
    return fold;
  }

  it('moves, and takes nothing along', () => {
    const fold = shared();
    expect(fold.partition()).toEqual([['customer:c1'], ['customer:c2', 'device:d1']]);
    expect([viewsOf(fold, 'customer', 'c1'), viewsOf(fold, 'customer', 'c2')]).toEqual([2, 1]);
    expect(fold.facts('profiles_merged')).toEqual([]);
    expect(fold.facts('key_evicted')).toMatchObject([
      { key: { name: 'device', value: 'd1' }, reason: 'moved' },
    ]);
    expect(fold.contradictions()).toEqual([]);
  });

  it('brings its next anonymous events to the new owner', () => {
    const fold = shared();
    fold.send({ keys: { device: 'd1' } }, T0 + 2 * HOUR);
    expect([viewsOf(fold, 'customer', 'c1'), viewsOf(fold, 'customer', 'c2')]).toEqual([2, 2]);
  });

  it('and back again; the late event goes to who had it when it happened', () => {
    const fold = shared();
    fold.send({ keys: { customer: 'c1', device: 'd1' } }, T0 + 3 * HOUR);
    expect(fold.partition()).toEqual([['customer:c1', 'device:d1'], ['customer:c2']]);
    const sent = (atMs: number) => fold.send({ keys: { device: 'd1' }, timestampMs: atMs }, T0 + 4 * HOUR);
    sent(T0 + 2 * HOUR);
    expect([viewsOf(fold, 'customer', 'c1'), viewsOf(fold, 'customer', 'c2')]).toEqual([3, 2]);
    sent(T0 + 30 * MINUTE);
    expect([viewsOf(fold, 'customer', 'c1'), viewsOf(fold, 'customer', 'c2')]).toEqual([4, 2]);
    sent(T0 + 3.5 * HOUR);
    expect([viewsOf(fold, 'customer', 'c1'), viewsOf(fold, 'customer', 'c2')]).toEqual([5, 2]);
    expect(fold.partition()).toEqual([['customer:c1', 'device:d1'], ['customer:c2']]);
  });

  it('is not given back by a replay of the old sign-in', () => {
    const fold = shared();
    fold.send(
      { id: 'late', keys: { customer: 'c1', device: 'd1' }, timestampMs: T0 + SECOND },
      T0 + 4 * HOUR,
    );
    expect(fold.holder('device', 'd1')).toEqual(fold.holder('customer', 'c2'));
    expect(viewsOf(fold, 'customer', 'c1')).toBe(3);
  });

  it('knows what the former owner has applied: a repeated event counts once', () => {
    const fold = shared();
    fold.send({ id: 'b', keys: { device: 'd1' } }, T0 + 2 * HOUR);
    expect([viewsOf(fold, 'customer', 'c1'), viewsOf(fold, 'customer', 'c2')]).toEqual([2, 1]);
  });

  it('takes the stamps of plain commits along', () => {
    const fold = ownedBy('last_authenticated');
    fold.send({ keys: { customer: 'c1', device: 'd1' } });
    const key = recordKeys.profile(fold.holder('customer', 'c1')!.id);
    const stamps = [{ shard: 3, sequence: 99, hash: 7 }];
    fold.records.set(key, { ...(fold.records.get(key) as Profile), stamps });
    fold.send({ keys: { customer: 'c2', device: 'd1' } }, T0 + HOUR);
    expect(fold.holder('customer', 'c2')!.stamps).toEqual(stamps);
  });
});

describe('a device that the first owner keeps', () => {
  it('stays, and the other person’s events go to that person', () => {
    const fold = ownedBy('first');
    fold.send({ keys: { customer: 'c1', device: 'd1' } });
    fold.send({ keys: { customer: 'c2', device: 'd1' } }, T0 + HOUR);
    fold.send({ keys: { device: 'd1' } }, T0 + 2 * HOUR);
    expect(fold.partition()).toEqual([['customer:c1', 'device:d1'], ['customer:c2']]);
    expect([viewsOf(fold, 'customer', 'c1'), viewsOf(fold, 'customer', 'c2')]).toEqual([2, 1]);
    expect(fold.facts('link_refused')).toMatchObject([{ reason: 'owner' }]);
  });
});

describe('a device that is nobody’s when it is shared', () => {
  it('leaves its holder, joins nobody any more, and is an anonymous visitor by itself', () => {
    const fold = ownedBy('none_when_shared');
    fold.send({ keys: { customer: 'c1', device: 'd1' } });
    fold.send({ keys: { customer: 'c2', device: 'd1' } }, T0 + HOUR);
    expect(fold.partition()).toEqual([['customer:c1'], ['customer:c2']]);
    expect(linkOf(fold, 'device', 'd1')).toMatchObject({ profileId: null, shared: true });
    fold.send({ keys: { device: 'd1' } }, T0 + 2 * HOUR);
    fold.send({ keys: { customer: 'c1', device: 'd1' } }, T0 + 3 * HOUR);
    expect(fold.partition()).toEqual([['customer:c1'], ['customer:c2'], ['device:d1']]);
    expect([viewsOf(fold, 'customer', 'c1'), viewsOf(fold, 'device', 'd1')]).toEqual([2, 1]);
    expect(fold.facts('key_evicted')).toMatchObject([{ reason: 'shared' }]);
    expect(fold.facts('link_refused').at(-1)).toMatchObject({ reason: 'shared' });
    expect(fold.contradictions()).toEqual([]);
  });
});

describe('an event that ends a visit', () => {
  it('frees the device: the next event with it alone begins a new anonymous profile', () => {
    const fold = ownedBy('first');
    fold.send({ keys: { customer: 'c1', device: 'd1' } });
    fold.send({ name: 'Signed Out', keys: { device: 'd1' } }, T0 + HOUR);
    expect(fold.partition()).toEqual([['customer:c1']]);
    expect(fold.facts('key_evicted')).toMatchObject([{ reason: 'logout' }]);
    fold.send({ keys: { device: 'd1' } }, T0 + 2 * HOUR);
    expect(fold.partition()).toEqual([['customer:c1'], ['device:d1']]);
    fold.send({ keys: { customer: 'c2', device: 'd1' } }, T0 + 3 * HOUR);
    expect(fold.partition()).toEqual([['customer:c1'], ['customer:c2', 'device:d1']]);
    expect([viewsOf(fold, 'customer', 'c1'), viewsOf(fold, 'customer', 'c2')]).toEqual([1, 2]);
    expect(fold.contradictions()).toEqual([]);
  });

  it('an event from before it that is sent again counts once, with its time and without', () => {
    for (const timestampMs of [T0 + SECOND, undefined]) {
      const fold = ownedBy('first');
      fold.send({ keys: { customer: 'c1', device: 'd1' } });
      const again = { id: 'again', keys: { device: 'd1' }, timestampMs };
      fold.send(again, T0 + MINUTE);
      fold.send({ name: 'Signed Out', keys: { device: 'd1' } }, T0 + 2 * MINUTE);
      fold.send(again, T0 + 3 * MINUTE);
      expect(fold.partition()).toEqual([['customer:c1']]);
      fold.send({ keys: { device: 'd1' } }, T0 + 4 * MINUTE);
      fold.send(again, T0 + 5 * MINUTE);
      expect([viewsOf(fold, 'customer', 'c1'), viewsOf(fold, 'device', 'd1')]).toEqual([2, 1]);
    }
  });

  it('leaves a link that is forgotten in time, unless the device is seen again', () => {
    const fold = ownedBy('first');
    fold.send({ keys: { customer: 'c1', device: 'd1' } });
    fold.send({ name: 'Signed Out', keys: { device: 'd1' } }, T0 + HOUR);
    const key = recordKeys.link('device', 'd1');
    expect(fold.actor.lifetimeMs!(key, linkOf(fold, 'device', 'd1'))).toBe(90 * DAY);
    fold.send({ keys: { device: 'd1' } }, T0 + 2 * HOUR);
    expect(fold.actor.lifetimeMs!(key, linkOf(fold, 'device', 'd1'))).toBeUndefined();
  });

  it('leaves a profile that has nothing but devices as it is', () => {
    const fold = ownedBy('first');
    fold.send({ keys: { device: 'd1' } });
    fold.send({ name: 'Signed Out', keys: { device: 'd1' } }, T0 + HOUR);
    expect(fold.partition()).toEqual([['device:d1']]);
  });

  it('sent twice frees once', () => {
    const fold = ownedBy('first');
    fold.send({ keys: { customer: 'c1', device: 'd1' } });
    for (let time = 0; time < 2; time++)
      fold.send({ id: 'out', name: 'Signed Out', keys: { customer: 'c1', device: 'd1' } }, T0 + HOUR);
    expect(fold.facts('key_evicted')).toHaveLength(1);
    expect(fold.partition()).toEqual([['customer:c1']]);
  });
});

describe('replace_oldest', () => {
  it('puts the value out that was seen longest ago; it is free for others', () => {
    const fold = foldWith(
      ['name: customer, limit: 1', 'name: email, limit: 2'],
      '  on_limit: replace_oldest',
    );
    fold.send({ keys: { customer: 'c1', email: 'e1' } });
    fold.send({ keys: { customer: 'c1', email: 'e2' } }, T0 + HOUR);
    fold.send({ keys: { customer: 'c1', email: 'e1' } }, T0 + 2 * HOUR);
    fold.send({ keys: { customer: 'c1', email: 'e3' } }, T0 + 3 * HOUR);
    expect(fold.partition()).toEqual([['customer:c1', 'email:e1', 'email:e3']]);
    expect(fold.facts('key_evicted')).toMatchObject([{ key: { value: 'e2' }, reason: 'replaced' }]);
    fold.send({ keys: { customer: 'c2', email: 'e2' } }, T0 + 4 * HOUR);
    expect(fold.partition()).toEqual([
      ['customer:c1', 'email:e1', 'email:e3'],
      ['customer:c2', 'email:e2'],
    ]);
    expect(fold.contradictions()).toEqual([]);
  });
});

describe('limits between keys', () => {
  it('are counted on the link, over time', () => {
    const fold = foldWith(['name: login', 'name: device, kind: device, links: { login: 1 }']);
    fold.send({ keys: { login: 'a', device: 'd1' } });
    expect(linkOf(fold, 'device', 'd1')?.touches).toEqual({ login: ['a'] });
    fold.send({ keys: { login: 'c', device: 'd1' } }, T0 + HOUR);
    fold.send({ keys: { login: 'a', device: 'd1' } }, T0 + 2 * HOUR);
    expect(fold.partition()).toEqual([['device:d1', 'login:a'], ['login:c']]);
    expect(fold.facts('link_refused')).toMatchObject([{ reason: 'link_limit' }]);
    expect(fold.contradictions()).toEqual([]);
  });
});

describe('a value seen on many profiles', () => {
  it('is flagged once, and counted no further', () => {
    const fold = foldWith(
      ['name: customer, limit: 1', 'name: device, kind: device'],
      '  flag_after_profiles: 2',
    );
    for (let i = 0; i < 6; i++) fold.send({ keys: { customer: `c${i}`, device: 'd1' } }, T0 + i * SECOND);
    expect(fold.facts('key_flagged')).toMatchObject([{ key: { name: 'device', value: 'd1' } }]);
    expect(linkOf(fold, 'device', 'd1')?.profiles).toHaveLength(3);
  });
});

describe('time of the last use', () => {
  it('is kept to the minute', () => {
    const fold = foldWith(['name: customer, limit: 1']);
    fold.send({ keys: { customer: 'c1' } });
    const last = () => fold.holder('customer', 'c1')!.keys.customer![0]!.lastSeenMs - T0;
    fold.send({ keys: { customer: 'c1' } }, T0 + 30 * SECOND);
    expect(last()).toBe(0);
    fold.send({ keys: { customer: 'c1' } }, T0 + 90 * SECOND);
    expect(last()).toBe(90 * SECOND);
  });
});

describe('attributes at a merge', () => {
  const merged = (attribute: string, ...values: readonly unknown[]) => {
    const config = configOf(
      `events: [{ name: set, when: 'event.name == "Set"' }]
attributes: [{ name: x, type: single, on: set, value: event.properties.x, ${attribute} }]`,
      `keys: [{ name: customer, limit: 1 }, { name: device, kind: device }]`,
    );
    const fold = new ProfileFold(config);
    values.forEach((x, i) => {
      const keys = i === 0 ? { customer: 'c1' } : { device: `d${i}` };
      fold.send({ name: 'Set', keys, properties: { x } }, T0 + i * SECOND);
    });
    values.forEach((_, i) => {
      if (i > 0) fold.send({ name: 'Met', keys: { customer: 'c1', device: `d${i}` } }, T0 + HOUR + i);
    });
    return fold.view('customer', 'c1').attributes.x;
  };

  it.each([
    ['merge: newest', ['a', 'b', 'c'], 'c'],
    ['merge: oldest', ['a', 'b', 'c'], 'a'],
    ['merge: survivor', ['a', 'b', 'c'], 'a'],
    ['merge: min', [5, 3, 9], 3],
    ['merge: max', [5, 3, 9, 4], 9],
    ['merge: max', ['gold', 'silver'], 'silver'],
    ['merge: restrictive', [true, false, true], false],
    ['merge: restrictive', ['granted', 'Opt-Out', 'granted'], 'Opt-Out'],
    ['merge: restrictive', ['granted', 'partly'], 'partly'],
  ])('%s of %j', (rule, values, expected) => {
    expect(merged(rule, ...values)).toBe(expected);
  });

  it.each([
    ['sum', 3],
    ['max', 2],
    ['survivor', 2],
  ])('of a counter: %s', (rule, expected) => {
    const config = configOf(
      VIEWS.replace('on: viewed }', `on: viewed, merge: ${rule} }`),
      'keys: [{ name: customer, limit: 1 }, { name: device, kind: device }]',
    );
    const fold = new ProfileFold(config);
    for (let i = 0; i < 2; i++) fold.send({ keys: { customer: 'c1' } });
    fold.send({ keys: { device: 'd1' } });
    fold.send({ name: 'Met', keys: { customer: 'c1', device: 'd1' } });
    expect(fold.view('customer', 'c1').attributes.views).toBe(expected);
  });
});
