// What a new config does to profiles that an older one decided: what is dropped, kept, begun anew, and what waits.
import { describe, expect, it } from 'vitest';
import { createProfileActor } from '../../../actors/profile/actor.ts';
import { viewProfile } from '../../../actors/profile/view.ts';
import type { LogEnvelope } from '../../../shared/contract/event.ts';
import type { AuditEntry } from '../../../shared/contract/outbox.ts';
import { configOf, DAY, eventOf, HOUR, ProfileFold, T0 } from './harness.ts';

const EVENTS = `
events:
  - { name: viewed, when: 'event.name == "Viewed"' }`;
const withAttributes = (...lines: readonly string[]) =>
  configOf(`${EVENTS}\nattributes:\n${lines.map((line) => `  - ${line}`).join('\n')}`);
const withAudiences = (...lines: readonly string[]) =>
  configOf(
    `${EVENTS}\nattributes:\n  - ${VIEWS}${
      lines.length === 0 ? '' : `\naudiences:\n${lines.map((line) => `  - ${line}`).join('\n')}`
    }`,
  );
const VIEWS = '{ name: views, type: counter, total: true, on: viewed }';
const LAST = '{ name: last, type: single, on: viewed, value: event.properties.page }';

/** The fold goes on under another config. */
function change(fold: ProfileFold, config: ReturnType<typeof configOf>, configVersion: number) {
  fold.actor = createProfileActor(config, { shards: 8, configVersion });
  return {
    attributes: (nowMs = T0) => viewProfile(fold.holder('device', 'd1')!, config, nowMs).attributes,
    audiences: () => viewProfile(fold.holder('device', 'd1')!, config, T0).audiences,
  };
}

const kindsOf = (fold: ProfileFold) =>
  (fold.bodies('o.audit.') as readonly AuditEntry[]).flatMap(({ facts }) => facts.map(({ kind }) => kind));

describe('attributes under a new config', () => {
  it('a new one starts empty', () => {
    const fold = new ProfileFold(withAttributes(VIEWS));
    fold.send({ properties: { page: 'a' } });
    const after = change(fold, withAttributes(VIEWS, LAST), 2);
    expect(after.attributes()).toEqual({ views: 1 });
    fold.send({ properties: { page: 'b' } });
    expect(after.attributes()).toEqual({ views: 2, last: 'b' });
  });

  it('a removed one is gone from answers at once, and dropped with the next write', () => {
    const fold = new ProfileFold(withAttributes(VIEWS, LAST));
    fold.send({ properties: { page: 'a' } });
    const after = change(fold, withAttributes(VIEWS), 2);
    expect(after.attributes()).toEqual({ views: 1 });
    expect(Object.keys(fold.holder('device', 'd1')!.attributes)).toEqual(['views', 'last']);
    fold.send({ name: 'Other' });
    expect(Object.keys(fold.holder('device', 'd1')!.attributes)).toEqual(['views']);
    const back = change(fold, withAttributes(VIEWS, LAST), 3);
    expect(back.attributes()).toEqual({ views: 1 });
  });

  it('a removed one is kept for a rollback until the next write', () => {
    const fold = new ProfileFold(withAttributes(VIEWS, LAST));
    fold.send({ properties: { page: 'a' } });
    change(fold, withAttributes(VIEWS), 2);
    expect(change(fold, withAttributes(VIEWS, LAST), 3).attributes()).toEqual({ views: 1, last: 'a' });
  });

  it('a removed one is dropped also when a merge hides which of the two was older', () => {
    const fold = new ProfileFold(withAttributes(VIEWS, LAST));
    fold.send({ keys: { device: 'd1' }, properties: { page: 'a' } });
    fold.send({ keys: { email: 'a@x.org' }, properties: { page: 'b' } });
    change(fold, withAttributes(VIEWS), 2);
    fold.send({ keys: { device: 'd1' } });
    fold.send({ keys: { email: 'a@x.org', device: 'd1' } });
    expect(fold.profiles()).toHaveLength(1);
    expect(Object.keys(fold.holder('device', 'd1')!.attributes)).toEqual(['views']);
  });

  it('one of another kind starts anew', () => {
    const fold = new ProfileFold(withAttributes(VIEWS));
    fold.send({ properties: { page: 'a' } });
    const after = change(
      fold,
      withAttributes('{ name: views, type: single, on: viewed, value: event.properties.page }'),
      2,
    );
    expect(after.attributes()).toEqual({});
    fold.send({ properties: { page: 'b' } });
    expect(after.attributes()).toEqual({ views: 'b' });
  });

  it('a new window starts with what the longest one knew; a total was always kept', () => {
    const fold = new ProfileFold(withAttributes('{ name: views, type: counter, on: viewed, windows: [7d] }'));
    fold.send({ timestampMs: T0 - 3 * DAY });
    fold.send({ timestampMs: T0 - HOUR });
    const after = change(
      fold,
      withAttributes('{ name: views, type: counter, total: true, on: viewed, windows: [7d, 2d] }'),
      2,
    );
    expect(after.attributes()).toEqual({ views: { '7d': 2, '2d': 1, total: 2 } });
    fold.send({});
    expect(after.attributes()).toEqual({ views: { '7d': 3, '2d': 2, total: 3 } });
  });
});

