// Caps, quiet hours, consent and priorities against a naive reading of the same rules, minute by minute over the whole stream,
// which shares no code with the engine: random rules and zones, two devices that become one, clocks changed in the night.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { configOf, MINUTE, ProfileFold } from '../unit/profile/harness.ts';

const ZONES = ['UTC', 'Europe/Berlin', 'America/New_York', 'Asia/Kolkata'] as const;
/** Some hours before clocks are changed in Berlin, in spring and in autumn, and on a day like any other. */
const BEGINNINGS = [Date.UTC(2026, 2, 28, 18), Date.UTC(2026, 9, 24, 18), Date.UTC(2026, 5, 1, 18)] as const;

interface Rules {
  readonly capA: readonly [count: number, minutes: number] | null;
  readonly capChannel: readonly [count: number, minutes: number] | null;
  readonly quietA: readonly [from: string, to: string] | null;
  readonly quietChannel: readonly [from: string, to: string] | null;
  readonly consent: boolean;
  readonly priorityA: number;
  readonly priorityB: number;
}
interface Happens {
  readonly minute: number;
  readonly what: 'a' | 'b' | 'both' | 'consent' | 'refuse' | 'join';
  readonly device: 0 | 1;
}
interface Person {
  readonly let: { readonly minute: number; readonly name: 'a' | 'b' }[];
  held: { readonly due: number; readonly name: 'a' | 'b'; readonly id: string }[];
  /** Last said, and when. */
  consent: readonly [minute: number, said: boolean] | null;
}

const cap = fc.option(fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 5, max: 900 })));
const clock = fc.constantFrom(
  '00:30',
  '02:15',
  '02:30',
  '03:00',
  '06:00',
  '08:00',
  '12:00',
  '21:00',
  '23:45',
);
const quiet = fc.option(fc.tuple(clock, clock).filter(([from, to]) => from !== to));
/** Both together leave some hours of every day. */
function leavesTime({ quietA, quietChannel }: Rules): boolean {
  const minutes = ([from, to]: readonly [string, string]) => {
    const [begin, end] = [from, to].map((time) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3)));
    return begin! < end! ? end! - begin! : 1440 - begin! + end!;
  };
  return (quietA ? minutes(quietA) : 0) + (quietChannel ? minutes(quietChannel) : 0) < 1200;
}

const rules: fc.Arbitrary<Rules> = fc
  .record({
    ...{ capA: cap, capChannel: cap, quietA: quiet, quietChannel: quiet, consent: fc.boolean() },
    ...{ priorityA: fc.integer({ min: 0, max: 2 }), priorityB: fc.integer({ min: 0, max: 2 }) },
  })
  .filter(leavesTime);
const happens: fc.Arbitrary<Happens> = fc.record({
  minute: fc.integer({ min: 0, max: 2000 }),
  what: fc.constantFrom('a', 'a', 'b', 'b', 'both', 'both', 'both', 'consent', 'consent', 'refuse', 'join'),
  device: fc.constantFrom(0, 1),
});

function yamlOf(r: Rules): string {
  const quoted = (hours: readonly [string, string] | null) =>
    hours ? `, quiet_hours: { from: '${hours[0]}', to: '${hours[1]}', zone: '{{ profile.time_zone }}' }` : '';
  const capped = (limit: Rules['capA']) => (limit ? `, frequency_cap: ${limit[0]}/${limit[1]}m` : '');
  const consent = r.consent ? `, consent: 'profile.agreed == true'` : '';
  return `events:
  - { name: hit_a, when: 'event.name == "A" || event.name == "Both"' }
  - { name: hit_b, when: 'event.name == "B" || event.name == "Both"' }
  - { name: said, when: 'event.name == "Said"' }
  - { name: any, when: 'true' }
attributes:
  - { name: agreed, type: single, on: said, value: event.properties.agreed }
  - { name: time_zone, type: single, on: any, value: event.properties.zone }
channels: [{ name: mail${capped(r.capChannel)}${quoted(r.quietChannel)}${consent} }]
activations:
  - { name: a, channel: mail${capped(r.capA)}${quoted(r.quietA)} }
  - { name: b, channel: mail }
triggers:
  - { name: on_a, on: hit_a, activate: a, priority: ${r.priorityA} }
  - { name: on_b, on: hit_b, activate: b, priority: ${r.priorityB} }
`;
}

/** The time on the wall, as people read it. */
function wall(ms: number, zone: string): string {
  return new Date(ms).toLocaleTimeString('en-GB', { timeZone: zone, hour: '2-digit', minute: '2-digit' });
}

function isQuiet(minute: number, name: 'a' | 'b', r: Rules, zone: string, beginMs: number): boolean {
  const now = wall(beginMs + minute * MINUTE, zone);
  const within = (hours: readonly [string, string] | null) =>
    hours !== null &&
    (hours[0] < hours[1] ? now >= hours[0] && now < hours[1] : now >= hours[0] || now < hours[1]);
  return within(r.quietChannel) || (name === 'a' && within(r.quietA));
}

