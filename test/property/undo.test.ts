// Laws of splits: two people who were merged get back exactly what their own events made, whatever came before, during
// and after, in whatever order the shards are applied; and an event counts once, for the one that its strongest key names.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Members } from '../../actors/profile/profile.ts';
import type { CommandReply } from '../../shared/contract/command.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import {
  configOf,
  type EventShape,
  keyTexts,
  MINUTE,
  ProfileFold,
  SECOND,
  T0,
} from '../unit/profile/harness.ts';
import { LogFold } from '../unit/profile/log-fold.ts';

const RUNS = { numRuns: 150 };
const NAMES = ['person', 'contact', 'device'] as const;
type KeyName = (typeof NAMES)[number];
type Side = 'a' | 'b';

const CONFIG = configOf(
  `events:
  - { name: all, when: 'true' }
  - { name: added, when: 'event.properties.amount > 0.0' }
  - { name: removed, when: 'event.properties.amount < 0.0 && event.properties.amount > -5.0' }
  - { name: emptied, when: 'event.properties.amount == -5.0' }
attributes:
  - { name: n, type: counter, total: true, on: all }
  - { name: recent, type: counter, windows: [1h, 7d], on: all, by: event.properties.amount }
  - { name: last, type: single, on: all, value: event.properties.amount }
  - { name: most, type: counter, total: true, on: all, by: event.properties.amount, merge: max }
  - { name: first, type: single, on: all, value: event.properties.amount, merge: oldest }
  - { name: different, type: counter, on: all, distinct: event.properties.amount, total: true, windows: [2h] }
  - { name: least, type: min, on: all, value: event.properties.amount }
  - { name: greatest, type: max, on: all, value: event.properties.amount, merge: survivor }
  - { name: mean, type: avg, on: all, value: event.properties.amount }
  - { name: usual, type: most_frequent, on: all, value: event.properties.amount }
  - { name: visit, type: session, gap: 4h, entry: event.messageId, aggregate: { visit_events: { count: all } } }
  - name: cart
    type: list
    on: added
    id: event.properties.amount
    fields: { said: event.messageId }
    max: 50
    remove: [{ on: removed, id: 0.0 - event.properties.amount }]
    clear: [{ on: emptied }]
    aggregate: { cart_sum: { sum: item.said.size() } }
audiences:
  - { name: busy, when: 'profile.n >= 4.0' }
  - { name: with_cart, when: 'profile.cart.items.size() > 0' }
  - { name: on_visit, when: profile.visit.active }
`,
  '{ keys: [{ name: person, kind: person }, { name: contact, limit: 90 }, { name: device, kind: device }] }',
);

/** What the first event of each side brings together. */
const KEYS_OF: Readonly<Record<Side, Readonly<Record<KeyName, string>>>> = {
  a: { person: 'pa', contact: 'ca', device: 'da' },
  b: { person: 'pb', contact: 'cb', device: 'db' },
};

interface Step {
  readonly sides: Readonly<Partial<Record<KeyName, Side>>>;
  readonly amount: number;
  readonly agoS: number;
  /** The id of an event that was sent before, instead of a new one. */
  readonly repeats: number | undefined;
  /** Shards that apply a message each before the next step. */
  readonly applied: readonly number[];
}

const side = fc.constantFrom<Side>('a', 'b');
const applied = fc.array(fc.nat({ max: 7 }), { maxLength: 4 });
const amounts = {
  amount: fc.integer({ min: -5, max: 20 }),
  agoS: fc.integer({ min: 0, max: 86_400 }),
  repeats: fc.option(fc.nat({ max: 30 }), { nil: undefined, freq: 4 }),
  applied,
};
const mixed: fc.Arbitrary<Step> = fc.record({
  sides: fc
    .record({ person: side, contact: side, device: side }, { requiredKeys: [] })
    .filter((sides) => Object.keys(sides).length > 0),
  ...amounts,
});
/** Of one side alone: before the merge nothing may join the two. */
const pure: fc.Arbitrary<Step> = fc.tuple(mixed, side).map(([step, one]) => ({
  ...step,
  sides: Object.fromEntries(Object.keys(step.sides).map((name) => [name, one])) as Step['sides'],
}));