describe('audiences under a new config', () => {
  const ANY = `{ name: any, when: 'profile.views >= 1' }`;

  it('a new or changed one is judged with the next event, whatever it is', () => {
    const fold = new ProfileFold(withAudiences());
    fold.send({});
    let after = change(fold, withAudiences(ANY), 2);
    expect(after.audiences()).toEqual([]);
    fold.send({ name: 'Other' });
    expect(after.audiences()).toEqual(['any']);
    after = change(fold, withAudiences(`{ name: any, when: 'profile.views >= 5' }`), 3);
    expect(after.audiences()).toEqual(['any']);
    fold.send({ name: 'Other' });
    expect(after.audiences()).toEqual([]);
    expect(kindsOf(fold).filter((kind) => kind.startsWith('audience'))).toEqual([
      'audience_entered',
      'audience_left',
    ]);
  });

  it('a removed one is left with the next event', () => {
    const fold = new ProfileFold(withAudiences(ANY));
    fold.send({});
    change(fold, withAudiences(), 2);
    fold.send({ name: 'Other' });
    expect(fold.holder('device', 'd1')?.audiences ?? {}).toEqual({});
    expect(kindsOf(fold)).toContain('audience_left');
  });
});

describe('profiles that become one under a new config', () => {
  const withWindow = (window: string, merge = 'sum') =>
    withAttributes(`{ name: views, type: counter, on: viewed, windows: [${window}], merge: ${merge} }`);

  it.each([
    ['sum', 9],
    ['max', 5],
  ])('keep what each had counted, under other windows (%s)', (merge, due) => {
    const fold = new ProfileFold(withWindow('7d', merge));
    for (let i = 0; i < 3; i++) fold.send({ keys: { email: 'a@x', device: 'd1' } });
    for (let i = 0; i < 5; i++) fold.send({ keys: { email: 'b@x' } });
    const after = change(fold, withWindow('1d', merge), 2);
    fold.send({ keys: { email: 'a@x' } });
    fold.send({ name: 'Other', keys: { customer_id: 'c', email: 'a@x' } });
    fold.send({ name: 'Other', keys: { customer_id: 'c', email: 'b@x' } });
    expect(fold.profiles()).toHaveLength(1);
    expect(after.attributes()).toEqual({ views: { '1d': due } });
  });
});

describe('an event that was accepted under a newer config', () => {
  const send = (fold: ProfileFold, config: string) => {
    const envelope: LogEnvelope = { v: 1, type: 'event', event: eventOf({}), config };
    return fold.envelope(envelope, { nowMs: T0 }).kind;
  };

  it('waits for that config, whose keys may be others', () => {
    const fold = new ProfileFold(withAttributes(VIEWS));
    expect(send(fold, 'shop@2')).toBe('waiting');
    change(fold, withAttributes(VIEWS), 2);
    expect(send(fold, 'shop@2')).toBe('applied');
    expect(send(fold, 'shop@1')).toBe('applied');
  });

  it('does not wait when the config is of another segment, or none that can be read', () => {
    const fold = new ProfileFold(withAttributes(VIEWS));
    for (const config of ['shop-2@9', 'sho@9', 'shop@x', '', 'shop'])
      expect(send(fold, config)).toBe('applied');
  });
});