/** What is let out, read naively: `<minute> <activation>`. */
function expected(all: readonly Happens[], r: Rules, zone: string, beginMs: number, end: number): string[] {
  const persons: Person[] = [0, 1].map(() => ({ let: [], held: [], consent: null }));
  const told: string[] = [];
  const priority = { a: r.priorityA, b: r.priorityB };
  const attempt = (person: Person, minute: number, wanted: readonly { name: 'a' | 'b'; id: string }[]) => {
    for (const { name, id } of [...wanted].sort((x, y) => priority[y.name] - priority[x.name])) {
      if (r.consent && person.consent?.[1] !== true) continue;
      if (isQuiet(minute, name, r, zone, beginMs)) {
        let due = minute;
        while (isQuiet(due, name, r, zone, beginMs)) due += 1;
        person.held.push({ due, name, id });
        continue;
      }
      const recent = (minutes: number, names: string) =>
        person.let.filter((one) => names.includes(one.name) && one.minute > minute - minutes).length;
      if (r.capA && name === 'a' && recent(r.capA[1], 'a') >= r.capA[0]) continue;
      if (r.capChannel && recent(r.capChannel[1], 'ab') >= r.capChannel[0]) continue;
      person.let.push({ minute, name });
      told.push(`${minute} ${name}`);
    }
  };
  for (let minute = 0; minute <= end; minute++) {
    for (const person of new Set(persons)) {
      const due = person.held.filter((held) => held.due <= minute);
      person.held = person.held.filter((held) => held.due > minute);
      attempt(person, minute, due);
    }
    all.forEach(({ minute: at, what, device }, i) => {
      if (at !== minute) return;
      let person = persons[device]!;
      if (what === 'join' && persons[0] !== persons[1]) {
        const [x, y] = persons as [Person, Person];
        const consents = [x.consent, y.consent].filter((one) => one !== null);
        person = {
          let: [...x.let, ...y.let],
          // The survivor's first.
          held: [...x.held, ...y.held],
          consent: consents.sort((p, q) => q[0] - p[0])[0] ?? null,
        };
        persons[0] = persons[1] = person;
      }
      if (what === 'consent' || what === 'refuse') person.consent = [minute, what === 'consent'];
      const names = what === 'both' ? (['a', 'b'] as const) : what === 'a' || what === 'b' ? [what] : [];
      attempt(
        person,
        minute,
        names.map((name) => ({ name, id: `${i}${name}` })),
      );
    });
  }
  return told;
}

const NAMES = { a: 'A', b: 'B', both: 'Both', consent: 'Said', refuse: 'Said', join: 'Joined' } as const;

it('let out what a naive reading of the rules lets out, at the same minutes', () => {
  const met = { sent: 0, held: 0, capped: 0, no_consent: 0, merged: 0 };
  fc.assert(
    fc.property(
      rules,
      fc.constantFrom(...ZONES),
      fc.constantFrom(...BEGINNINGS),
      fc.uniqueArray(happens, { selector: ({ minute }) => minute, minLength: 3, maxLength: 25 }),
      (r, zone, beginMs, stream) => {
        const all = [...stream].sort((x, y) => x.minute - y.minute);
        const fold = new ProfileFold(configOf(yamlOf(r)));
        all.forEach(({ minute, what, device }, i) => {
          const nowMs = beginMs + minute * MINUTE;
          fold.ringUntil(nowMs);
          const keys = what === 'join' ? { customer_id: 'c', device: 'd0' } : { device: `d${device}` };
          const properties = { zone, ...(NAMES[what] === 'Said' && { agreed: what === 'consent' }) };
          const shape = { name: NAMES[what], properties, timestampMs: nowMs };
          fold.send({ ...shape, id: `m${i}`, keys }, nowMs);
          // The other device signs in as the same customer, in the same minute.
          if (what === 'join')
            fold.send({ ...shape, id: `m${i}x`, keys: { customer_id: 'c', device: 'd1' } }, nowMs);
        });
        const end = 2000 + 3 * 1440;
        fold.ringUntil(beginMs + end * MINUTE);
        const told = fold
          .activations()
          .map(({ name, at }) => `${(Date.parse(at) - beginMs) / MINUTE} ${name}`);
        expect([...told].sort()).toEqual(expected(all, r, zone, beginMs, end).sort());
        expect(new Set(fold.activations().map(({ id }) => id)).size).toBe(told.length);
        expect(fold.profiles().flatMap(({ sending }) => sending?.held ?? [])).toEqual([]);
        met.sent += told.length;
        met.held += fold.facts('activation_held').length;
        met.merged += fold.redirects().length;
        for (const { reason } of fold.facts('activation_suppressed')) met[reason as 'capped'] += 1;
      },
    ),
    { numRuns: 300 },
  );
  for (const [what, times] of Object.entries(met)) expect(times, what).toBeGreaterThan(50);
}, 60_000);