const story = fc.record({
  before: fc.array(pure, { maxLength: 8 }),
  during: fc.array(mixed, { maxLength: 8 }),
  behind: fc.array(mixed, { maxLength: 6 }),
  since: fc.array(mixed, { maxLength: 6 }),
  later: fc.array(mixed, { maxLength: 6 }),
  isUndo: fc.boolean(),
  byHand: fc.boolean(),
});
type Story = typeof story extends fc.Arbitrary<infer T> ? T : never;

/** The side that an event belongs to: that of its strongest key. */
const sideOf = ({ sides }: Pick<Step, 'sides'>): Side => sides.person ?? sides.contact ?? sides.device!;

class Telling {
  readonly fold = new LogFold(CONFIG);
  /** What each id was first sent with. */
  readonly sent: { readonly shape: EventShape; readonly side: Side }[] = [];
  #now = T0;

  event({ sides, amount, agoS, repeats }: Step): void {
    const again = repeats === undefined ? undefined : this.sent[repeats];
    this.#now += SECOND;
    if (again) {
      this.fold.append(again.shape, this.#now);
      return;
    }
    const keys = Object.fromEntries(
      Object.entries(sides).map(([name, s]) => [name, KEYS_OF[s][name as KeyName]]),
    );
    const id = `m${String(this.sent.length).padStart(3, '0')}`;
    const shape = { id, keys, properties: { amount }, timestampMs: T0 - agoS * SECOND };
    this.sent.push({ shape, side: sideOf({ sides }) });
    this.fold.append(shape, this.#now);
  }

  /** Events, with some shards going on between them. */
  events(steps: readonly Step[]): void {
    for (const step of steps) {
      this.event(step);
      for (const pick of step.applied) this.#applySome(pick);
    }
  }

  #applySome(pick: number): void {
    const waiting = this.fold.waiting();
    if (waiting.length > 0) this.fold.applyNext(waiting[pick % waiting.length]!);
  }

  command(command: Parameters<LogFold['command']>[0], id: string): CommandReply {
    this.#now += SECOND;
    return this.fold.command(command, id, this.#now);
  }

  get nowMs(): number {
    return this.#now;
  }
}

const all = (one: Side): Step => ({
  sides: { person: one, contact: one, device: one },
  amount: 1,
  agoS: 0,
  repeats: undefined,
  applied: [],
});

function tell({ before, during, behind, since, later, isUndo, byHand }: Story): Telling {
  const telling = new Telling();
  const { fold } = telling;
  telling.event(all('a'));
  telling.event(all('b'));
  fold.applyAll();
  telling.events(before);
  fold.applyAll();
  const [a, b] = [fold.holder('person', 'pa')!.id, fold.holder('person', 'pb')!.id];
  if (byHand) telling.command({ kind: 'merge', from: b, into: a }, 'merge');
  else {
    telling.event({ ...all('a'), sides: { person: 'a', device: 'b' } });
    fold.applyAll();
  }
  expect(fold.profiles()).toHaveLength(1);
  const survivor = fold.profiles()[0]!.id;
  telling.events(during);
  const keys = Object.fromEntries(NAMES.map((name) => [name, [KEYS_OF.b[name]]]));
  // Some of these are applied before the split and stand behind it in the log, or the other way round.
  const command = {
    kind: 'split_begin',
    profileId: survivor,
    newProfileId: isUndo ? (survivor === a ? b : a) : 'fresh',
    keys: isUndo ? null : keys,
    reason: 'split',
  } as const;
  const begin = fold.appendCommand(command, 'split', telling.nowMs);
  telling.events(behind);
  if (fold.isWaiting(begin)) fold.applyTo(begin);
  const ids = [survivor, command.newProfileId];
  telling.events(since);
  const upTo = fold.log.length;
  fold.applyAll(upTo);
  telling.events(later);
  const fills = fold.fills('split', ids, upTo);
  expect(fills).toHaveLength(2);
  for (const fill of [...fills, ...fills.toReversed()])
    fold.appendCommand(fill, `fill-${fill.profileId}`, telling.nowMs);
  fold.applyAll();
  return telling;
}

/** What a side's events alone come to: each under one key that stands for the side. */
function alone(one: Side, sent: Telling['sent'], nowMs: number) {
  const fold = new ProfileFold(CONFIG, { throughCodec: false });
  for (const { shape, side: owner } of sent) {
    if (owner === one) fold.send({ ...shape, keys: { person: one } }, nowMs);
  }
  fold.ringUntil(nowMs);
  return fold.view('person', one, nowMs);
}

/** Members of each audience as the shards have counted them. */
function sizes(fold: ProfileFold): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let shard = 0; shard < 8; shard++) {
    const members = fold.records.get(recordKeys.members(shard)) as Members | undefined;
    for (const [name, [count]] of Object.entries(members?.audiences ?? {}))
      counts[name] = (counts[name] ?? 0) + count;
  }
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 0));
}

