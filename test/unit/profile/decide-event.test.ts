// One event after another through the actor: create, attach, merge, refuse; duplicates; what is written, guarded, audited.
import { describe, expect, it } from 'vitest';
import { createProfileActor } from '../../../actors/profile/actor.ts';
import { encodeRecord } from '../../../actors/profile/record-codec.ts';
import type { Apply } from '../../../shared/contract/actor.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import type { Sent } from '../../support/fold.ts';
import { configOf, DAY, eventOf, HOUR, MINUTE, ProfileFold, parseConfig, SECOND, T0 } from './harness.ts';

const COUNTING = `events:
  - { name: viewed, when: 'event.name == "Viewed"' }
  - { name: anything, when: 'true' }
attributes:
  - { name: views, type: counter, total: true, on: viewed }
  - { name: recent, type: counter, windows: [1h, 7d], on: viewed }
  - { name: both, type: counter, total: true, windows: [1h], on: viewed }
  - { name: spend, type: counter, total: true, on: anything, by: event.properties.amount }
  - { name: page, type: single, on: viewed, value: event.properties.page }
  - { name: fresh, type: single, on: viewed, value: event.properties.page, ttl: 1h }
`;

function foldOf(stitching?: string): ProfileFold {
  return new ProfileFold(stitching === undefined ? configOf(COUNTING) : configOf(COUNTING, stitching));
}

function applied(sent: Sent): Apply {
  if (sent.kind !== 'applied') throw new Error(`${sent.kind}`);
  return sent.apply;
}

