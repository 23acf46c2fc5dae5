// The end of profiles and redirects by age, and the alarm clocks that bring it: nothing is left that points to nothing.
import { describe, expect, it } from 'vitest';
import type { LogEnvelope } from '../../../shared/contract/event.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { shardOf } from '../../../shared/contract/routing.ts';
import { configOf, DAY, MINUTE, ProfileFold, SECOND, T0 } from './harness.ts';

const COUNTING = `events: [{ name: all, when: 'true' }]\nattributes: [{ name: n, type: counter, total: true, on: all }]\n`;

function foldOf(
  retention = '',
  keys = '{ name: c, limit: 1 }, { name: e, limit: 5 }, { name: d, kind: device }',
) {
  const kept = retention === '' ? '' : `, retention: { ${retention} }`;
  return new ProfileFold(configOf(COUNTING, `{ keys: [${keys}], max_keys_per_profile: 5000${kept} }`), {
    onPoison: 'keep',
  });
}

describe('an anonymous profile', () => {
  it('has an alarm clock that rings 90 days after its first event', () => {
    const fold = foldOf();
    fold.send({ keys: { d: '1' } });
    const { id, timers } = fold.profiles()[0]!;
    const [alarm] = [...fold.alarms.values()];
    const { dueMs, generation } = timers.expire!;
    expect(dueMs).toBe(T0 + 90 * DAY);
    expect(alarm).toMatchObject({
      key: recordKeys.alarm(id, 'expire'),
      target: recordKeys.fired(shardOf(id, 8), id, 'expire', generation),
      atMs: dueMs,
    });
    const body: LogEnvelope = JSON.parse(Buffer.from(alarm!.value).toString('utf8'));
    expect(body).toEqual({ v: 1, type: 'timer', profileId: id, timer: 'expire', generation, dueMs });
  });

  it('ends with its links when it rings, and says so', () => {
    const fold = foldOf();
    fold.send({ keys: { d: '1', e: 'x@y' } });
    const { id } = fold.profiles()[0]!;
    expect(fold.ringUntil(T0 + 90 * DAY)).toBe(1);
    expect(fold.records.size).toBe(0);
    expect(fold.audit().at(-1)).toMatchObject({ kind: 'profile_expired', profileId: id });
  });

  it('stays while events come; the clock is set again only when it rings too early', () => {
    const fold = foldOf();
    let armed = 0;
    for (let day = 0; day < 200; day += 10) {
      fold.ringUntil(T0 + day * DAY);
      const sent = fold.send({ keys: { d: '1' } }, T0 + day * DAY);
      if (sent.kind === 'applied') armed += sent.apply.alarms.length;
    }
    expect(armed).toBe(1);
    expect(fold.profiles()[0]!.generation).toBeLessThanOrEqual(3);
    fold.ringUntil(T0 + (190 + 89) * DAY);
    expect(fold.profiles()).toHaveLength(1);
    fold.ringUntil(T0 + (190 + 90) * DAY);
    expect(fold.records.size).toBe(0);
  });

  it('that should have ended begins anew when an event comes before the alarm', () => {
    const fold = foldOf();
    fold.send({ keys: { d: '1', e: 'x' } });
    const old = fold.profiles()[0]!.id;
    fold.send({ keys: { d: '1' } }, T0 + 91 * DAY);
    expect(fold.partition()).toEqual([['d:1']]);
    expect(fold.profiles()[0]!.id).not.toBe(old);
    expect(fold.view('d', '1').attributes.n).toBe(1);
    expect(fold.alarms.has(recordKeys.alarm(old, 'expire'))).toBe(false);
    expect(fold.facts('profile_expired')).toHaveLength(1);
    expect(fold.contradictions()).toEqual([]);
  });

  it('is not ended by the clock of an earlier arming, nor of a profile that is gone', () => {
    const fold = foldOf();
    fold.send({ keys: { d: '1' } });
    const { id } = fold.profiles()[0]!;
    for (const [profileId, generation] of [
      [id, 0],
      [id, 99],
      ['nobody', 1],
    ] as const) {
      const envelope: LogEnvelope = {
        v: 1,
        type: 'timer',
        profileId,
        timer: 'expire',
        generation,
        dueMs: T0,
      };
      const sent = fold.envelope(envelope, { nowMs: T0 + 500 * DAY });
      expect(sent).toMatchObject({ kind: 'applied', apply: { writes: new Map() } });
    }
    expect(fold.profiles()).toHaveLength(1);
  });

  it.each([1, 399, 400, 401, 1200])('with %i keys ends completely, in commits of bounded size', (count) => {
    const wide = foldOf('', '{ name: e, limit: 5 }, { name: x, kind: device }, { name: d, kind: device }');
    for (let i = 0; i < count; i++) wide.send({ keys: { x: 'x0', d: `d${i}` } });
    expect(wide.profiles()).toHaveLength(1);
    wide.ringUntil(T0 + 91 * DAY);
    expect(wide.records.size).toBe(0);
    expect(wide.facts('profile_expired')).toHaveLength(1);
  });

  it('with many keys that an event meets after its end leaves no key without a link', () => {
    const fold = foldOf('', '{ name: x, kind: device }, { name: d, kind: device }');
    for (let i = 0; i < 600; i++) fold.send({ keys: { x: 'x0', d: `d${i}` } });
    fold.send({ keys: { d: 'd599' } }, T0 + 91 * DAY);
    expect(fold.contradictions()).toEqual([]);
    fold.ringUntil(T0 + 92 * DAY);
    expect(fold.deadLetters).toEqual([]);
    expect(fold.contradictions()).toEqual([]);
    expect(fold.partition()).toEqual([['d:d599']]);
  });
});

