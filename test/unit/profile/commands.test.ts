// Merge by hand, split, and removing a key: what changes, what is refused, what comes again and changes nothing more.
import { describe, expect, it } from 'vitest';
import type { Redirect } from '../../../actors/profile/profile.ts';
import type { IdentityCommand } from '../../../shared/contract/command.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { configOf, DAY, keyTexts, MINUTE, T0 } from './harness.ts';
import { LogFold } from './log-fold.ts';

const COUNTING = `events: [{ name: all, when: 'true' }, { name: bought, when: 'event.name == "Bought"' }]
attributes:
  - { name: n, type: counter, total: true, on: all }
  - { name: spend, type: counter, total: true, on: bought, by: event.properties.amount }
  - { name: last, type: single, on: all, value: event.messageId }
activations: [{ name: welcome }]
triggers: [{ name: vip, on: bought, when: 'profile.spend >= 100.0', once: true, activate: welcome }]
`;
const CONFIG = configOf(COUNTING);

function made(): LogFold {
  return new LogFold(CONFIG);
}

/** Ann on her phone and Bob on his, merged by a login that was not hers. */
function mixedUp(): { fold: LogFold; ann: string; bob: string } {
  const fold = made();
  fold.now({ id: 'a1', keys: { email: 'ann@x', device: 'd-ann' }, timestampMs: T0 + 1 });
  fold.now({ id: 'a2', keys: { device: 'd-ann' }, timestampMs: T0 + 2 }, T0 + MINUTE);
  fold.now({ id: 'b1', keys: { email: 'bob@x', device: 'd-bob' }, timestampMs: T0 + 3 }, T0 + 2 * MINUTE);
  const ann = fold.holder('email', 'ann@x')!.id;
  const bob = fold.holder('email', 'bob@x')!.id;
  fold.now({ id: 'ab', keys: { email: 'ann@x', device: 'd-bob' }, timestampMs: T0 + 4 }, T0 + 3 * MINUTE);
  expect(fold.profiles()).toHaveLength(1);
  return { fold, ann, bob };
}

const undo = (
  profileId: string,
  newProfileId: string,
): Extract<IdentityCommand, { kind: 'split_begin' }> => ({
  kind: 'split_begin',
  profileId,
  newProfileId,
  keys: null,
  reason: 'split',
});

describe('merge by hand', () => {
  it('makes two profiles one, tells who asked, and says so', () => {
    const fold = made();
    fold.now({ keys: { email: 'ann@x' } });
    fold.now({ keys: { device: 'd1' } });
    const [into, from] = [fold.holder('email', 'ann@x')!.id, fold.holder('device', 'd1')!.id];
    expect(fold.command({ kind: 'merge', from, into }, 'c1')).toEqual({
      commandId: 'c1',
      profileIds: [into],
    });
    expect(fold.view('device', 'd1')).toMatchObject({ id: into, attributes: { n: 2 } });
    expect(fold.facts('profiles_merged')).toEqual([
      { kind: 'profiles_merged', into, from, keys: { device: ['d1'] }, by: 'ann' },
    ]);
    expect(fold.audit().at(-1)).toMatchObject({ messageId: 'c1', profileId: into });
    expect(fold.records.get(recordKeys.profile(from))).toMatchObject({ was: { keys: { device: ['d1'] } } });
    expect(fold.contradictions()).toEqual([]);
  });

  it('a second time does nothing and says the same', () => {
    const { fold, ann, bob } = mixedUp();
    const before = [...fold.records];
    const audits = fold.audit().length;
    expect(fold.command({ kind: 'merge', from: bob, into: ann }, 'c1').profileIds).toEqual([ann]);
    expect([...fold.records]).toEqual(before);
    expect(fold.audit()).toHaveLength(audits);
  });

  it('is refused across a limit, unless it is forced', () => {
    const fold = made();
    fold.now({ keys: { customer_id: 'c1' } });
    fold.now({ keys: { customer_id: 'c2' } });
    const [into, from] = [fold.holder('customer_id', 'c1')!.id, fold.holder('customer_id', 'c2')!.id];
    expect(fold.command({ kind: 'merge', from, into }, 'x1').refused?.reason).toBe('limit');
    expect(fold.profiles()).toHaveLength(2);
    expect(fold.command({ kind: 'merge', from, into, force: true }, 'x2').profileIds).toEqual([into]);
    expect(keyTexts(fold.holder('customer_id', 'c2')!)).toEqual(['customer_id:c1', 'customer_id:c2']);
    expect(fold.facts('profiles_merged')[0]).toMatchObject({ forced: 'limit of 1 customer_id a profile' });
  });

  it('of a profile that there is not is refused', () => {
    const { fold, ann } = mixedUp();
    expect(fold.command({ kind: 'merge', from: 'nobody', into: ann }, 'x').refused?.reason).toBe(
      'unknown_profile',
    );
    expect(fold.command({ kind: 'merge', from: ann, into: 'nobody' }, 'x').refused?.reason).toBe(
      'unknown_profile',
    );
  });

  it('of one whose time is over is refused', () => {
    const fold = made();
    fold.now({ keys: { device: 'd1' } });
    fold.now({ keys: { email: 'ann@x' } }, T0 + 99 * DAY);
    const [over, ann] = [fold.holder('device', 'd1')!.id, fold.holder('email', 'ann@x')!.id];
    const reply = fold.command({ kind: 'merge', from: over, into: ann }, 'x', T0 + 100 * DAY);
    expect(reply.refused?.reason).toBe('unknown_profile');
  });

  it('joins what was parted by hand', () => {
    const { fold, ann, bob } = mixedUp();
    fold.split(undo(ann, bob), 's1');
    fold.command({ kind: 'merge', from: bob, into: ann }, 'm1');
    expect(fold.profiles()).toHaveLength(1);
    expect(fold.resolve(bob)?.apart).toBeUndefined();
    expect(fold.view('email', 'bob@x').attributes).toMatchObject({ n: 4 });
  });
});

