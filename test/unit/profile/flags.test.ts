// What is told of an event's own time, and of expressions that fail on it: counted when it is committed, each once.
import { expect, it } from 'vitest';
import type { Sent } from '../../support/fold.ts';
import { configOf, HOUR, MINUTE, ProfileFold, T0 } from './harness.ts';

const CONFIG = configOf(`events:
  - { name: viewed, when: 'event.name == "Viewed"' }
  - { name: odd, when: 'event.properties.n + 1 > "x".size()' }
attributes:
  - { name: views, type: counter, on: viewed, windows: [1h, 7d] }
`);

function flagsOf(sent: Sent): readonly string[] {
  if (sent.kind !== 'applied') throw new Error(sent.kind);
  return (sent.apply.counts ?? []).filter(({ kind }) => kind === 'event').map(({ reason }) => reason);
}

function fold(): ProfileFold {
  const made = new ProfileFold(CONFIG);
  made.send({ timestampMs: T0 });
  return made;
}

it('an event within its windows is not flagged', () => {
  expect(flagsOf(fold().send({ timestampMs: T0 - 59 * MINUTE }))).toEqual([]);
  expect(flagsOf(fold().send({ name: 'Other', timestampMs: T0 - 50 * HOUR }))).toEqual([]);
});

it('one that comes too late for a window is late', () => {
  const made = fold();
  expect(flagsOf(made.send({ timestampMs: T0 - 61 * MINUTE }))).toEqual(['late']);
  expect(made.view('device', 'd1').attributes.views).toEqual({ '1h': 1, '7d': 2 });
});

it('one from a clock that is ahead is cut to five minutes, and flagged', () => {
  const made = fold();
  expect(flagsOf(made.send({ timestampMs: T0 + 4 * MINUTE }))).toEqual([]);
  expect(flagsOf(made.send({ timestampMs: T0 + 6 * HOUR }))).toEqual(['clock_ahead']);
});

it('an expression that fails is counted; a repeat of the event is not', () => {
  const made = fold();
  const event = { id: 'm1', name: 'Other', properties: { n: 'text' } };
  expect(flagsOf(made.send(event))).toEqual(['condition_failed']);
  expect(flagsOf(made.send(event))).toEqual([]);
});
