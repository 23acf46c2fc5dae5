// How many profiles stand at each step of each journey: counted in the commit itself, by shard.
import type { AuditFact } from '../../shared/contract/outbox.ts';
import type { Journeys } from '../journeys/states.ts';
import type { Draft } from './draft.ts';
import type { Members, Profile, Redirect } from './profile.ts';

export interface JourneyMove {
  readonly journey: string;
  readonly step: string;
  readonly by: 1 | -1;
}

/** What the draft has moved; that journeys end with their profile is told. */
export function journeyMoves(draft: Draft, facts: AuditFact[]): readonly JourneyMove[] {
  return draft.profileChanges().flatMap(({ id, before, after }) => {
    const [had, has] = [journeysOf(before), journeysOf(after)];
    if (had === has) return [];
    if (after === null)
      for (const [journey, { stepId: step }] of Object.entries(had))
        facts.push({ kind: 'journey_left', journey, profileId: id, reason: 'ended', step });
    return [...stepsOf(had, -1), ...stepsOf(has, 1)];
  });
}

const NONE: Journeys = {};

function journeysOf(state: Profile | Redirect | null): Journeys {
  return (state?.kind === 'profile' ? state.journeys : undefined) ?? NONE;
}

function stepsOf(journeys: Journeys, by: 1 | -1): readonly JourneyMove[] {
  return Object.entries(journeys).map(([journey, { stepId: step }]) => ({ journey, step, by }));
}

/** Steps at which nobody stands are left out; undefined: nobody is anywhere. */
export function countJourneys(
  before: Members['journeys'],
  moves: readonly JourneyMove[],
): Members['journeys'] {
  if (moves.length === 0) return before;
  const counts: Record<string, Record<string, number>> = {};
  for (const [journey, steps] of Object.entries(before ?? {})) counts[journey] = { ...steps };
  for (const { journey, step, by } of moves) {
    const steps = counts[journey] ?? {};
    const count = (steps[step] ?? 0) + by;
    if (count === 0) delete steps[step];
    else steps[step] = count;
    counts[journey] = steps;
  }
  for (const [journey, steps] of Object.entries(counts))
    if (Object.keys(steps).length === 0) delete counts[journey];
  return Object.keys(counts).length === 0 ? undefined : counts;
}
