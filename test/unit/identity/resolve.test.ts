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

const NOW = 1_000_000_000_000;
const DAY = 86_400_000;

/** Values may carry the age in days of their last use: `e1@3`. */
function holder(id: string, keys: Record<string, readonly string[]>, more: Partial<Holder> = {}): Holder {
  const listed = Object.entries(keys).map(([name, values]) => {
    const held = values.map((text) => {
      const [value = '', days = '0'] = text.split('@');
      return { value, lastSeenMs: NOW - Number(days) * DAY };
    });
    return [name, held] as const;
  });
  return { id, createdAtMs: 0, mergedFrom: [], ...more, keys: Object.fromEntries(listed) };
}

type Some = Partial<Candidate<Holder>>;

/** `customer=c1` as a candidate; `held` gives the profile that has it, `more` what its link says, by text. */
function candidate(
  text: string,
  held: readonly Holder[],
  config: SegmentConfig,
  more: Readonly<Record<string, Some>>,
): Candidate<Holder> {
  const [name = '', value = ''] = text.split('=');
  const rank = config.stitching.keys.findIndex((key) => key.name === name);
  const key: EventKey = { config: config.stitching.keys[rank]!, rank, value };
  const holder = held.find(({ keys }) => keys[name]?.some((one) => one.value === value));
  return { key, holder, isPast: false, isShared: false, touches: {}, ...more[text] };
}

function resolve(
  texts: readonly string[],
  held: readonly Holder[],
  config = CONFIG,
  more: Readonly<Record<string, Some>> = {},
) {
  const candidates = texts.map((text) => candidate(text, held, config, more));
  const resolution = resolveKeys<Holder, Candidate<Holder>>(candidates, config, NOW);
  const textOf = ({ key }: Candidate<Holder>) => `${key.config.name}=${key.value}`;
  return {
    accepted: resolution.accepted.map(textOf),
    refused: resolution.refused.map((one) => textOf(one.candidate)),
    reasons: resolution.refused.map(({ reason }) => reason),
    details: resolution.refused.map(({ detail }) => detail),
    moved: resolution.moved.map(textOf),
    freed: resolution.freed.map(textOf),
    evicted: resolution.evicted.map(({ name, value, reason }) => `${name}=${value} ${reason}`),
    holders: resolution.holders.map(({ id }) => id),
  };
}

describe('resolving', () => {
  it('takes keys that nobody has', () => {
    expect(resolve(['customer=c1', 'device=d1'], [])).toMatchObject({
      accepted: ['customer=c1', 'device=d1'],
      refused: [],
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
      refused: [],
      holders: ['A', 'B', 'C'],
    });
  });

  it('leaves out the weaker key that leads to another person, whether the stronger one is known or new', () => {
    const held = [holder('A', { customer: ['c1'], device: ['d1'] }), holder('B', { customer: ['c2'] })];
    for (const customer of ['customer=c2', 'customer=c3']) {
      const resolution = resolve([customer, 'device=d1'], held);
      expect(resolution).toMatchObject({ accepted: [customer], refused: ['device=d1'] });
      expect(resolution.reasons).toEqual(['limit']);
      expect(resolution.details[0]).toContain('customer');
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
      refused: ['email=e1'],
      holders: ['B', 'C'],
    });
  });

  it('a device never joins two contacts beyond their limit', () => {
    const held = [holder('A', { email: ['e1', 'e2'], device: ['d1'] }), holder('B', { email: ['e3'] })];
    expect(resolve(['email=e3', 'device=d1'], held)).toMatchObject({
      refused: ['device=d1'],
      holders: ['B'],
    });
  });

  it('a value beyond the limit of its own key is left out', () => {
    const held = [holder('A', { customer: ['c1'], email: ['e1', 'e2'] })];
    expect(resolve(['customer=c1', 'email=e3'], held)).toMatchObject({
      accepted: ['customer=c1'],
      refused: ['email=e3'],
      holders: ['A'],
    });
  });

  it('counts distinct values, so that a value the profile has already is always taken', () => {
    const held = [holder('A', { customer: ['c1'], email: ['e1', 'e2'] })];
    expect(resolve(['customer=c1', 'email=e2'], held)).toMatchObject({ refused: [], holders: ['A'] });
  });

  it('counts all keys of the profile that would come of it', () => {
    const held = [
      holder('A', { customer: ['c1'], device: ['d1', 'd2', 'd3'] }),
      holder('B', { device: ['d4', 'd5', 'd6'] }),
    ];
    expect(resolve(['customer=c1', 'device=d4'], held)).toMatchObject({
      refused: ['device=d4'],
      holders: ['A'],
    });
    expect(resolve(['customer=c1', 'device=d7'], held)).toMatchObject({ refused: [], holders: ['A'] });
    const full = [holder('A', { customer: ['c1'], device: ['d1', 'd2', 'd3', 'd4', 'd5'] })];
    expect(resolve(['customer=c1', 'device=d7'], full)).toMatchObject({
      refused: ['device=d7'],
      holders: ['A'],
    });
  });

  it('a key is not held against a profile that broke another key’s limit before the limit was lowered', () => {
    const held = [holder('A', { customer: ['c1'], email: ['e1', 'e2', 'e3'] })];
    expect(resolve(['customer=c1', 'email=e2'], held)).toMatchObject({ refused: [] });
    expect(resolve(['customer=c1', 'email=e4'], held)).toMatchObject({ refused: ['email=e4'] });
    expect(resolve(['customer=c1', 'device=d1'], held)).toMatchObject({ refused: [] });
  });

  it('always takes the strongest key', () => {
    const held = [holder('A', { customer: ['c1', 'c2'] })];
    expect(resolve(['customer=c1'], held)).toMatchObject({ accepted: ['customer=c1'], holders: ['A'] });
  });
});

