// The oracle itself: the crash test can be no better than it.
import { describe, expect, it } from 'vitest';
import { expectedOf, type WireEvent } from './oracle.ts';

const RULES = { orderName: 'Order', signupName: 'Signup' };

function event(id: string, keys: Record<string, string>, more: Partial<WireEvent> = {}): WireEvent {
  return {
    messageId: id,
    name: 'Page',
    keys,
    properties: { page: `/${id}` },
    timestamp: Number(id),
    ...more,
  };
}

describe('the oracle', () => {
  it('joins customers through any chain of keys, in any order', () => {
    const events = [
      event('1', { device: 'a' }),
      event('2', { device: 'b' }),
      event('3', { device: 'a', email: 'm' }),
      event('4', { device: 'c', customer: 'x' }),
      event('5', { device: 'b', customer: 'x' }),
      event('6', { email: 'm', customer: 'x' }),
      event('7', { device: 'z' }),
    ];
    for (const order of [events, [...events].reverse()]) {
      const { profiles, profileByKey } = expectedOf(order, RULES);
      expect(profiles.map((profile) => profile.messageIds.size).sort()).toEqual([1, 6]);
      expect(profileByKey.get('device:a')).toBe(profileByKey.get('device:c'));
      expect(profileByKey.get('device:z')).not.toBe(profileByKey.get('device:a'));
      expect(profileByKey.get('customer:x')?.keys).toHaveLength(5);
    }
  });

  it('does not join equal values of different keys', () => {
    expect(
      expectedOf([event('1', { device: 'a' }), event('2', { email: 'a' })], RULES).profiles,
    ).toHaveLength(2);
  });

  it('counts a repeated message once and refuses two events under one id', () => {
    const one = event('1', { device: 'a' });
    const expected = expectedOf([one, { ...one }, event('2', { device: 'a' })], RULES);
    expect(expected.events).toBe(2);
    expect(expected.profileByMessage.get('1')?.messageIds.size).toBe(2);
    expect(() => expectedOf([one, { ...one, name: 'Other' }], RULES)).toThrow(/two different events/);
  });

  it('sums orders, keeps the value of the latest time, lists what fires', () => {
    const events = [
      event('30', { device: 'a' }),
      event('10', { device: 'a' }, { name: 'Order', properties: { page: '/x', amount: 7 } }),
      event('20', { device: 'a' }, { name: 'Order', properties: { page: '/y', amount: 5 } }),
      event('25', { device: 'a' }, { name: 'Signup' }),
    ];
    const profile = expectedOf(events, RULES).profiles[0];
    expect(profile).toMatchObject({ spend: 12, lastPage: '/30' });
    expect([...profile!.orders]).toEqual(['10', '20']);
    expect([...profile!.signups]).toEqual(['25']);
  });

  it('refuses a workload whose latest value would depend on a tie', () => {
    const tied = [event('1', { device: 'a' }), event('2', { device: 'a' }, { timestamp: 1 })];
    expect(() => expectedOf(tied, RULES)).toThrow(/same time/);
  });
});