describe('undoing a merge', () => {
  it('gives both back what their own events made, under their own ids', () => {
    const { fold, ann, bob } = mixedUp();
    expect(fold.split(undo(ann, bob), 's1').profileIds).toEqual([ann, bob]);
    expect(fold.view('email', 'ann@x')).toMatchObject({ id: ann, mergedFrom: [], mergedCount: 0 });
    expect(fold.view('device', 'd-ann').attributes).toEqual({ n: 3, spend: 0, last: 'ab' });
    expect(fold.view('device', 'd-bob')).toMatchObject({
      id: bob,
      attributes: { n: 1, spend: 0, last: 'b1' },
    });
    expect(fold.partition()).toEqual([
      ['device:d-ann', 'email:ann@x'],
      ['device:d-bob', 'email:bob@x'],
    ]);
    expect(fold.resolve(bob)?.createdAtMs).toBe(T0 + 2 * MINUTE);
    expect(fold.profiles().filter(({ rebuilding }) => rebuilding)).toEqual([]);
    expect(fold.contradictions()).toEqual([]);
  });

  it('is told in the audit log, key by key', () => {
    const { fold, ann, bob } = mixedUp();
    fold.split(undo(ann, bob), 's1');
    expect(fold.facts('profile_split')).toEqual([
      {
        kind: 'profile_split',
        profileId: ann,
        into: bob,
        keys: { email: ['bob@x'], device: ['d-bob'] },
        splitId: 's1',
        revived: true,
        by: 'ann',
      },
    ]);
    expect(fold.facts('key_evicted').map(({ key, reason }) => [key?.value, reason])).toEqual([
      ['bob@x', 'split'],
      ['d-bob', 'split'],
    ]);
    expect(fold.facts('profile_rebuilt').map(({ profileId, events }) => [profileId, events])).toEqual([
      [ann, 3],
      [bob, 1],
    ]);
  });

  it('sends later events to the right one, and never joins the two again', () => {
    const { fold, ann, bob } = mixedUp();
    fold.split(undo(ann, bob), 's1');
    fold.now({ id: 'b2', keys: { device: 'd-bob' } }, T0 + DAY);
    fold.now({ id: 'ab2', keys: { email: 'ann@x', device: 'd-bob' } }, T0 + DAY);
    expect(fold.view('email', 'bob@x').attributes).toMatchObject({ n: 2 });
    expect(fold.view('email', 'ann@x').attributes).toMatchObject({ n: 4 });
    expect(fold.facts('link_refused')).toMatchObject([{ reason: 'apart', heldBy: bob }]);
    expect(
      fold
        .profiles()
        .map(({ id }) => id)
        .sort(),
    ).toEqual([ann, bob].sort());
  });

  it('a replay of what was there before joins nothing and counts nothing', () => {
    const { fold, ann, bob } = mixedUp();
    fold.split(undo(ann, bob), 's1');
    for (const [id, keys] of [
      ['a1', { email: 'ann@x', device: 'd-ann' }],
      ['ab', { email: 'ann@x', device: 'd-bob' }],
      ['b1', { email: 'bob@x', device: 'd-bob' }],
    ] as const)
      fold.now({ id, keys }, T0 + 5 * MINUTE);
    expect(fold.view('email', 'ann@x').attributes).toMatchObject({ n: 3 });
    expect(fold.view('email', 'bob@x').attributes).toMatchObject({ n: 1 });
    expect(fold.profiles()).toHaveLength(2);
  });

  it('takes along who had become part of the other before', () => {
    const fold = made();
    fold.now({ keys: { device: 'd1' } });
    fold.now({ keys: { device: 'd2', email: 'bob@x' } }, T0 + 1);
    const [first, bob] = [fold.holder('device', 'd1')!.id, fold.holder('device', 'd2')!.id];
    fold.command({ kind: 'merge', from: first, into: bob }, 'm0');
    fold.now({ keys: { email: 'ann@x' } }, T0 + 2);
    fold.now({ keys: { device: 'd3' } }, T0 + 2);
    const ann = fold.holder('email', 'ann@x')!.id;
    const other = fold.holder('device', 'd3')!.id;
    fold.command({ kind: 'merge', from: other, into: ann }, 'm1');
    fold.command({ kind: 'merge', from: bob, into: ann }, 'm2');
    expect(fold.resolve(ann)).toMatchObject({ mergedFrom: [other, first, bob], mergedCount: 3 });
    fold.split(undo(ann, bob), 's1', T0 + 10);
    expect(fold.resolve(ann)).toMatchObject({ mergedFrom: [other], mergedCount: 1 });
    expect(fold.resolve(bob)).toMatchObject({ id: bob, mergedFrom: [first], mergedCount: 1 });
    expect(fold.resolve(first)?.id).toBe(bob);
    expect(fold.contradictions()).toEqual([]);
  });

  it('gives back an inner part of what was merged twice', () => {
    const fold = made();
    fold.now({ keys: { device: 'd1' } });
    fold.now({ keys: { device: 'd2', email: 'bob@x' } }, T0 + 1);
    fold.now({ keys: { email: 'ann@x' } }, T0 + 2);
    const [inner, bob, ann] = [
      fold.holder('device', 'd1')!.id,
      fold.holder('device', 'd2')!.id,
      fold.holder('email', 'ann@x')!.id,
    ];
    fold.command({ kind: 'merge', from: inner, into: bob }, 'm0');
    fold.command({ kind: 'merge', from: bob, into: ann }, 'm1');
    fold.split(undo(ann, inner), 's1', T0 + 10);
    expect(fold.partition()).toEqual([['device:d1'], ['device:d2', 'email:ann@x', 'email:bob@x']]);
    expect((fold.records.get(recordKeys.profile(bob)) as Redirect).to).toBe(ann);
    expect(fold.contradictions()).toEqual([]);
  });
});