/** A segment with these keys, strongest first, and these lines of stitching. */
const configWith = (keys: readonly string[], lines = '') =>
  configOf('', `keys:\n${keys.map((key) => `    - { ${key} }`).join('\n')}\n${lines}`);

describe('replace_oldest', () => {
  const config = configWith(
    ['name: customer, limit: 1', 'name: email, limit: 2', 'name: device, kind: device'],
    '  on_limit: replace_oldest',
  );

  it('a value that nobody holds takes the place of the one seen longest ago', () => {
    const held = [holder('A', { customer: ['c1'], email: ['e1@1', 'e2@5'] })];
    expect(resolve(['customer=c1', 'email=e3'], held, config)).toMatchObject({
      accepted: ['customer=c1', 'email=e3'],
      refused: [],
      evicted: ['email=e2 replaced'],
    });
  });

  it('a value of another person moves, and the two are not joined', () => {
    const held = [holder('A', { customer: ['c1'], device: ['d1'] }), holder('B', { customer: ['c2'] })];
    for (const customer of ['customer=c2', 'customer=c3']) {
      const resolution = resolve([customer, 'device=d1'], held, config);
      expect(resolution).toMatchObject({ accepted: [customer, 'device=d1'], moved: ['device=d1'] });
      expect(resolution.holders).not.toContain('A');
    }
  });

  it('joins as ever where no limit is in the way', () => {
    const held = [holder('A', { customer: ['c1'] }), holder('B', { device: ['d1'] })];
    expect(resolve(['customer=c1', 'device=d1'], held, config)).toMatchObject({
      moved: [],
      holders: ['A', 'B'],
    });
  });

  it('never puts out a value that stands on the event', () => {
    const two = configWith(
      ['name: customer, limit: 1', 'name: login, limit: 1'],
      '  on_limit: replace_oldest',
    );
    const held = [holder('A', { customer: ['c1'], login: ['l1@1'] })];
    expect(resolve(['customer=c1', 'login=l2'], held, two)).toMatchObject({
      accepted: ['customer=c1', 'login=l2'],
      evicted: ['login=l1 replaced'],
    });
  });
});

describe('a limit with a window', () => {
  const config = configWith(['name: customer, limit: 1', 'name: email, limit: 2/30d']);

  it('counts the values seen within it', () => {
    const old = [holder('A', { customer: ['c1'], email: ['e1@40', 'e2@1'] })];
    expect(resolve(['customer=c1', 'email=e3'], old, config)).toMatchObject({ refused: [] });
    const fresh = [holder('A', { customer: ['c1'], email: ['e1@20', 'e2@1'] })];
    expect(resolve(['customer=c1', 'email=e3'], fresh, config)).toMatchObject({ refused: ['email=e3'] });
  });
});

describe('the owner of a shared device', () => {
  const configFor = (owner: string) =>
    configWith([
      'name: customer, limit: 1',
      'name: email, limit: 2',
      `name: device, kind: device, owner: ${owner}`,
    ]);
  const held = [holder('A', { customer: ['c1'], device: ['d1'] }), holder('B', { customer: ['c2'] })];

  it('is the first who had it', () => {
    expect(resolve(['customer=c2', 'device=d1'], held, configFor('first'))).toMatchObject({
      refused: ['device=d1'],
      reasons: ['owner'],
      moved: [],
    });
  });

  it('is the last who signed in on it, not who only left a mail address', () => {
    const config = configFor('last_authenticated');
    expect(resolve(['customer=c2', 'device=d1'], held, config)).toMatchObject({ moved: ['device=d1'] });
    const full = [holder('A', { email: ['e1', 'e2'], device: ['d1'] })];
    expect(resolve(['email=e3', 'device=d1'], full, config)).toMatchObject({
      refused: ['device=d1'],
      reasons: ['owner'],
    });
  });

  it('is nobody when it is shared', () => {
    const config = configFor('none_when_shared');
    expect(resolve(['customer=c2', 'device=d1'], held, config)).toMatchObject({
      refused: ['device=d1'],
      reasons: ['shared'],
      freed: ['device=d1'],
    });
    const shared = { 'device=d1': { isShared: true, holder: undefined } };
    expect(resolve(['customer=c1', 'device=d1'], held, config, shared)).toMatchObject({
      refused: ['device=d1'],
      freed: [],
    });
    expect(resolve(['device=d1'], [], config, shared)).toMatchObject({ accepted: ['device=d1'] });
  });
});

