// Attributes and audiences against a count by brute force over the raw events, which shares no code with the engine: events
// in any order, sent again, of visitors that turn out to be one person, looked at while time passes, under any config.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isAttributeState } from '../../actors/attributes/check-state.ts';
import type { Members } from '../../actors/profile/profile.ts';
import { recordKeys } from '../../shared/contract/names.ts';
import { configOf, HOUR, MINUTE, ProfileFold, T0 } from '../unit/profile/harness.ts';

/** What differs from config to config; times in minutes. */
interface Settings {
  /** Shortest first. */
  readonly windows: readonly number[];
  readonly spendWindow: number;
  readonly kindsWindow: number;
  readonly pageTtl: number;
  readonly recentMax: number;
  readonly cartTtl: number;
  readonly gap: number;
  readonly enough: number;
}

const settings: fc.Arbitrary<Settings> = fc.record({
  windows: fc
    .uniqueArray(fc.constantFrom(1, 7, 10, 45, 60, 90, 240, 1440, 10_080), { minLength: 1, maxLength: 5 })
    .map((list) => [...list].sort((a, b) => a - b)),
  spendWindow: fc.constantFrom(3, 60, 120, 480),
  kindsWindow: fc.constantFrom(5, 60, 100),
  pageTtl: fc.constantFrom(2, 180, 600),
  recentMax: fc.integer({ min: 1, max: 6 }),
  cartTtl: fc.constantFrom(9, 240, 2880),
  gap: fc.constantFrom(1, 30, 60, 400),
  enough: fc.integer({ min: 1, max: 4 }),
});

const nameOf = (minutes: number) => `${minutes}m`;
const lists = (minutes: readonly number[]) => `[${minutes.map(nameOf).join(', ')}]`;

const configFor = (p: Settings) =>
  configOf(
    `events:
  - { name: viewed, when: 'event.name == "Viewed"' }
  - { name: added, when: 'event.name == "Added"' }
  - { name: removed, when: 'event.name == "Removed"' }
  - { name: bought, when: 'event.name == "Bought"' }
  - { name: any, when: 'true' }
attributes:
  - { name: last_page, type: single, on: viewed, value: event.properties.v, ttl: ${nameOf(p.pageTtl)} }
  - { name: first_page, type: single, on: viewed, value: event.properties.v, keep: first }
  - { name: views, type: counter, on: viewed, total: true, windows: ${lists(p.windows)} }
  - { name: spend, type: counter, on: bought, total: true, by: event.properties.v, windows: ${lists([p.spendWindow])} }
  - { name: kinds, type: counter, on: any, distinct: event.name, total: true, windows: ${lists([p.kindsWindow, 3 * p.kindsWindow])} }
  - { name: least, type: min, on: bought, value: event.properties.v }
  - { name: most, type: max, on: bought, value: event.properties.v }
  - { name: mean, type: avg, on: bought, value: event.properties.v }
  - { name: favourite, type: most_frequent, on: any, value: event.properties.v }
  - { name: visit, type: session, gap: ${nameOf(p.gap)}, entry: event.name, aggregate: { visit_views: { count: viewed }, visit_events: { count: all } } }
  - { name: recent, type: list, on: viewed, id: event.properties.v, max: ${p.recentMax}, merge: union }
  - { name: cart, type: list, on: added, id: event.properties.v, fields: { price: event.properties.v }, ttl: ${nameOf(p.cartTtl)}, remove: [{ on: removed, id: event.properties.v }], clear: [{ on: bought }], aggregate: { cart_total: { sum: item.price }, cart_size: { count: all } } }
  - { name: per_view, type: computed, value: 'double(profile.cart_size) / double(profile.views["${nameOf(p.windows.at(-1)!)}"])' }
audiences:
  - { name: browsing, when: 'profile.views["${nameOf(p.windows[0]!)}"] >= ${p.enough}.0' }
  - { name: with_cart, when: 'profile.cart_size > 0' }
  - { name: visiting, when: 'profile.visit.active && profile.visit_events >= ${p.enough}' }
  - { name: on_three, when: 'profile.last_page == 3.0' }
`,
    `keys:
    - { name: person, kind: person }
    - { name: device, kind: device }`,
  );

interface Raw {
  readonly id: string;
  readonly name: string;
  readonly v: number;
  /** Event time and log time, ms after T0. */
  readonly at: number;
  readonly comes: number;
  readonly device: number;
  readonly person: number | undefined;
}

const SPAN = 8 * HOUR;
const FUTURE_MAX = 5 * MINUTE;

/** Mostly whole minutes, so that edges of windows and visits are met. */
const ms = (min: number, max: number) =>
  fc.oneof(
    { weight: 4, arbitrary: fc.integer({ min: min / MINUTE, max: max / MINUTE }).map((n) => n * MINUTE) },
    { weight: 1, arbitrary: fc.integer({ min, max }) },
  );