describe('splitting keys off', () => {
  const split = (profileId: string, keys: Record<string, string[]>) =>
    ({ kind: 'split_begin', profileId, newProfileId: 'fresh', keys, reason: 'split' }) as const;

  it('gives them to a new profile, with the events that they decide', () => {
    const { fold, ann } = mixedUp();
    fold.split(split(ann, { device: ['d-ann'] }), 's1');
    expect(fold.view('device', 'd-ann')).toMatchObject({ id: 'fresh', attributes: { n: 1, last: 'a2' } });
    expect(fold.view('email', 'ann@x').attributes).toMatchObject({ n: 3 });
    expect(fold.contradictions()).toEqual([]);
    expect(fold.alarms.has(recordKeys.alarm('fresh', 'expire'))).toBe(true);
  });

  it.each([
    ['not_held', { device: ['d-ann', 'no'] }],
    ['no_keys', {}],
    ['all_keys', { email: ['ann@x', 'bob@x'], device: ['d-ann', 'd-bob'] }],
  ])('is refused: %s', (reason, keys) => {
    const { fold, ann } = mixedUp();
    const before = [...fold.records];
    expect(fold.command(split(ann, keys as Record<string, string[]>), 's1').refused?.reason).toBe(reason);
    expect([...fold.records]).toEqual(before);
  });

  it('is refused of an id that is a living profile, is unknown, or was merged into another', () => {
    const { fold, ann, bob } = mixedUp();
    fold.now({ keys: { device: 'other' } });
    const other = fold.holder('device', 'other')!.id;
    const keys = { device: ['d-ann'] };
    const asked = (command: Partial<IdentityCommand>) =>
      fold.command({ ...split(ann, keys), ...command } as IdentityCommand, 'x').refused?.reason;
    expect(asked({ newProfileId: other })).toBe('id_in_use');
    expect(asked({ profileId: 'nobody' })).toBe('unknown_profile');
    expect(asked({ profileId: other, newProfileId: bob, keys: null })).toBe('not_merged');
    expect(asked({ newProfileId: 'fresh', keys: null })).toBe('not_merged');
  });

  it('is refused while another split of it is not finished, as is a merge', () => {
    const { fold, ann, bob } = mixedUp();
    fold.command(undo(ann, bob), 's1');
    expect(fold.command(split(ann, { device: ['d-ann'] }), 's2').refused?.reason).toBe('being_rebuilt');
    expect(fold.command({ kind: 'merge', from: bob, into: ann }, 'm1').refused?.reason).toBe('being_rebuilt');
  });

  it('that comes again while it is under way changes nothing', () => {
    const { fold, ann, bob } = mixedUp();
    fold.command(undo(ann, bob), 's1');
    const before = [...fold.records];
    expect(fold.command(undo(ann, bob), 's1')).toEqual({ commandId: 's1', profileIds: [ann, bob] });
    expect([...fold.records]).toEqual(before);
  });

  it('removing one key says so', () => {
    const { fold, ann } = mixedUp();
    const command = { ...split(ann, { device: ['d-bob'] }), reason: 'removed' } as const;
    fold.split(command, 's1');
    expect(fold.facts('key_evicted')).toMatchObject([{ profileId: ann, reason: 'removed' }]);
    expect(fold.partition()).toEqual([['device:d-ann', 'email:ann@x', 'email:bob@x'], ['device:d-bob']]);
  });
});