describe('limits between keys', () => {
  const config = configWith([
    'name: customer, limit: 1',
    'name: login',
    'name: device, kind: device, links: { login: 1 }',
  ]);

  it('a value is seen with so many values of another key', () => {
    const held = [holder('A', { login: ['a'], device: ['d1'] })];
    const touched = { 'device=d1': { touches: { login: ['a'] } } };
    expect(resolve(['login=a', 'device=d1'], held, config, touched)).toMatchObject({ refused: [] });
    expect(resolve(['login=c', 'device=d1'], held, config, touched)).toMatchObject({
      accepted: ['login=c'],
      refused: ['device=d1'],
      reasons: ['link_limit'],
    });
  });

  it('holds in the direction of the stronger key too', () => {
    const strong = configWith(['name: login, links: { device: 1 }', 'name: device, kind: device']);
    const touched = { 'login=a': { touches: { device: ['d1'] } } };
    expect(resolve(['login=a', 'device=d2'], [], strong, touched)).toMatchObject({ reasons: ['link_limit'] });
  });
});

describe('profiles that were parted by hand', () => {
  it('are not joined, before and after others became part of them', () => {
    const a = holder('A', { customer: ['c1'] }, { apart: [{ profileId: 'B' }] });
    for (const b of [holder('B', { device: ['d1'] }), holder('Z', { device: ['d1'] }, { mergedFrom: ['B'] })])
      expect(resolve(['customer=c1', 'device=d1'], [a, b])).toMatchObject({
        reasons: ['apart'],
        holders: ['A'],
      });
  });
});

describe('an event from before a key changed hands', () => {
  const past = { 'device=d1': { isPast: true } };

  it('is its former owner’s, and joins nobody', () => {
    const held = [holder('A', { customer: ['c1'], device: ['d1'] }), holder('B', { customer: ['c2'] })];
    expect(resolve(['device=d1'], held, CONFIG, past)).toMatchObject({
      accepted: ['device=d1'],
      holders: ['A'],
    });
    expect(resolve(['customer=c1', 'device=d1'], held, CONFIG, past)).toMatchObject({ refused: [] });
    expect(resolve(['customer=c2', 'device=d1'], held, CONFIG, past)).toMatchObject({
      reasons: ['freed'],
      holders: ['B'],
    });
  });

  it('is nobody’s when the former owner is gone', () => {
    expect(resolve(['device=d1'], [], CONFIG, past)).toMatchObject({ accepted: [], reasons: ['freed'] });
  });
});

describe('evict_oldest', () => {
  const config = configWith(
    ['name: customer, limit: 1', 'name: email, limit: 5', 'name: device, kind: device'],
    '  max_keys_per_profile: 4\n  on_max_keys: evict_oldest',
  );

  it('lets go of the weakest kind first, and there of what was not seen for longest', () => {
    const held = [holder('A', { customer: ['c1'], email: ['e1@90'], device: ['d1@2', 'd2@7'] })];
    expect(resolve(['customer=c1', 'device=d3'], held, config)).toMatchObject({
      refused: [],
      evicted: ['device=d2 max_keys'],
    });
    expect(resolve(['customer=c1', 'email=e2', 'device=d1', 'device=d2'], held, config)).toMatchObject({
      evicted: ['device=d2 max_keys'],
    });
  });

  it('makes room for a whole profile', () => {
    const held = [
      holder('A', { customer: ['c1'], device: ['d1@1', 'd2@2'] }),
      holder('B', { email: ['e1'], device: ['d3@3', 'd4@4'] }),
    ];
    expect(resolve(['customer=c1', 'email=e1'], held, config)).toMatchObject({
      holders: ['A', 'B'],
      evicted: ['device=d4 max_keys', 'device=d3 max_keys'],
    });
  });
});

describe('the survivor', () => {
  it.each<[string, readonly Holder[], string]>([
    [
      'the one with the strongest key',
      [
        holder('A', { device: ['d'] }, { createdAtMs: 1 }),
        holder('B', { customer: ['c'] }, { createdAtMs: 2 }),
      ],
      'B',
    ],
    [
      'the one with the strongest key that only one has',
      [
        holder('A', { device: ['d'] }, { createdAtMs: 1 }),
        holder('B', { email: ['e'] }, { createdAtMs: 2 }),
        holder('C', { device: ['f'] }, { createdAtMs: 0 }),
      ],
      'B',
    ],
    [
      'the oldest when several have it',
      [holder('A', { email: ['d'] }, { createdAtMs: 2 }), holder('B', { email: ['c'] }, { createdAtMs: 1 })],
      'B',
    ],
    [
      'the oldest when they have the same keys',
      [
        holder('A', { device: ['d'] }, { createdAtMs: 2 }),
        holder('B', { device: ['c'] }, { createdAtMs: 1 }),
      ],
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