const raw = fc.record({
  name: fc.constantFrom('Viewed', 'Viewed', 'Added', 'Removed', 'Bought', 'Else'),
  v: fc.integer({ min: 1, max: 5 }),
  comes: ms(0, SPAN),
  late: fc.oneof(fc.constant(0), ms(0, 90 * MINUTE), ms(-10 * MINUTE, 0)),
  device: fc.integer({ min: 0, max: 3 }),
  person: fc.option(fc.integer({ min: 0, max: 1 }), { nil: undefined, freq: 4 }),
  again: fc.boolean(),
});

const streams = fc.array(raw, { minLength: 1, maxLength: 40 }).map((list) => {
  const sorted = [...list].sort((a, b) => a.comes - b.comes);
  const sent = sorted.map(({ late, again, ...rest }, i) => ({
    ...rest,
    id: `m${String(i).padStart(2, '0')}`,
    at: rest.comes - late,
    again,
  }));
  const repeats = sent.filter(({ again }) => again).map((one) => ({ ...one, comes: one.comes + 7 * MINUTE }));
  return [...sent, ...repeats].sort((a, b) => a.comes - b.comes);
});

// The count by brute force.

type Values = Record<string, unknown>;
const timeOf = ({ at, comes }: Raw) => T0 + Math.min(at, comes + FUTURE_MAX);
const newestFirst = (a: Raw, b: Raw) => timeOf(b) - timeOf(a) || (a.id < b.id ? 1 : -1);
const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);

function inWindow(event: Raw, windowMs: number, bucketMs: number, now: number): boolean {
  return (Math.floor(timeOf(event) / bucketMs) + 1) * bucketMs > now - windowMs;
}

function expectedOf(events: readonly Raw[], now: number, p: Settings): Values {
  const named = (name: string) => events.filter((event) => event.name === name).sort(newestFirst);
  const [views, bought] = [named('Viewed'), named('Bought')];
  const within = (list: readonly Raw[], ms: number) =>
    list.filter((event) => inWindow(event, ms, ms / 60, now));
  // The finer of two windows says how exact both are.
  const kindsIn = (minutes: number) =>
    new Set(
      events
        .filter((event) => inWindow(event, minutes * MINUTE, (p.kindsWindow * MINUTE) / 60, now))
        .map(({ name }) => name),
    ).size;
  const paid = bought.map(({ v }) => v);
  const values: Values = {
    views: {
      ...Object.fromEntries(p.windows.map((m) => [nameOf(m), within(views, m * MINUTE).length])),
      total: views.length,
    },
    spend: {
      [nameOf(p.spendWindow)]: sum(within(bought, p.spendWindow * MINUTE).map(({ v }) => v)),
      total: sum(paid),
    },
    kinds: {
      [nameOf(p.kindsWindow)]: kindsIn(p.kindsWindow),
      [nameOf(3 * p.kindsWindow)]: kindsIn(3 * p.kindsWindow),
      total: new Set(events.map(({ name }) => name)).size,
    },
    favourite: favouriteOf(events),
    ...visitOf(events, now, p.gap * MINUTE),
    recent: { items: recentOf(views, p.recentMax) },
    ...cartOf(events, now, p.cartTtl * MINUTE),
  };
  if (views[0] && timeOf(views[0]) + p.pageTtl * MINUTE > now) values.last_page = views[0].v;
  if (views.length > 0) values.first_page = views.at(-1)!.v;
  if (paid.length > 0) {
    values.least = Math.min(...paid);
    values.most = Math.max(...paid);
    values.mean = sum(paid) / paid.length;
  }
  const shown = within(views, p.windows.at(-1)! * MINUTE).length;
  if (shown > 0) values.per_view = (values.cart_size as number) / shown;
  return values;
}

function favouriteOf(events: readonly Raw[]): number {
  const of = (v: number) => events.filter((event) => event.v === v);
  const ranked = [1, 2, 3, 4, 5].filter((v) => of(v).length > 0);
  ranked.sort(
    (a, b) =>
      of(b).length - of(a).length || Math.max(...of(b).map(timeOf)) - Math.max(...of(a).map(timeOf)) || a - b,
  );
  return ranked[0]!;
}

function visitOf(events: readonly Raw[], now: number, gapMs: number): Values {
  const inOrder = [...events].sort((a, b) => -newestFirst(a, b));
  const visits: Raw[][] = [];
  for (const event of inOrder) {
    const last = visits.at(-1)?.at(-1);
    if (last && timeOf(event) - timeOf(last) <= gapMs) visits.at(-1)!.push(event);
    else visits.push([event]);
  }
  const visit = visits.at(-1)!;
  const [start, last] = [timeOf(visit[0]!), timeOf(visit.at(-1)!)];
  const active = now - last <= gapMs;
  return {
    visit: {
      number: visits.length,
      active,
      start: new Date(start).toISOString(),
      last: new Date(last).toISOString(),
      seconds: (last - start) / 1000,
      events: visit.length,
      entry: visit[0]!.name,
    },
    visit_views: active ? visit.filter(({ name }) => name === 'Viewed').length : 0,
    visit_events: active ? visit.length : 0,
  };
}

function recentOf(views: readonly Raw[], max: number): readonly Values[] {
  const newest = views.filter((event, i) => views.findIndex(({ v }) => v === event.v) === i);
  return newest
    .slice(0, max)
    .reverse()
    .map((event) => ({ id: String(event.v), at: new Date(timeOf(event)).toISOString() }));
}