describe('filling', () => {
  it('a second time does nothing', () => {
    const { fold, ann, bob } = mixedUp();
    fold.command(undo(ann, bob), 's1');
    fold.applyAll();
    const fills = fold.fills('s1', [ann, bob]);
    for (const round of [1, 2]) for (const fill of fills) fold.command(fill, `f${round}-${fill.profileId}`);
    expect(fold.view('email', 'ann@x').attributes).toMatchObject({ n: 3 });
    expect(fold.facts('profile_rebuilt')).toHaveLength(2);
  });

  it('adds to what was counted meanwhile, and triggers wait for it', () => {
    const { fold, ann, bob } = mixedUp();
    const buy = (id: string, email: string, amount: number) =>
      fold.now({ id, name: 'Bought', keys: { email }, properties: { amount } }, T0 + 4 * MINUTE);
    buy('p1', 'bob@x', 90);
    fold.command(undo(ann, bob), 's1', T0 + 4 * MINUTE);
    buy('p2', 'bob@x', 150);
    expect(fold.activations()).toEqual([]);
    expect(fold.view('email', 'bob@x').attributes).toMatchObject({ n: 1, spend: 150 });
    for (const fill of fold.fills('s1', [ann, bob])) fold.command(fill, `f-${fill.profileId}`);
    expect(fold.view('email', 'bob@x').attributes).toMatchObject({ n: 3, spend: 240 });
    buy('p3', 'bob@x', 1);
    expect(fold.activations()).toHaveLength(1);
  });

  it('keeps the mark of a trigger that had fired of what is its own', () => {
    const { fold, ann, bob } = mixedUp();
    fold.now({ id: 'p1', name: 'Bought', keys: { email: 'bob@x' }, properties: { amount: 100 } });
    fold.now({ id: 'p2', name: 'Bought', keys: { email: 'ann@x' }, properties: { amount: 10 } });
    expect(fold.activations()).toHaveLength(1);
    fold.split(undo(ann, bob), 's1');
    fold.now({ id: 'p3', name: 'Bought', keys: { email: 'bob@x' }, properties: { amount: 100 } });
    expect(fold.activations()).toHaveLength(1);
    fold.now({ id: 'p4', name: 'Bought', keys: { email: 'ann@x' }, properties: { amount: 90 } });
    expect(fold.activations()).toHaveLength(2);
  });

  it('finds the profile that a side has become part of meanwhile', () => {
    const { fold, ann, bob } = mixedUp();
    fold.now({ keys: { customer_id: 'c1' } });
    fold.command(undo(ann, bob), 's1');
    fold.now({ keys: { customer_id: 'c1', email: 'bob@x' } }, T0 + 4 * MINUTE);
    const joined = fold.holder('email', 'bob@x')!;
    expect(joined.id).not.toBe(bob);
    for (const fill of fold.fills('s1', [ann, bob])) fold.command(fill, `f-${fill.profileId}`);
    expect(fold.view('email', 'bob@x').attributes).toMatchObject({ n: 3 });
    expect(fold.view('email', 'ann@x').attributes).toMatchObject({ n: 3 });
    expect(fold.profiles().filter(({ rebuilding }) => rebuilding)).toEqual([]);
  });
});

