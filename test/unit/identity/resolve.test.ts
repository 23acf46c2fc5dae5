// Which keys of an event may stand together, and which profile stays.
import { describe, expect, it } from 'vitest';
import type { EventKey } from '../../../actors/identity/keys.ts';
import { type Candidate, type Holder, resolveKeys, survivorOf } from '../../../actors/identity/resolve.ts';
import type { SegmentConfig } from '../../../shared/contract/config/segment-config.ts';
import { configOf } from '../profile/harness.ts';

const CONFIG = configOf(
  '',
  `keys:
    - { name: customer, limit: 1 }
    - { name: email, limit: 2 }
    - { name: device, kind: device }
  max_keys_per_profile: 6`,
);

function holder(id: string, keys: Record<string, readonly string[]>, createdAtMs = 0): Holder {
  const listed = Object.entries(keys).map(
    ([name, values]) => [name, values.map((value) => ({ value }))] as const,
  );
  return { id, createdAtMs, keys: Object.fromEntries(listed) };
}

/** `customer=c1` as a candidate; `held` gives the profile that has it. */
function candidate(text: string, held: readonly Holder[], config: SegmentConfig): Candidate<Holder> {
  const [name = '', value = ''] = text.split('=');
  const rank = config.stitching.keys.findIndex((key) => key.name === name);
  const key: EventKey = { config: config.stitching.keys[rank]!, rank, value };
  return { key, holder: held.find(({ keys }) => keys[name]?.some((one) => one.value === value)) };
}

function resolve(texts: readonly string[], held: readonly Holder[], config = CONFIG) {
  const resolution = resolveKeys(
    texts.map((text) => candidate(text, held, config)),
    config,
  );
  const textOf = ({ key }: Candidate<Holder>) => `${key.config.name}=${key.value}`;
  return {
    accepted: resolution.accepted.map(textOf),
    demoted: resolution.demoted.map(textOf),
    holders: resolution.holders.map(({ id }) => id),
    reasons: resolution.demoted.map(({ reason }) => reason),
  };
}

describe('resolving', () => {
  it('takes keys that nobody has', () => {
    expect(resolve(['customer=c1', 'device=d1'], [])).toMatchObject({
      accepted: ['customer=c1', 'device=d1'],
      demoted: [],
      holders: [],
    });
  });

  it('joins the profiles of all keys when no limit is broken', () => {
    const held = [
      holder('A', { customer: ['c1'] }),
      holder('B', { email: ['e1'] }),
      holder('C', { device: ['d1'] }),
    ];
    expect(resolve(['customer=c1', 'email=e1', 'device=d1'], held)).toMatchObject({
      demoted: [],
      holders: ['A', 'B', 'C'],
    });
  });

  it('leaves out the weaker key that leads to another person, whether the stronger one is known or new', () => {
    const held = [holder('A', { customer: ['c1'], device: ['d1'] }), holder('B', { customer: ['c2'] })];
    for (const customer of ['customer=c2', 'customer=c3']) {
      const resolution = resolve([customer, 'device=d1'], held);
      expect(resolution).toMatchObject({ accepted: [customer], demoted: ['device=d1'] });
      expect(resolution.reasons[0]).toContain('customer');
    }
  });

  it('goes on with still weaker keys that are in nobody’s way', () => {
    const held = [
      holder('A', { customer: ['c1'], email: ['e1'] }),
      holder('B', { customer: ['c2'] }),
      holder('C', { device: ['d1'] }),
    ];
    expect(resolve(['customer=c2', 'email=e1', 'device=d1'], held)).toMatchObject({
      accepted: ['customer=c2', 'device=d1'],
      demoted: ['email=e1'],
      holders: ['B', 'C'],
    });
  });

  it('a device never joins two contacts beyond their limit', () => {
    const held = [holder('A', { email: ['e1', 'e2'], device: ['d1'] }), holder('B', { email: ['e3'] })];
    expect(resolve(['email=e3', 'device=d1'], held)).toMatchObject({
      demoted: ['device=d1'],
      holders: ['B'],
    });
  });

  it('a value beyond the limit of its own key is left out', () => {
    const held = [holder('A', { customer: ['c1'], email: ['e1', 'e2'] })];
    expect(resolve(['customer=c1', 'email=e3'], held)).toMatchObject({
      accepted: ['customer=c1'],
      demoted: ['email=e3'],
      holders: ['A'],
    });
  });

  it('counts distinct values, so that a value the profile has already is always taken', () => {
    const held = [holder('A', { customer: ['c1'], email: ['e1', 'e2'] })];
    expect(resolve(['customer=c1', 'email=e2'], held)).toMatchObject({ demoted: [], holders: ['A'] });
  });

  it('counts all keys of the profile that would come of it', () => {
    const held = [
      holder('A', { customer: ['c1'], device: ['d1', 'd2', 'd3'] }),
      holder('B', { device: ['d4', 'd5', 'd6'] }),
    ];
    expect(resolve(['customer=c1', 'device=d4'], held)).toMatchObject({
      demoted: ['device=d4'],
      holders: ['A'],
    });
    expect(resolve(['customer=c1', 'device=d7'], held)).toMatchObject({ demoted: [], holders: ['A'] });
    const full = [holder('A', { customer: ['c1'], device: ['d1', 'd2', 'd3', 'd4', 'd5'] })];
    expect(resolve(['customer=c1', 'device=d7'], full)).toMatchObject({
      demoted: ['device=d7'],
      holders: ['A'],
    });
  });

  it('a key is not held against a profile that broke another key’s limit before the limit was lowered', () => {
    const held = [holder('A', { customer: ['c1'], email: ['e1', 'e2', 'e3'] })];
    expect(resolve(['customer=c1', 'email=e2'], held)).toMatchObject({ demoted: [] });
    expect(resolve(['customer=c1', 'email=e4'], held)).toMatchObject({ demoted: ['email=e4'] });
    expect(resolve(['customer=c1', 'device=d1'], held)).toMatchObject({ demoted: [] });
  });

  it('always takes the strongest key', () => {
    const held = [holder('A', { customer: ['c1', 'c2'] })];
    expect(resolve(['customer=c1'], held)).toMatchObject({ accepted: ['customer=c1'], holders: ['A'] });
  });
});

describe('the survivor', () => {
  it.each<[string, readonly Holder[], string]>([
    [
      'the one with the strongest key',
      [holder('A', { device: ['d'] }, 1), holder('B', { customer: ['c'] }, 2)],
      'B',
    ],
    [
      'the one with the strongest key that only one has',
      [
        holder('A', { device: ['d'] }, 1),
        holder('B', { email: ['e'] }, 2),
        holder('C', { device: ['f'] }, 0),
      ],
      'B',
    ],
    [
      'the oldest when several have it',
      [holder('A', { email: ['d'] }, 2), holder('B', { email: ['c'] }, 1)],
      'B',
    ],
    [
      'the oldest when they have the same keys',
      [holder('A', { device: ['d'] }, 2), holder('B', { device: ['c'] }, 1)],
      'B',
    ],
    [
      'the one with the smaller id when they are as old',
      [holder('B', { device: ['d'] }), holder('A', { device: ['c'] })],
      'A',
    ],
    ['the only one', [holder('A', {})], 'A'],
  ])('is %s', (_, holders, id) => {
    expect(survivorOf(holders, CONFIG).id).toBe(id);
    expect(survivorOf([...holders].reverse(), CONFIG).id).toBe(id);
  });
});