function cartOf(events: readonly Raw[], now: number, ttlMs: number): Values {
  const newestFirstOf = (name: string, v?: number) =>
    events.filter((event) => event.name === name && (v === undefined || event.v === v)).sort(newestFirst)[0];
  const cleared = newestFirstOf('Bought');
  const items = [1, 2, 3, 4, 5].flatMap((v) => {
    const added = newestFirstOf('Added', v);
    const removed = newestFirstOf('Removed', v);
    if (!added || timeOf(added) <= now - ttlMs) return [];
    if (removed && newestFirst(removed, added) < 0) return [];
    return cleared && newestFirst(cleared, added) < 0 ? [] : [added];
  });
  items.sort((a, b) => -newestFirst(a, b));
  const cart_total = sum(items.map(({ v }) => v));
  const shown = items.map((event) => ({
    id: String(event.v),
    price: event.v,
    at: new Date(timeOf(event)).toISOString(),
  }));
  return { cart: { items: shown, cart_total, cart_size: items.length }, cart_total, cart_size: items.length };
}

function audiencesExpected(values: Values, { windows, enough }: Settings): string[] {
  const { views, visit, visit_events, cart_size, last_page } = values as {
    views: Record<string, number>;
    visit: { active: boolean };
    visit_events: number;
    cart_size: number;
    last_page?: number;
  };
  return [
    ...(views[nameOf(windows[0]!)]! >= enough ? ['browsing'] : []),
    ...(last_page === 3 ? ['on_three'] : []),
    ...(visit.active && visit_events >= enough ? ['visiting'] : []),
    ...(cart_size > 0 ? ['with_cart'] : []),
  ];
}

/** Events of each person: those whose keys are connected. */
function people(events: readonly Raw[]): ReadonlyMap<number, readonly Raw[]> {
  const groups: { devices: Set<number>; persons: Set<number>; events: Raw[] }[] = [];
  for (const event of events) {
    const touching = groups.filter(
      ({ devices, persons }) =>
        devices.has(event.device) || (event.person !== undefined && persons.has(event.person)),
    );
    const joined = {
      devices: new Set([event.device, ...touching.flatMap(({ devices }) => [...devices])]),
      persons: new Set([
        ...(event.person === undefined ? [] : [event.person]),
        ...touching.flatMap(({ persons }) => [...persons]),
      ]),
      events: [...touching.flatMap((group) => group.events), event],
    };
    for (const group of touching) groups.splice(groups.indexOf(group), 1);
    groups.push(joined);
  }
  return new Map(
    groups.flatMap((group) => [...group.devices].map((device) => [device, group.events] as const)),
  );
}

function once(events: readonly Raw[]): readonly Raw[] {
  return events.filter((event, i) => events.findIndex(({ id }) => id === event.id) === i);
}

describe('attributes and audiences', () => {
  it('are what a count of all events by brute force says, at any time', () => {
    fc.assert(
      fc.property(settings, streams, fc.array(ms(0, 6 * HOUR), { maxLength: 3 }), (p, stream, later) => {
        const fold = new ProfileFold(configFor(p));
        const sent: Raw[] = [];
        const look = (now: number) => {
          fold.ringUntil(now);
          const byDevice = people(once(sent));
          const sizes: Record<string, number> = {};
          const counted = new Set<string>();
          for (const [device, events] of byDevice) {
            const view = fold.view('device', `d${device}`, now);
            const expected = expectedOf(events, now, p);
            expect(view.attributes).toEqual(expected);
            // What a profile keeps can travel in a command.
            for (const state of Object.values(fold.holder('device', `d${device}`)!.attributes))
              expect(isAttributeState(JSON.parse(JSON.stringify(state)))).toBe(true);
            const audiences = audiencesExpected(expected, p);
            expect([...view.audiences].sort()).toEqual(audiences);
            if (counted.has(view.id)) continue;
            counted.add(view.id);
            for (const name of audiences) sizes[name] = (sizes[name] ?? 0) + 1;
          }
          const members = fold.records.get(recordKeys.members(0)) as Members | undefined;
          const stored = Object.entries(members?.audiences ?? {}).map(
            ([name, [count]]) => [name, count] as const,
          );
          expect(Object.fromEntries(stored.filter(([, count]) => count !== 0))).toEqual(sizes);
        };
        for (const [i, event] of stream.entries()) {
          const { id, name, v, at, comes, device, person } = event;
          const keys = { device: `d${device}`, ...(person !== undefined && { person: `p${person}` }) };
          fold.ringUntil(T0 + comes);
          fold.send({ id, name, keys, properties: { v }, timestampMs: T0 + at }, T0 + comes);
          sent.push(event);
          if (i % 7 === 0) look(T0 + comes);
        }
        const end = T0 + stream.at(-1)!.comes;
        look(end);
        for (const ms of [...later].sort((a, b) => a - b)) look(end + ms);
      }),
      { numRuns: 300 },
    );
  }, 60_000);
});