describe('a rebuild', () => {
  it('counts the attributes anew with the config of now, and fires nothing again', () => {
    const fold = made();
    fold.now({ id: 'v', keys: { email: 'ann@x', device: 'd1' }, timestampMs: T0 + 1 });
    fold.now({
      id: 'b',
      name: 'Bought',
      properties: { amount: 120 },
      keys: { email: 'ann@x' },
      timestampMs: T0 + 2,
    });
    const { id } = fold.holder('email', 'ann@x')!;
    expect(fold.activations()).toHaveLength(1);
    fold.command({ kind: 'rebuild', profileId: id }, 'r1');
    expect(fold.view('email', 'ann@x').attributes).toEqual({ n: 0, spend: 0 });
    fold.now({
      id: 'b2',
      name: 'Bought',
      properties: { amount: 30 },
      keys: { device: 'd1' },
      timestampMs: T0 + 3,
    });
    fold.applyAll();
    for (const fill of fold.fills('r1', [id])) fold.command(fill, `r1-${fill.profileId}`);
    expect(fold.view('email', 'ann@x').attributes).toEqual({ n: 3, spend: 150, last: 'b2' });
    expect(fold.activations()).toHaveLength(1);
    expect(fold.contradictions()).toEqual([]);
  });

  it('is refused while another is on, and is the same when it is asked for again', () => {
    const fold = made();
    fold.now({ keys: { email: 'ann@x' } });
    const { id } = fold.holder('email', 'ann@x')!;
    const reply = fold.command({ kind: 'rebuild', profileId: id }, 'r1');
    expect(fold.command({ kind: 'rebuild', profileId: id }, 'r1')).toEqual(reply);
    expect(fold.command({ kind: 'rebuild', profileId: id }, 'r2').refused?.reason).toBe('being_rebuilt');
    expect(fold.command({ kind: 'rebuild', profileId: 'nobody' }, 'r3').refused?.reason).toBe(
      'unknown_profile',
    );
  });
});

it('a config that comes into force is told in the audit log, and nothing else', () => {
  const fold = made();
  const command = { kind: 'config_applied', version: 3, note: 'longer windows', rollbackOf: null } as const;
  expect(fold.command(command, 'config-3')).toEqual({ commandId: 'config-3', profileIds: [] });
  expect(fold.facts()).toEqual([{ kind: 'config_applied', version: 3, by: 'ann', note: 'longer windows' }]);
  expect(fold.audit()).toMatchObject([{ kind: 'config_applied', messageId: 'config-3' }]);
  expect(fold.records.size).toBe(0);
});
