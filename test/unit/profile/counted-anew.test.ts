// Splits and rebuilds between beginning and end: commands that come again after a merge, keys that were lost and came back,
// repeats in another shard, and what is not known yet sets nothing off.
import { describe, expect, it } from 'vitest';
import { configOf, DAY, HOUR, MINUTE, T0 } from './harness.ts';
import { LogFold } from './log-fold.ts';

const STITCHING = `keys:
    - { name: customer_id, kind: person, limit: 1 }
    - { name: email, limit: 5 }
    - { name: device, kind: device, limit: 100 }
  logout: [Logout]`;
const CONFIG = configOf(
  `events:
  - { name: viewed, when: 'event.name == "Viewed"' }
  - { name: counted, when: 'event.name == "Counted"' }
attributes:
  - { name: n, type: counter, on: viewed, total: true }
  - { name: other, type: counter, on: viewed, total: true }
  - { name: many, type: computed, value: 'profile.n >= 3.0' }
audiences:
  - { name: three, when: 'profile.n >= 3.0' }
  - { name: frequent, when: profile.many }
  - { name: two, when: 'profile.other >= 2.0' }
activations:
  - { name: hello, payload: { n: '{{ profile.n }}' } }
triggers:
  - { name: hi, on: { entered: three }, once: true, activate: hello }
  - { name: bye, on: { left: frequent }, activate: hello }
  - { name: rare, on: counted, when: '!profile.many', activate: hello }
  - { name: known, on: counted, when: 'profile.other >= 2.0', activate: hello }
`,
  STITCHING,
);

function foldOf(count: number, keys: Readonly<Record<string, string>>): LogFold {
  const fold = new LogFold(CONFIG);
  for (let i = 0; i < count; i++) fold.now({ keys });
  return fold;
}

const firedBy = (fold: LogFold) => fold.activations().map(({ cause }) => cause.trigger);

describe('a beginning that is sent again after the profile became part of another', () => {
  /** The other profile survives: it alone has the strongest key. */
  const foldWithOlder = () => {
    const fold = foldOf(4, { email: 'e', device: 'd' });
    fold.now({ keys: { customer_id: 'c' } });
    return fold;
  };
  const become = (fold: LogFold) => fold.now({ keys: { customer_id: 'c', email: 'e' } });
  const fill = (fold: LogFold, id: string, profileIds: readonly string[]) => {
    for (const one of fold.fills(id, profileIds)) fold.command(one, `fill-${one.profileId}`);
  };

  it('names the part of a rebuild that is still to be filled', () => {
    const fold = foldWithOlder();
    const { id } = fold.holder('email', 'e')!;
    const command = { kind: 'rebuild', profileId: id } as const;
    fold.command(command, 'r1');
    become(fold);
    fill(fold, 'r1', fold.command(command, 'r1').profileIds);
    expect(fold.holder('email', 'e')!.rebuilding).toBeUndefined();
    expect(fold.view('email', 'e').attributes.n).toBe(6);
  });

  it('names both sides of a split', () => {
    const fold = foldWithOlder();
    const { id } = fold.holder('email', 'e')!;
    const keys = { device: ['d'] };
    const command = {
      kind: 'split_begin',
      profileId: id,
      newProfileId: 'new',
      keys,
      reason: 'split',
    } as const;
    fold.command(command, 's1');
    become(fold);
    fill(fold, 's1', fold.command(command, 's1').profileIds);
    expect(fold.profiles().map(({ rebuilding }) => rebuilding)).toEqual([undefined, undefined]);
    expect(fold.view('email', 'e').attributes.n).toBe(6);
  });
});

describe('a rebuild', () => {
  it('counts what a key brought before it was lost and came back', () => {
    const fold = new LogFold(CONFIG);
    fold.now({ keys: { customer_id: 'c', device: 'd' } }, T0);
    for (let i = 0; i < 3; i++) fold.now({ keys: { device: 'd' } }, T0 + MINUTE);
    fold.now({ name: 'Logout', keys: { customer_id: 'c', device: 'd' } }, T0 + HOUR);
    fold.now({ keys: { customer_id: 'c', device: 'd' } }, T0 + 80 * DAY);
    const { id } = fold.holder('customer_id', 'c')!;
    fold.command({ kind: 'rebuild', profileId: id }, 'r1', T0 + 80 * DAY);
    for (const one of fold.fills('r1', [id])) fold.command(one, 'fill', T0 + 80 * DAY);
    expect(fold.view('customer_id', 'c').attributes.n).toBe(5);
  });

  it('counts an event once that stands in two shards, of which the first is applied last', () => {
    let tried = 0;
    for (let i = 0; i < 20; i++) {
      const devices = [`x${i}`, `y${i}`];
      const fold = new LogFold(CONFIG);
      for (const device of devices) fold.now({ keys: { email: 'e', device } });
      const { id } = fold.holder('email', 'e')!;
      const [first, second] = devices.map((device) =>
        fold.append({ id: 'twice', keys: { email: 'e', device } }),
      );
      fold.command({ kind: 'rebuild', profileId: id }, 'r1');
      // The command went to the shard of one of them, or both went to one.
      if (!fold.isWaiting(first!) || !fold.isWaiting(second!) || first!.shard === second!.shard) continue;
      tried += 1;
      fold.applyTo(second!);
      fold.applyAll();
      for (const one of fold.fills('r1', [id])) fold.command(one, 'fill');
      expect(fold.view('email', 'e').attributes.n).toBe(3);
    }
    expect(tried).toBeGreaterThan(0);
  });
});

describe('what is counted anew', () => {
  it('sets nothing off until it is known, while the rest goes on', () => {
    const fold = foldOf(4, { customer_id: 'c' });
    const { id } = fold.holder('customer_id', 'c')!;
    const memberships = () => [...fold.view('customer_id', 'c').audiences].sort();
    expect(firedBy(fold)).toEqual(['hi']);
    fold.command({ kind: 'rebuild', profileId: id, attributes: ['n'] }, 'r1');
    const upTo = fold.log.length;
    fold.now({ keys: { customer_id: 'c' } });
    fold.now({ name: 'Counted', keys: { customer_id: 'c' } });
    expect(memberships()).toEqual(['frequent', 'three', 'two']);
    for (const one of fold.fills('r1', [id], upTo)) fold.command(one, 'fill');
    expect(fold.view('customer_id', 'c').attributes.n).toBe(5);
    expect(memberships()).toEqual(['frequent', 'three', 'two']);
    expect(firedBy(fold)).toEqual(['hi', 'known']);
  });
});

describe('after a split, what an audience set off once', () => {
  const split = {
    kind: 'split_begin',
    newProfileId: 'new',
    keys: { email: ['e'] },
    reason: 'split',
  } as const;

  it('is not set off again for the side whose own events brought it in', () => {
    const fold = foldOf(4, { customer_id: 'c' });
    fold.now({ keys: { customer_id: 'c', email: 'e' } });
    const { id } = fold.holder('customer_id', 'c')!;
    fold.split({ ...split, profileId: id }, 's1');
    expect(fold.holder('customer_id', 'c')!.fired).toHaveProperty('hi');
    expect(fold.resolve('new')!.fired).toEqual({});
    for (let i = 0; i < 3; i++) fold.now({ keys: { email: 'e' } });
    expect(firedBy(fold)).toEqual(['hi', 'hi']);
    expect(fold.activations().map(({ profileId }) => profileId)).toEqual([id, 'new']);
  });
});
