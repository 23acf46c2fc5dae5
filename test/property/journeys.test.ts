// Journeys against a naive reading of the same steps, minute by minute over the whole stream, which shares no code with the
// engine: random steps, events in order or late, repeats, clocks that ring late.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { configOf, MINUTE, ProfileFold, T0 } from '../unit/profile/harness.ts';

type Step =
  | { readonly wait: number }
  | { readonly until: 'Opened' | 'Clicked'; readonly atMost: number }
  | { readonly activate: 'mail' | 'push' }
  | { readonly decide: number; readonly yes: readonly Step[]; readonly otherwise: readonly Step[] };

const activate = fc.constantFrom('mail' as const, 'push' as const).map((name): Step => ({ activate: name }));
const wait = fc.integer({ min: 1, max: 40 }).map((minutes): Step => ({ wait: minutes }));
const until = fc.record({
  until: fc.constantFrom('Opened' as const, 'Clicked' as const),
  atMost: fc.integer({ min: 1, max: 60 }),
});
const flat = fc.array(fc.oneof(activate, wait, until as fc.Arbitrary<Step>), { maxLength: 4 });
const decide = fc.record({ decide: fc.integer({ min: 0, max: 4 }), yes: flat, otherwise: flat });
const steps = fc.array(fc.oneof(activate, wait, until as fc.Arbitrary<Step>, decide as fc.Arbitrary<Step>), {
  minLength: 1,
  maxLength: 6,
});

interface Sent {
  readonly name: 'Added' | 'Ordered' | 'Opened' | 'Clicked';
  /** Minutes after T0 at which it comes, and how many it is late. */
  readonly comes: number;
  readonly late: number;
  readonly again: boolean;
}
const sent: fc.Arbitrary<Sent> = fc.record({
  name: fc.constantFrom('Added', 'Added', 'Ordered', 'Opened', 'Clicked'),
  comes: fc.integer({ min: 0, max: 300 }),
  late: fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 30 })),
  again: fc.boolean(),
});
const reentry = fc.constantFrom('never', 'unless_goal', 'always');

function yamlOf(all: readonly Step[], mode: string): string {
  const write = (list: readonly Step[]): string =>
    `[${list
      .map((step) => {
        if ('wait' in step) return `{ wait: ${step.wait}m }`;
        if ('until' in step)
          return `{ wait: { until: { on: ${step.until.toLowerCase()} }, at_most: ${step.atMost}m } }`;
        if ('activate' in step) return `{ activate: ${step.activate} }`;
        return `{ decide: [{ when: 'profile.adds >= ${step.decide}', steps: ${write(step.yes)} }, { else: ${write(step.otherwise)} }] }`;
      })
      .join(', ')}]`;
  return `events:
  - { name: added, when: 'event.name == "Added"' }
  - { name: ordered, when: 'event.name == "Ordered"' }
  - { name: opened, when: 'event.name == "Opened"' }
  - { name: clicked, when: 'event.name == "Clicked"' }
attributes: [{ name: adds, type: counter, total: true, on: added }]
activations: [{ name: mail }, { name: push }]
journeys:
  - { name: trip, enter: { on: added }, reentry: ${mode}, goal: { on: ordered }, steps: ${write(all)} }
`;
}

interface Event {
  readonly id: string;
  readonly name: Sent['name'];
  readonly comes: number;
  readonly at: number;
}

/** Whoever is inside, as a list of what is still to be done. */
interface Inside {
  readonly entry: Event;
  rest: readonly Step[];
  /** Minute at which the present wait ends. */
  due: number;
}

const isAfter = (a: Event, b: Event) => a.at > b.at || (a.at === b.at && a.id > b.id);

/** Activations by minute, read naively. */
function expected(
  all: readonly Step[],
  mode: string,
  events: readonly Event[],
  lastMinute: number,
): readonly string[] {
  const told: string[] = [];
  let inside: Inside | undefined;
  let [entered, reached, adds] = [0, false, 0];
  let newestEnd: Event | undefined;
  const go = (moment: number, now: number) => {
    while (inside) {
      const [step, ...rest] = inside.rest;
      if (!step) {
        inside = undefined;
        return;
      }
      if ('activate' in step) {
        told.push(`${step.activate} ${now}`);
        inside.rest = rest;
      } else if ('decide' in step) {
        inside.rest = [...(adds >= step.decide ? step.yes : step.otherwise), ...rest];
      } else {
        inside.due = moment + ('wait' in step ? step.wait : step.atMost);
        return;
      }
    }
  };
  const next = (moment: number, now: number) => {
    inside!.rest = inside!.rest.slice(1);
    go(moment, now);
  };
  const waits = () => {
    while (inside && inside.due <= minute) next(inside.due, minute);
  };
  const seen = new Set<string>();
  let minute = 0;
  for (; minute <= lastMinute; minute++) {
    waits();
    for (const event of events.filter(({ comes }) => comes === minute)) {
      if (seen.has(event.id)) continue;
      seen.add(event.id);
      if (event.name === 'Added') adds += 1;
      if (event.name === 'Ordered') {
        if (!newestEnd || isAfter(event, newestEnd)) newestEnd = event;
        if (inside && isAfter(event, inside.entry)) {
          inside = undefined;
          reached = true;
        }
      } else if (inside) {
        const step = inside.rest[0];
        if (step && 'until' in step && step.until === event.name && isAfter(event, inside.entry))
          next(minute, minute);
      } else if (event.name === 'Added') {
        const may = mode === 'always' || (mode === 'never' ? entered === 0 : !reached);
        if (may && (!newestEnd || isAfter(event, newestEnd))) {
          entered += 1;
          inside = { entry: event, rest: all, due: 0 };
          go(minute, minute);
        }
      }
      waits();
    }
  }
  return told;
}

it('activates what a naive reading of its steps does, at the same minutes', () => {
  let activated = 0;
  fc.assert(
    fc.property(steps, reentry, fc.array(sent, { minLength: 1, maxLength: 14 }), (all, mode, stream) => {
      const inOrder = [...stream].sort((a, b) => a.comes - b.comes);
      const events = inOrder.flatMap(({ name, comes, late, again }, i): readonly Event[] => {
        const event = { id: `m${String(i).padStart(2, '0')}`, name, comes, at: comes - late };
        return again ? [event, { ...event, comes: comes + 3 }] : [event];
      });
      events.sort((a, b) => a.comes - b.comes);
      const fold = new ProfileFold(configOf(yamlOf(all, mode)));
      for (const { id, name, comes, at } of events) {
        fold.ringUntil(T0 + comes * MINUTE);
        const shape = { id, name, keys: { device: 'd1' }, timestampMs: T0 + at * MINUTE };
        fold.send(shape, T0 + comes * MINUTE);
      }
      const last = 303 + 7 * 100;
      fold.ringUntil(T0 + last * MINUTE);
      const told = fold.activations().map(({ name, at }) => `${name} ${(Date.parse(at) - T0) / MINUTE}`);
      activated += told.length;
      expect(told).toEqual(expected(all, mode, events, last));
      expect(new Set(fold.activations().map(({ id }) => id)).size).toBe(told.length);
    }),
    { numRuns: 250 },
  );
  expect(activated).toBeGreaterThan(100);
}, 60_000);