describe('a split', () => {
  it('gives both what the events of their own keys made, each once', () => {
    fc.assert(
      fc.property(story, (told) => {
        const { fold, sent, nowMs } = tell(told);
        fold.ringUntil(nowMs);
        const members: Record<string, number> = {};
        for (const one of ['a', 'b'] as const) {
          const held = fold.holder('person', KEYS_OF[one].person)!;
          expect(keyTexts(held)).toEqual(NAMES.map((name) => `${name}:${KEYS_OF[one][name]}`).sort());
          const { attributes, audiences } = fold.view('person', KEYS_OF[one].person, nowMs);
          const expected = alone(one, sent, nowMs);
          expect(attributes).toEqual(expected.attributes);
          expect([...audiences].sort()).toEqual([...expected.audiences].sort());
          for (const name of audiences) members[name] = (members[name] ?? 0) + 1;
          expect(held.rebuilding).toBeUndefined();
        }
        expect(sizes(fold)).toEqual(members);
        expect(fold.profiles()).toHaveLength(2);
        expect(fold.contradictions()).toEqual([]);
      }),
      RUNS,
    );
  });

  it('of one key gives that key the events that it decided alone', () => {
    fc.assert(
      fc.property(fc.array(mixed, { maxLength: 12 }), fc.array(mixed, { maxLength: 6 }), (before, later) => {
        const telling = new Telling();
        const { fold } = telling;
        telling.event({ ...all('a'), sides: { person: 'a', contact: 'a' } });
        telling.event({ ...all('a'), sides: { person: 'a', device: 'b' } });
        fold.applyAll();
        const onlyOne = ({ sides }: Step): Step['sides'] => {
          const { person, contact, device } = sides;
          return {
            ...(person && { person: 'a' }),
            ...(contact && { contact: 'a' }),
            ...(device && { device: 'b' }),
          };
        };
        telling.events(before.map((step) => ({ ...step, sides: onlyOne(step) })));
        const whole = fold.holder('person', 'pa')!.id;
        const begin = { kind: 'split_begin', profileId: whole, newProfileId: 'one' } as const;
        fold.split({ ...begin, keys: { device: ['db'] }, reason: 'removed' }, 'split', telling.nowMs);
        telling.events(later.map((step) => ({ ...step, sides: onlyOne(step) })));
        fold.applyAll();
        const now = telling.nowMs;
        expect(fold.view('person', 'pa', now).attributes).toEqual(alone('a', telling.sent, now).attributes);
        if (telling.sent.some((event) => event.side === 'b'))
          expect(fold.view('device', 'db', now).attributes).toEqual(alone('b', telling.sent, now).attributes);
        expect(keyTexts(fold.resolve('one')!)).toEqual(['device:db']);
      }),
      RUNS,
    );
  });
});

describe('after a split', () => {
  it('old events that come again join nothing and count nothing', () => {
    fc.assert(
      fc.property(story, fc.array(fc.nat({ max: 40 }), { maxLength: 20 }), (told, picks) => {
        const telling = tell(told);
        const { fold, sent } = telling;
        const now = telling.nowMs + MINUTE;
        const shown = () => ['pa', 'pb'].map((value) => fold.view('person', value, now).attributes);
        const before = shown();
        for (const pick of picks) fold.now(sent[pick % sent.length]!.shape, now);
        expect(shown()).toEqual(before);
        expect(fold.profiles()).toHaveLength(2);
      }),
      { numRuns: 60 },
    );
  });
});