describe('stitching', () => {
  it('creates a profile for keys that nobody has', () => {
    const fold = foldOf();
    const apply = applied(fold.send({ id: 'm1', keys: { email: ' ANN@x ', device: 'd1' } }));
    expect(fold.partition()).toEqual([['device:d1', 'email:ann@x']]);
    const [profile] = fold.profiles();
    expect(profile!.id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect([...apply.writes.keys()].sort()).toEqual(
      [
        recordKeys.link('email', 'ann@x'),
        recordKeys.link('device', 'd1'),
        recordKeys.profile(profile!.id),
      ].sort(),
    );
    expect(profile!.keys.email).toEqual([{ value: 'ann@x', firstSeenMs: T0, lastSeenMs: T0, source: 'm1' }]);
    expect(fold.audit()).toMatchObject([{ kind: 'profile_added', profileId: profile!.id, messageId: 'm1' }]);
  });

  it('attaches a new key to the profile of a known one', () => {
    const fold = foldOf();
    fold.send({ keys: { device: 'd1' } });
    const id = fold.profiles()[0]!.id;
    const apply = applied(fold.send({ keys: { device: 'd1', customer_id: 'c1' } }, T0 + SECOND));
    expect(fold.partition()).toEqual([['customer_id:c1', 'device:d1']]);
    expect(fold.holder('customer_id', 'c1')!.id).toBe(id);
    expect(apply.writes.has(recordKeys.link('device', 'd1'))).toBe(false);
    expect(fold.facts('key_attached').at(-1)).toMatchObject({ key: { name: 'customer_id', value: 'c1' } });
  });

  it('writes only the profile when there is nothing new, and audits nothing', () => {
    const fold = foldOf();
    fold.send({ keys: { device: 'd1' } });
    const apply = applied(fold.send({ keys: { device: 'd1' } }, T0 + 1));
    expect([...apply.writes.keys()]).toEqual([recordKeys.profile(fold.profiles()[0]!.id)]);
    expect([apply.guards, apply.outbox, apply.alarms]).toEqual([[], [], []]);
  });

  it('merges the profiles of its keys in one commit; the retired id still leads to the survivor', () => {
    const fold = foldOf();
    fold.send({ keys: { device: 'd1' } }, T0);
    fold.send({ keys: { customer_id: 'c1' } }, T0 + SECOND);
    const old = fold.holder('device', 'd1')!.id;
    const survivor = fold.holder('customer_id', 'c1')!.id;
    const apply = applied(fold.send({ keys: { device: 'd1', customer_id: 'c1' } }, T0 + 2 * SECOND));
    expect(apply.writes.has(recordKeys.profile(old)) && apply.writes.has(recordKeys.profile(survivor))).toBe(
      true,
    );
    expect(fold.profiles()).toMatchObject([
      { id: survivor, createdAtMs: T0, mergedFrom: [old], mergedCount: 1 },
    ]);
    expect(fold.resolve(old)!.id).toBe(survivor);
    expect(fold.view('device', 'd1').attributes.views).toBe(3);
    expect(fold.audit().at(-1)).toMatchObject({ kind: 'profiles_merged', profileId: survivor });
    expect(fold.facts('profiles_merged')).toHaveLength(1);
    expect(fold.contradictions()).toEqual([]);
  });

  it('merges three at once, one fact for each that ends', () => {
    const fold = foldOf();
    fold.send({ keys: { device: 'd1' } });
    fold.send({ keys: { email: 'e1' } });
    fold.send({ keys: { customer_id: 'c1' } });
    fold.send({ keys: { device: 'd1', email: 'e1', customer_id: 'c1' } });
    expect(fold.profiles()).toMatchObject([{ mergedCount: 2 }]);
    expect(fold.facts('profiles_merged')).toHaveLength(2);
    expect(fold.contradictions()).toEqual([]);
  });

  it('points a link that goes through a redirect straight to the survivor when an event meets it', () => {
    const fold = foldOf();
    fold.send({ keys: { device: 'd1', email: 'e1' } });
    fold.send({ keys: { customer_id: 'c1' } });
    fold.send({ keys: { device: 'd1', customer_id: 'c1' } });
    const survivor = fold.holder('customer_id', 'c1')!.id;
    const linkKey = recordKeys.link('email', 'e1');
    expect(fold.records.get(linkKey)).not.toMatchObject({ profileId: survivor });
    fold.send({ keys: { email: 'e1' } });
    expect(fold.records.get(linkKey)).toMatchObject({ profileId: survivor });
    expect(fold.contradictions()).toEqual([]);
  });

  it('follows long chains of merges', () => {
    const fold = foldOf(
      'keys: [{ name: a, limit: 1 }, { name: b, limit: 1 }, { name: c, limit: 1 }, { name: d }]',
    );
    fold.send({ keys: { d: '1' } });
    for (const [weak, strong] of [
      ['d', 'c'],
      ['c', 'b'],
      ['b', 'a'],
    ] as const) {
      fold.send({ keys: { [strong]: '1' } });
      fold.send({ keys: { [weak]: '1', [strong]: '1' } });
    }
    expect(fold.redirects()).toHaveLength(3);
    fold.send({ keys: { d: '1' } });
    expect(fold.profiles()).toHaveLength(1);
    expect(fold.view('d', '1').mergedFrom).toHaveLength(3);
    expect(fold.contradictions()).toEqual([]);
  });

  it('does not join two persons by a device, guards the other side, and says so', () => {
    const fold = foldOf();
    fold.send({ keys: { customer_id: 'c1', device: 'd1' } });
    const other = fold.holder('device', 'd1')!;
    const apply = applied(fold.send({ id: 'm2', keys: { customer_id: 'c2', device: 'd1' } }));
    expect(fold.partition()).toEqual([['customer_id:c1', 'device:d1'], ['customer_id:c2']]);
    expect(apply.guards).toContain(recordKeys.profile(other.id));
    expect(apply.writes.has(recordKeys.profile(other.id))).toBe(false);
    expect(fold.holder('device', 'd1')).toEqual(other);
    expect(fold.facts().find(({ kind }) => kind === 'link_refused' || kind === 'key_demoted')).toMatchObject({
      reason: 'limit',
      detail: expect.stringContaining('customer_id'),
      key: { name: 'device', value: 'd1' },
    });
  });

  it('leaves a value beyond its limit out and applies the event', () => {
    const fold = foldOf('keys: [{ name: c, limit: 1 }, { name: e, limit: 2 }]');
    for (const value of ['e1', 'e2', 'e3']) fold.send({ keys: { c: 'c1', e: value } });
    expect(fold.partition()).toEqual([['c:c1', 'e:e1', 'e:e2']]);
    expect(fold.view('c', 'c1').attributes.views).toBe(3);
    expect(fold.holder('e', 'e3')).toBeUndefined();
    expect(fold.audit().at(-1)).toMatchObject({ kind: expect.stringMatching(/key_demoted|link_refused/) });
    expect(fold.contradictions()).toEqual([]);
  });

  it('stops at the most keys a profile may have', () => {
    const fold = foldOf('{ keys: [{ name: c, limit: 1 }, { name: d }], max_keys_per_profile: 4 }');
    for (let i = 0; i < 10; i++) fold.send({ keys: { c: 'c1', d: `d${i}` } });
    expect(fold.partition()).toEqual([['c:c1', 'd:d0', 'd:d1', 'd:d2']]);
    expect(fold.view('c', 'c1').attributes.views).toBe(10);
  });

  it('consumes and audits an event whose keys identify nobody', () => {
    const fold = foldOf();
    const apply = applied(fold.send({ id: 'm1', keys: { customer_id: 'null', email: ' ' } }));
    expect([apply.writes.size, fold.profiles().length]).toEqual([0, 0]);
    expect(fold.audit()).toMatchObject([{ kind: 'key_rejected', messageId: 'm1', facts: [{}, {}] }]);
    expect(fold.facts('key_rejected').map(({ key, reason }) => [key?.name, reason])).toEqual([
      ['customer_id', 'junk'],
      ['email', 'empty'],
    ]);
    for (const { detail } of fold.facts()) expect(detail).toMatch(/identifies nobody|nothing is left/);
  });

  it('stores what is only observed, and joins nobody by it', () => {
    const fold = foldOf(
      '{ keys: [{ name: c, limit: 1 }, { name: ad, observe_only: true, normalize: [lowercase] }] }',
    );
    fold.send({ keys: { c: 'c1', ad: 'X' } });
    fold.send({ keys: { c: 'c2', ad: 'x' } });
    fold.send({ keys: { ad: 'x' } });
    expect(fold.partition()).toEqual([['c:c1'], ['c:c2']]);
    expect(fold.profiles().map(({ observed }) => observed)).toEqual([{ ad: ['x'] }, { ad: ['x'] }]);
    expect(fold.facts().filter(({ key }) => key?.name === 'ad')).toEqual([]);
    expect(fold.contradictions()).toEqual([]);
  });

  it('never joins two people by a junk id', () => {
    const fold = foldOf();
    fold.send({ keys: { customer_id: 'null', device: 'a1' } });
    fold.send({ keys: { customer_id: 'null', device: 'a2' } });
    expect(fold.partition()).toEqual([['device:a1'], ['device:a2']]);
  });
});

describe('duplicates', () => {
  it('change nothing and emit nothing', () => {
    const fold = foldOf();
    fold.send({ id: 'm1', keys: { device: 'd1', customer_id: 'c1' } });
    const stored = () => [...fold.records].map(([key, state]) => [key, encodeRecord(key, state)]);
    const before = stored();
    const apply = applied(fold.send({ id: 'm1', keys: { device: 'd1', customer_id: 'c1' } }, T0 + MINUTE));
    expect([apply.writes.size, apply.outbox.length, apply.alarms.length]).toEqual([0, 0, 0]);
    expect(stored()).toEqual(before);
  });

  it('are known after a merge, on either side', () => {
    const fold = foldOf();
    fold.send({ id: 'm1', keys: { device: 'd1' } });
    fold.send({ id: 'm2', keys: { customer_id: 'c1' } });
    fold.send({ id: 'm3', keys: { device: 'd1', customer_id: 'c1' } });
    for (const [id, keys] of [
      ['m1', { device: 'd1' }],
      ['m2', { customer_id: 'c1' }],
      ['m3', { device: 'd1', customer_id: 'c1' }],
    ] as const) {
      fold.send({ id, keys });
    }
    expect(fold.view('device', 'd1').attributes.views).toBe(3);
  });

  it('do not merge what the first copy did not', () => {
    const fold = foldOf();
    fold.send({ id: 'm1', keys: { device: 'd1' } });
    fold.send({ id: 'm2', keys: { customer_id: 'c1' } });
    fold.send({ id: 'm1', keys: { device: 'd1', customer_id: 'c1' } });
    expect(fold.partition()).toHaveLength(2);
  });

  it('with a refused key are told by the profile that took the event', () => {
    const fold = foldOf();
    fold.send({ keys: { customer_id: 'c1', device: 'd1' } });
    fold.send({ id: 'm2', keys: { customer_id: 'c2', device: 'd1' } });
    const audits = fold.audit().length;
    fold.send({ id: 'm2', keys: { customer_id: 'c2', device: 'd1' } });
    expect(fold.view('customer_id', 'c2').attributes.views).toBe(1);
    expect(fold.audit()).toHaveLength(audits);
  });
});

describe('attributes', () => {
  it('are read as the contract shows them', () => {
    const fold = foldOf();
    fold.send({ properties: { page: '/a', amount: 10.5 } }, T0);
    fold.send({ properties: { page: '/b', amount: 2 } }, T0 + MINUTE);
    fold.send({ name: 'Other', properties: { page: '/c', amount: 1 } }, T0 + 2 * MINUTE);
    expect(fold.view('device', 'd1', T0 + 2 * MINUTE).attributes).toEqual({
      views: 2,
      recent: { '1h': 2, '7d': 2 },
      both: { '1h': 2, total: 2 },
      spend: 13.5,
      page: '/b',
      fresh: '/b',
    });
  });

  it('that nothing was counted for are 0; singles without a value are absent', () => {
    const fold = foldOf();
    fold.send({ name: 'Other' });
    expect(fold.view('device', 'd1').attributes).toEqual({
      views: 0,
      recent: { '1h': 0, '7d': 0 },
      both: { '1h': 0, total: 0 },
      spend: 0,
    });
  });

  it('take the newest value by event time, whatever the order of arrival', () => {
    const fold = foldOf();
    fold.send({ properties: { page: '/new' }, timestampMs: T0 - MINUTE }, T0);
    fold.send({ properties: { page: '/old' }, timestampMs: T0 - HOUR }, T0 + 1);
    expect(fold.view('device', 'd1').attributes.page).toBe('/new');
  });

  it('settle equal times by message id', () => {
    for (const ids of [
      ['m1', 'm2'],
      ['m2', 'm1'],
    ]) {
      const fold = foldOf();
      for (const id of ids) fold.send({ id, properties: { page: id }, timestampMs: T0 });
      expect(fold.view('device', 'd1').attributes.page).toBe('m2');
    }
  });

  it('go when their time to live is over, at read', () => {
    const fold = foldOf();
    fold.send({ properties: { page: '/a' } });
    expect(fold.view('device', 'd1', T0 + HOUR - 1).attributes.fresh).toBe('/a');
    const later = fold.view('device', 'd1', T0 + HOUR).attributes;
    expect([later.fresh, later.page]).toEqual([undefined, '/a']);
  });

  it('do not believe a sender’s clock that is ahead', () => {
    const fold = foldOf();
    fold.send({ properties: { page: '/future' }, timestampMs: T0 + 30 * DAY }, T0);
    fold.send({ properties: { page: '/now' } }, T0 + 5 * MINUTE + 1);
    expect(fold.view('device', 'd1').attributes.page).toBe('/now');
  });

  it('leave a counter alone when the increment is no number, and say so', () => {
    const fold = foldOf();
    for (const amount of ['12', true, [1], { a: 1 }]) fold.send({ properties: { amount } });
    expect(fold.view('device', 'd1').attributes.spend).toBe(0);
    expect(fold.facts('condition_failed')).toHaveLength(4);
    fold.send({ properties: { amount: null } });
    fold.send({ properties: {} });
    expect(fold.facts('condition_failed')).toHaveLength(4);
  });

  it.each(['event.properties.amount', 'double("NaN")', '-1.0 / 0.0'])(
    'survive an increment %s beyond all bounds',
    (by) => {
      const fold = new ProfileFold(
        configOf(
          `events: [{ name: all, when: 'true' }]\nattributes: [{ name: n, type: counter, total: true, windows: [1h], on: all, by: '${by}' }]\n`,
        ),
      );
      for (const amount of [1e305, -1e305, 1e16]) fold.send({ properties: { amount } });
      expect(fold.view('device', 'd1').attributes.n).toEqual({ '1h': 0, total: 0 });
      expect(fold.facts('condition_failed')).toHaveLength(3);
    },
  );

  it('do not store a value beyond 16 kB, and say so', () => {
    const fold = foldOf();
    // Two attributes take the value, so that each value that is too large is told twice.
    fold.send({ properties: { page: 'x'.repeat(16_000) } }, T0);
    fold.send({ properties: { page: 'y'.repeat(17_000) } }, T0 + 1);
    fold.send({ properties: { page: 'ü'.repeat(10_000) } }, T0 + 2);
    expect(String(fold.view('device', 'd1').attributes.page)[0]).toBe('x');
    expect(fold.facts('condition_failed')).toHaveLength(4);
  });

  it('keep lists and objects as they came', () => {
    const fold = foldOf();
    const page = { path: '/a', tags: ['x', null, { n: 1.5 }], empty: {} };
    fold.send({ properties: { page } });
    expect(fold.view('device', 'd1').attributes.page).toEqual(page);
  });

  it.each([
    '{"n": 1, "path": event.properties.page}',
    '[{"n": 1}]',
    'now - event.timestamp',
    'event.?properties',
  ])(
    'with the value %s do not make every event a dead letter, nor what is read differ from what is written',
    (value) => {
      const config = configOf(
        `events: [{ name: all, when: 'true' }]\nattributes: [{ name: a, type: single, on: all, value: '${value}' }]\n`,
      );
      const through = new ProfileFold(config, { onPoison: 'keep' });
      const kept = new ProfileFold(config, { onPoison: 'keep', throughCodec: false });
      for (const fold of [through, kept]) fold.send({ id: 'm1', properties: { page: '/a' } });
      expect(through.deadLetters).toEqual([]);
      expect(kept.view('device', 'd1').attributes).toEqual(through.view('device', 'd1').attributes);
    },
  );
});

describe('text that is no Unicode', () => {
  it('in a key does not make every later event of it a dead letter', () => {
    const fold = new ProfileFold(configOf(COUNTING), { onPoison: 'keep' });
    fold.send({ keys: { device: 'a\ud800' } });
    fold.send({ keys: { device: 'a\ud800' } });
    fold.send({ keys: { device: 'a\ud801' } });
    expect(fold.deadLetters).toEqual([]);
    expect(fold.contradictions()).toEqual([]);
  });
});

describe('names that objects inherit', () => {
  it.each([
    ['key', 'segment: s\nstitching: { keys: [{ name: constructor, limit: 1 }] }\n', { constructor: 'c1' }],
    [
      'once trigger',
      `segment: s\nstitching: { keys: [{ name: a }] }\nevents: [{ name: e, when: 'true' }]\nactivations: [{ name: x }]\ntriggers: [{ name: constructor, on: e, once: true, activate: x }]\n`,
      { a: '1' },
    ],
  ])('work as the name of a %s, or are refused', (what, yaml, keys) => {
    let config: ReturnType<typeof parseConfig>;
    try {
      config = parseConfig(yaml);
    } catch {
      return;
    }
    const fold = new ProfileFold(config, { onPoison: 'keep' });
    fold.send({ keys });
    fold.send({ keys });
    expect(fold.deadLetters).toEqual([]);
    if (what === 'once trigger') expect(fold.activations()).toHaveLength(1);
  });
});

describe('records that do not fit together', () => {
  it('are asked for again, from the leader', () => {
    const actor = createProfileActor(configOf(), { shards: 8, configVersion: 1 });
    const fold = foldOf();
    fold.send({ keys: { device: 'd1' } });
    const profileKey = recordKeys.profile(fold.profiles()[0]!.id);
    const linkKey = recordKeys.link('device', 'd1');
    const payload = Buffer.from(JSON.stringify({ v: 1, type: 'event', event: eventOf({}) }));
    const message = { shard: 0, source: 'ingest', sequence: 9, nowMs: T0, payload, logId: 'l' } as const;
    const decide = (records: Map<string, unknown>) =>
      actor.decide(message, actor.parse(message), { get: (key) => records.get(key) ?? null });
    const gone = new Map([[linkKey, fold.records.get(linkKey)]]);
    expect(decide(gone)).toMatchObject({
      kind: 'need',
      fresh: true,
      keys: expect.arrayContaining([linkKey, profileKey]),
    });
    const other = { ...(fold.records.get(profileKey) as object), keys: {} };
    const moved = new Map([
      [linkKey, fold.records.get(linkKey)],
      [profileKey, other],
    ] as const);
    expect(decide(moved as Map<string, unknown>)).toMatchObject({ kind: 'need', fresh: true });
  });

  it('reads one link and one profile when the profile lists all keys of the event', () => {
    const fold = foldOf();
    const keys = { device: 'd1', email: 'e1', customer_id: 'c1' };
    fold.send({ keys });
    const sent = fold.send({ keys });
    expect(sent).toMatchObject({ rounds: 2 });
    const link = recordKeys.link('customer_id', 'c1');
    expect(sent.kind === 'applied' && [...sent.read]).toEqual([link, expect.stringMatching(/^p\./)]);
  });

  it('asks for the strongest key first, then for all other links, then for all other profiles', () => {
    const fold = foldOf();
    fold.send({ keys: { device: 'd1' } });
    fold.send({ keys: { email: 'e1' } });
    fold.send({ keys: { customer_id: 'c1' } });
    const sent = fold.send({ keys: { device: 'd1', email: 'e1', customer_id: 'c1' } });
    expect(sent).toMatchObject({ rounds: 4 });
  });
});

describe('config versions', () => {
  it('wait for a newer config instead of writing over what it decided', () => {
    const fold = new ProfileFold(configOf(COUNTING), { configVersion: 7 });
    fold.send({});
    expect(fold.profiles()[0]!.configVersion).toBe(7);
    fold.actor = createProfileActor(fold.config, { shards: 8, configVersion: 6 });
    expect(fold.send({}).kind).toBe('waiting');
    fold.actor = createProfileActor(fold.config, { shards: 8, configVersion: 8 });
    expect(fold.send({}).kind).toBe('applied');
    expect(fold.profiles()[0]!.configVersion).toBe(8);
  });

  it('an older one does not end a profile that a newer one keeps', () => {
    const fold = new ProfileFold(
      configOf('', `{ keys: [{ name: device, kind: device }], retention: { anonymous: 10d } }`),
    );
    fold.send({});
    const [alarm] = fold.alarms.keys();
    const keeping = configOf(
      '',
      `{ keys: [{ name: device, kind: device }], retention: { anonymous: forever } }`,
    );
    const older = fold.actor;
    fold.actor = createProfileActor(keeping, { shards: 8, configVersion: 2 });
    fold.send({}, T0 + DAY);
    fold.actor = older;
    expect(fold.ring(alarm!, T0 + 11 * DAY).kind).toBe('waiting');
    expect(fold.profiles()).toHaveLength(1);
  });
});

describe('purity', () => {
  it('the same message over the same records is decided the same', () => {
    const [a, b] = [foldOf(), foldOf()];
    for (const fold of [a, b]) {
      fold.send({ id: 'm1', keys: { device: 'd1' } }, T0);
      fold.send({ id: 'm2', keys: { email: 'e1' } }, T0);
      fold.send({ id: 'm3', keys: { device: 'd1', email: 'e1' } }, T0);
    }
    expect([...a.records]).toEqual([...b.records]);
    expect(a.outbox).toEqual(b.outbox);
    expect([...a.alarms]).toEqual([...b.alarms]);
  });

  it('another log gives other profile ids', () => {
    const ids = ['log-1', 'log-2'].map((logId) => {
      const fold = new ProfileFold(configOf(), { logId });
      fold.send({ id: 'm1' });
      return fold.profiles()[0]!.id;
    });
    expect(new Set(ids).size).toBe(2);
  });
});
