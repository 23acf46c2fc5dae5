// What other systems do in known situations, decided on purpose for this one: config, events, and who is whom afterwards.
import { describe, expect, it } from 'vitest';
import { hasSeen, seenIdOf } from '../../../actors/profile/seen.ts';
import { configOf, ProfileFold, SECOND, T0 } from '../profile/harness.ts';

const WEB = '{ name: user, limit: 1 }, { name: email, limit: 5 }, { name: anon, kind: device, limit: 100 }';
const CRM =
  '{ name: crm, limit: 1 }, { name: email, limit: 1, kind: contact }, { name: device, kind: device }';
const LOGIN = '{ name: crm, limit: 1 }, { name: login, limit: 50 }, { name: device, kind: device }';

interface Case {
  readonly name: string;
  readonly keys: string;
  /** Keys of each event in turn; `!` in front: sent a second time under the same message id. */
  readonly events: readonly Readonly<Record<string, string>>[];
  readonly people: readonly (readonly string[])[];
  readonly merges?: number;
  /** Values that were left out, with the event's number from 0. */
  readonly refused?: readonly string[];
  /** `<event number>: <a key of the profile that has the event>` */
  readonly owners?: Readonly<Record<number, string>>;
}

const CASES: readonly Case[] = [
  {
    name: 'an anonymous visitor has a profile from the first event on',
    keys: WEB,
    events: [{ anon: 'a1' }, { anon: 'a1' }],
    people: [['anon:a1']],
  },
  {
    name: 'signing up adds the user id to the same profile',
    keys: WEB,
    events: [{ anon: 'a1' }, { anon: 'a1', user: 'u1' }],
    people: [['anon:a1', 'user:u1']],
  },
  {
    name: 'a new user id with a known email is a second person',
    keys: WEB,
    events: [
      { user: 'abc123', email: 'jane@x' },
      { user: 'abc456', email: 'jane@x' },
    ],
    people: [['email:jane@x', 'user:abc123'], ['user:abc456']],
    refused: ['1 email:jane@x'],
    owners: { 1: 'user:abc456' },
  },
  {
    name: 'junk ids join nobody',
    keys: WEB,
    events: [
      { user: 'null', anon: 'a1' },
      { user: 'null', anon: 'a2' },
      { user: 'anonymous', anon: 'a3' },
      { user: '-1', anon: 'a4' },
    ],
    people: [['anon:a1'], ['anon:a2'], ['anon:a3'], ['anon:a4']],
  },
  {
    name: 'a cookie that lives longer joins two anonymous sessions',
    keys: '{ name: user, limit: 1 }, { name: anon, limit: 50 }, { name: cookie, kind: device }',
    events: [
      { anon: 'a1', cookie: 'g' },
      { anon: 'a2', cookie: 'g' },
    ],
    people: [['anon:a1', 'anon:a2', 'cookie:g']],
  },
  {
    name: 'neither id known: one person with both',
    keys: WEB,
    events: [{ user: 'new', anon: 'old' }],
    people: [['anon:old', 'user:new']],
  },
  {
    name: 'both known, neither a person twice: they become one',
    keys: WEB,
    events: [{ anon: 'old' }, { user: 'new' }, { user: 'new', anon: 'old' }],
    people: [['anon:old', 'user:new']],
    merges: 1,
  },
  {
    name: 'a person who forgot to log out is not merged with the next one on the device',
    keys: WEB,
    events: [{ user: 'A', anon: 'd' }, { user: 'B', anon: 'd' }, { anon: 'd' }],
    people: [['anon:d', 'user:A'], ['user:B']],
    refused: ['1 anon:d'],
    owners: { 1: 'user:B', 2: 'user:A' },
  },
  {
    name: 'repeating a merge does nothing more',
    keys: WEB,
    events: [{ anon: 'a' }, { user: 'u' }, { user: 'u', anon: 'a' }, { user: 'u', anon: 'a' }],
    people: [['anon:a', 'user:u']],
    merges: 1,
  },
  {
    name: 'the same login on another browser merges; the old cookie still leads there',
    keys: CRM,
    events: [{ device: 'Master', crm: 'u' }, { device: 'Ev' }, { device: 'Ev', crm: 'u' }, { device: 'Ev' }],
    people: [['crm:u', 'device:Ev', 'device:Master']],
    merges: 1,
    owners: { 1: 'crm:u', 3: 'crm:u' },
  },
  {
    name: 'another person, known before, logs in on the same browser: the event is theirs',
    keys: CRM,
    events: [
      { device: 'M', crm: 'master' },
      { device: 'P', crm: 'event' },
      { device: 'M', crm: 'event' },
    ],
    people: [
      ['crm:event', 'device:P'],
      ['crm:master', 'device:M'],
    ],
    refused: ['2 device:M'],
    owners: { 2: 'crm:event' },
  },
  {
    name: 'a shared device between two registered people stays with the first',
    keys: CRM,
    events: [
      { crm: 'jane', email: 'jane@x' },
      { crm: 'john', email: 'john@x' },
      { crm: 'jane', email: 'jane@x', device: 'L' },
      { crm: 'john', email: 'john@x', device: 'L' },
    ],
    people: [
      ['crm:jane', 'device:L', 'email:jane@x'],
      ['crm:john', 'email:john@x'],
    ],
    refused: ['3 device:L'],
  },
  {
    name: 'a guest who registers later is one person',
    keys: CRM,
    events: [
      { email: 'tom@x', device: '111' },
      { email: 'tom@x', crm: 'Tom' },
      { crm: 'Tom', device: '111' },
    ],
    people: [['crm:Tom', 'device:111', 'email:tom@x']],
  },
  {
    name: 'anonymous events of a shared tablet belong to who had it first, and past events never move',
    keys: CRM,
    events: [
      { crm: 'kevin', device: 'T' },
      { crm: 'nora', device: 'T' },
      { device: 'T' },
      { crm: 'kevin', device: 'T' },
    ],
    people: [['crm:kevin', 'device:T'], ['crm:nora']],
    refused: ['1 device:T'],
    owners: { 1: 'crm:nora', 2: 'crm:kevin', 3: 'crm:kevin' },
  },
  {
    name: 'a login sent with the wrong person stays where it was',
    keys: LOGIN,
    events: [
      { crm: 'Tom', login: 'A' },
      { crm: 'Summer', login: 'D' },
      { crm: 'Tom', login: 'D' },
    ],
    people: [
      ['crm:Summer', 'login:D'],
      ['crm:Tom', 'login:A'],
    ],
    refused: ['2 login:D'],
    owners: { 2: 'crm:Tom' },
  },
  {
    name: 'two logins without a person are joined by a device, as nothing speaks against it',
    keys: LOGIN,
    events: [
      { crm: 'Tom', login: 'A' },
      { login: 'A', device: '1' },
      { login: 'C', device: '1' },
    ],
    people: [['crm:Tom', 'device:1', 'login:A', 'login:C']],
  },
  {
    name: 'an unknown address from another channel begins its own profile',
    keys: CRM,
    events: [{ crm: 'c', email: 'hyde@x', device: '9' }, { email: 'jekyll@x' }],
    people: [['crm:c', 'device:9', 'email:hyde@x'], ['email:jekyll@x']],
  },
  {
    name: 'a returning user on a second device has the past of both',
    keys: WEB,
    events: [{ anon: 'D1' }, { anon: 'D1', user: 'U' }, { anon: 'D2' }, { anon: 'D2', user: 'U' }],
    people: [['anon:D1', 'anon:D2', 'user:U']],
    merges: 1,
    owners: { 0: 'user:U', 2: 'user:U' },
  },
  {
    name: 'a second address at a limit of one begins another profile, for a strong key beats a device',
    keys: CRM,
    events: [
      { device: 'an1', email: 'one@x' },
      { device: 'an1', email: 'two@x' },
    ],
    people: [['device:an1', 'email:one@x'], ['email:two@x']],
    refused: ['1 device:an1'],
    owners: { 1: 'email:two@x' },
  },
  {
    name: 'two aliases of one kind are not combined',
    keys: '{ name: external, limit: 1 }, { name: alias, limit: 1 }',
    events: [{ alias: 'x' }, { external: 'e1', alias: 'y' }, { external: 'e1', alias: 'x' }],
    people: [['alias:x'], ['alias:y', 'external:e1']],
    refused: ['2 alias:x'],
    owners: { 2: 'external:e1' },
  },
  {
    name: 'opposite merges end in one profile',
    keys: WEB,
    events: [
      { anon: 'a' },
      { anon: 'b' },
      { email: 'e' },
      { anon: 'a', email: 'e' },
      { anon: 'b', email: 'e' },
    ],
    people: [['anon:a', 'anon:b', 'email:e']],
    merges: 2,
  },
  {
    name: 'a key that is out of the way of a refused one is still taken',
    keys: WEB,
    events: [
      { user: 'A', email: 'e', anon: 'd1' },
      { user: 'B', email: 'e', anon: 'd2' },
    ],
    people: [
      ['anon:d1', 'email:e', 'user:A'],
      ['anon:d2', 'user:B'],
    ],
    refused: ['1 email:e'],
  },
];