describe('an end that a duplicate brings about', () => {
  it('is told all the same', () => {
    const fold = foldOf();
    fold.send({ keys: { d: '1' } });
    fold.send({ id: 'm1', keys: { c: '1' } });
    fold.send({ id: 'm1', keys: { c: '1', d: '1' } }, T0 + 91 * DAY);
    expect(fold.partition()).toEqual([['c:1']]);
    expect(fold.facts('profile_expired')).toHaveLength(1);
  });
});

describe('a known profile', () => {
  it('never ends by default', () => {
    const fold = foldOf();
    fold.send({ keys: { c: '1', d: '1' } });
    expect(fold.alarms.size).toBe(0);
    fold.send({ keys: { d: '1' } }, T0 + 1000 * DAY);
    expect(fold.view('c', '1').attributes.n).toBe(2);
  });

  it('that was anonymous loses its clock when it rings', () => {
    const fold = foldOf();
    fold.send({ keys: { d: '1' } });
    fold.send({ keys: { d: '1', c: '1' } }, T0 + DAY);
    fold.ringUntil(T0 + 400 * DAY);
    expect(fold.profiles()).toMatchObject([{ timers: {} }]);
    expect(fold.alarms.size).toBe(0);
  });

  it('ends when the config says so', () => {
    const fold = foldOf('known: 10d');
    fold.send({ keys: { c: '1', d: '1' } });
    fold.ringUntil(T0 + 9 * DAY);
    expect(fold.profiles()).toHaveLength(1);
    fold.ringUntil(T0 + 10 * DAY);
    expect(fold.records.size).toBe(0);
  });
});

describe('a known profile with very many keys', () => {
  it('ends completely, also where anonymous ones stay for ever', () => {
    const fold = foldOf('known: 30d, anonymous: forever', '{ name: c, limit: 1 }, { name: d, kind: device }');
    for (let i = 0; i < 600; i++) fold.send({ keys: { c: '1', d: `d${i}` } });
    fold.ringUntil(T0 + 40 * DAY);
    expect(fold.records.size).toBe(0);
  });
});

