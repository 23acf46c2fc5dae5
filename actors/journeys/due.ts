// When journeys go on by time alone.
import type { JourneyRule } from './compile.ts';
import type { JourneyState, Journeys } from './states.ts';

/** When a journey next goes on by time alone; undefined: never. */
export function nextDue(
  journeys: Journeys,
  rules: { readonly byDef: ReadonlyMap<string, JourneyRule> },
): number | undefined {
  let next: number | undefined;
  for (const state of Object.values(journeys)) {
    const due = dueOf(state, rules.byDef.get(state.def));
    if (due !== undefined && (next === undefined || due < next)) next = due;
  }
  return next;
}

/** Of one; also when it is over because nothing went on. */
export function dueOf(state: JourneyState, rule: JourneyRule | undefined): number | undefined {
  const stale = rule?.staleMs === undefined ? undefined : state.movedMs + rule.staleMs;
  if (state.dueMs === null) return stale;
  return stale === undefined ? state.dueMs : Math.min(state.dueMs, stale);
}
