// Events that ask a personalization service: the reply carries the profile with the event in it, and the profile is given the
// variants of that service in the same commit.
import { describe, expect, it } from 'vitest';
import type { Profile } from '../../../actors/profile/profile.ts';
import { decodeRecord } from '../../../actors/profile/record-codec.ts';
import type { CommitReply } from '../../../shared/contract/event.ts';
import { recordKeys } from '../../../shared/contract/names.ts';
import { configOf, type EventShape, eventOf, ProfileFold, T0 } from './harness.ts';

const CONFIG = configOf(`events: [{ name: viewed, when: 'event.name == "Viewed"' }]
attributes:
  - { name: views, type: counter, total: true, on: viewed }
${Array.from({ length: 8 }, (_, i) => `  - { name: note${i}, type: list, on: viewed, id: event.messageId, fields: { text: event.properties.text } }`).join('\n')}
personalization:
  - service: web
    sections: [{ name: hero, split: [{ name: a, percent: 50 }, { name: b, percent: 50 }] }, { name: plain, return: {} }]
  - { service: app, sections: [{ name: hero, split: [{ name: c, percent: 100 }] }] }
`);

function ask(fold: ProfileFold, shape: EventShape, asks?: string): CommitReply {
  const envelope = { v: 1, type: 'event', event: eventOf(shape), replyTo: '_INBOX.box.0', asks } as const;
  const sent = fold.envelope(envelope, { nowMs: T0 });
  if (sent.kind !== 'applied') throw new Error(sent.kind);
  return JSON.parse(Buffer.from(sent.apply.reply!.body).toString('utf8')) as CommitReply;
}

function profileIn({ profileId, record }: CommitReply): Profile | undefined {
  if (profileId === null || record === undefined) return undefined;
  return decodeRecord(recordKeys.profile(profileId), Buffer.from(record, 'base64')) as Profile;
}

describe('an event that asks a service', () => {
  it('is answered with the profile as it is stored', () => {
    const fold = new ProfileFold(CONFIG);
    for (let n = 0; n < 3; n++) {
      const profile = profileIn(ask(fold, { keys: { device: 'd1' } }, 'web'));
      expect(profile).toEqual(fold.holder('device', 'd1'));
      expect(profile?.attributes.views).toMatchObject({ kind: 'counter' });
    }
    expect(fold.view('device', 'd1').attributes.views).toBe(3);
  });

  it('that was applied before is answered alike, and changes nothing', () => {
    const fold = new ProfileFold(CONFIG);
    const first = ask(fold, { id: 'm', keys: { device: 'd1' } }, 'web');
    const again = ask(fold, { id: 'm', keys: { device: 'd1' } }, 'web');
    expect(profileIn(again)).toEqual(profileIn(first));
  });

  it('of nobody has no profile, and a large one is not sent', () => {
    const fold = new ProfileFold(CONFIG);
    expect(ask(fold, { keys: { device: 'null' } }, 'web')).toEqual({
      messageId: expect.any(String),
      profileId: null,
    });
    let last: CommitReply | undefined;
    for (let n = 0; n < 40; n++)
      last = ask(fold, { keys: { device: 'd1' }, properties: { text: `${n}`.repeat(4_000) } }, 'web');
    expect(last?.profileId).toBe(fold.holder('device', 'd1')?.id);
    expect(last?.record?.length).toBeUndefined();
  });

  it('that asks nothing is answered as ever, and gives no variants', () => {
    const fold = new ProfileFold(CONFIG);
    expect(ask(fold, { keys: { device: 'd1' } })).toEqual({
      messageId: expect.any(String),
      profileId: expect.any(String),
    });
    expect(fold.holder('device', 'd1')?.journeyPasts).toBeUndefined();
  });

  it('gives the variants of that service, and no journey is told of', () => {
    const fold = new ProfileFold(CONFIG);
    ask(fold, { keys: { device: 'd1' } }, 'web');
    const pasts = () => fold.holder('device', 'd1')?.journeyPasts;
    expect(Object.keys(pasts() ?? {})).toEqual(['service:web']);
    const given = pasts()?.['service:web']?.splits;
    expect(['a', 'b']).toContain(given?.hero);
    expect(Object.keys(given ?? {})).toEqual(['hero']);
    ask(fold, { keys: { device: 'd1' } }, 'app');
    expect(pasts()).toMatchObject({
      'service:web': { splits: given },
      'service:app': { splits: { hero: 'c' } },
    });
    expect(fold.view('device', 'd1').journeys).toEqual({});
    expect(ask(fold, { keys: { device: 'd1' } }, 'gone').profileId).not.toBeNull();
  });
});