describe('a merge', () => {
  it('stops the clock of the retired profile and leaves the survivor with one', () => {
    const fold = foldOf();
    fold.send({ keys: { d: '1' } }, T0);
    fold.send({ keys: { d: '2', e: 'x' } }, T0 + SECOND);
    const [retired, survivor] = [fold.holder('d', '1')!.id, fold.holder('d', '2')!.id];
    fold.send({ keys: { d: '1', e: 'x' } }, T0 + 2 * SECOND);
    expect(fold.profiles().map(({ id }) => id)).toEqual([survivor]);
    expect(fold.alarms.has(recordKeys.alarm(retired, 'expire'))).toBe(false);
    expect(fold.alarms.has(recordKeys.alarm(survivor, 'expire'))).toBe(true);
    fold.ringUntil(T0 + 2 * SECOND + 90 * DAY);
    expect(fold.profiles()).toEqual([]);
  });

  it('of an anonymous into a known profile leaves no clock but the redirect’s', () => {
    const fold = foldOf();
    fold.send({ keys: { d: '1' } });
    fold.send({ keys: { c: '1' } });
    fold.send({ keys: { d: '1', c: '1' } });
    expect([...fold.alarms.keys()].filter((key) => key.endsWith('.expire'))).toEqual([]);
    fold.ringUntil(T0 + 399 * DAY);
    expect(fold.profiles()).toHaveLength(1);
  });

  it('a clock that rang before it does nothing after it', () => {
    const fold = foldOf();
    fold.send({ keys: { d: '1' } });
    const rung = [...fold.alarms.values()][0]!;
    fold.send({ keys: { c: '1' } });
    fold.send({ keys: { d: '1', c: '1' } });
    fold.payload(rung.value, { nowMs: T0 + 91 * DAY, source: 'timer' });
    expect(fold.partition()).toEqual([['c:1', 'd:1']]);
    expect(fold.contradictions()).toEqual([]);
  });
});

describe('a redirect', () => {
  /** d:1 and c:1, merged; the link of `e` still goes through the redirect. */
  function merged(retention = '') {
    const fold = foldOf(retention);
    fold.send({ keys: { d: '1', e: 'x' } });
    const retired = fold.profiles()[0]!.id;
    fold.send({ keys: { c: '1' } });
    fold.send({ keys: { d: '1', c: '1' } }, T0 + MINUTE);
    return { fold, retired };
  }

  it('goes 400 days after the merge, and links that went through it go straight', () => {
    const { fold, retired } = merged();
    fold.ringUntil(T0 + MINUTE + 400 * DAY - 1);
    expect(fold.redirects()).toHaveLength(1);
    fold.ringUntil(T0 + MINUTE + 400 * DAY);
    expect([fold.redirects(), fold.resolve(retired)]).toEqual([[], undefined]);
    expect(fold.contradictions()).toEqual([]);
    expect(fold.holder('e', 'x')!.id).toBe(fold.holder('c', '1')!.id);
  });

  it('stays 400 days after its last use', () => {
    const { fold, retired } = merged();
    fold.send({ keys: { e: 'x' } }, T0 + 300 * DAY);
    fold.ringUntil(T0 + 500 * DAY);
    expect(fold.resolve(retired)).toBeDefined();
    fold.ringUntil(T0 + 700 * DAY);
    expect(fold.redirects()).toEqual([]);
  });

  it('stays for ever when the config says so', () => {
    const { fold } = merged('redirects: forever');
    expect(fold.alarms.size).toBe(0);
  });

  it('in a chain may go in any order', () => {
    for (const order of ['first', 'second'] as const) {
      const fold = foldOf(
        '',
        '{ name: c, limit: 1 }, { name: b, limit: 1 }, { name: e, limit: 5 }, { name: d }',
      );
      fold.send({ keys: { d: '1', e: 'y' } });
      const first = fold.profiles()[0]!.id;
      fold.send({ keys: { b: '1' } });
      const second = fold.holder('b', '1')!.id;
      fold.send({ keys: { d: '1', b: '1' } });
      fold.send({ keys: { c: '1' } });
      fold.send({ keys: { b: '1', c: '1' } });
      const ids = order === 'first' ? [first, second] : [second, first];
      for (const id of ids) fold.ring(recordKeys.alarm(id, 'redirect'), T0 + 400 * DAY);
      expect(fold.contradictions(), order).toEqual([]);
      fold.send({ keys: { e: 'y' } }, T0 + 400 * DAY);
      expect(fold.deadLetters, order).toEqual([]);
      expect(fold.partition(), order).toEqual([['b:1', 'c:1', 'd:1', 'e:y']]);
    }
  });

  it('does not outlive the profile that it leads to', () => {
    const fold = foldOf();
    fold.send({ keys: { d: '1' } });
    fold.send({ keys: { e: 'x' } });
    fold.send({ keys: { d: '1', e: 'x' } });
    expect(fold.redirects()).toHaveLength(1);
    fold.ringUntil(T0 + 90 * DAY);
    expect(fold.profiles()).toEqual([]);
    expect(fold.contradictions()).toEqual([]);
  });
});