const COUNTING = `events: [{ name: all, when: 'true' }]
attributes: [{ name: n, type: counter, total: true, on: all }]
`;

function play({ keys, events }: Case): ProfileFold {
  const fold = new ProfileFold(configOf(COUNTING, `keys: [${keys}]`));
  events.forEach((shown, i) => {
    fold.send({ id: `m${i}`, keys: shown }, T0 + i * SECOND);
  });
  return fold;
}

describe('known situations', () => {
  it.each(CASES)('$name', (one) => {
    const fold = play(one);
    expect(fold.partition()).toEqual(one.people);
    expect(fold.contradictions()).toEqual([]);
    if (one.merges !== undefined) expect(fold.facts('profiles_merged')).toHaveLength(one.merges);
    const refused = fold.audit().flatMap(({ messageId, facts }) =>
      facts
        .filter(({ kind }) => kind === 'link_refused' || kind === 'key_demoted')
        .map(({ key, reason }) => {
          expect(reason).toMatch(/limit/);
          return `${messageId!.slice(1)} ${key!.name}:${key!.value}`;
        }),
    );
    expect(refused).toEqual(one.refused ?? []);
    const counted = fold.profiles().reduce((sum, { id }) => sum + countOf(fold, id), 0);
    expect(counted, 'every event on exactly one profile').toBe(one.events.length);
  });

  it.each(CASES.filter(({ owners }) => owners))('$name: whose events are whose', (one) => {
    const fold = play(one);
    for (const [index, owner] of Object.entries(one.owners!)) {
      const [name = '', value = ''] = owner.split(':');
      const having = fold.profiles().filter(({ seen }) => hasSeen(seen, seenIdOf(`m${index}`)));
      expect(
        having.map(({ id }) => id),
        `event ${index}`,
      ).toEqual([fold.holder(name, value)!.id]);
    }
  });

  it.each(CASES)('$name: sending everything twice changes nothing', (one) => {
    const [once, twice] = [play(one), play(one)];
    one.events.forEach((shown, i) => {
      twice.send({ id: `m${i}`, keys: shown }, T0 + 60 * SECOND);
    });
    expect([...twice.records]).toEqual([...once.records]);
  });
});

function countOf(fold: ProfileFold, id: string): number {
  const profile = fold.resolve(id)!;
  const [name, held] = Object.entries(profile.keys)[0]!;
  return Number(fold.view(name, held[0]!.value).attributes.n);
}
