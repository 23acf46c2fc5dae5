// What a profile keeps of journeys: where it is inside, and what came of earlier times. Immutable, plain JSON.
import { compareMarks, type Mark } from '../attributes/states.ts';

/** A profile inside a journey. */
export interface JourneyState {
  /** Of this one time inside: activations are numbered by it. */
  readonly id: string;
  /** Digest of the definition by which it came in: it goes on by that. */
  readonly def: string;
  readonly version: number;
  /** The event that brought it in. */
  readonly entry: Mark;
  /** Log time. */
  readonly enteredMs: number;
  /** The step at which it waits. */
  readonly step: number;
  readonly stepId: string;
  /** The moment at which it came there; what follows a wait is counted from the wait's end, however late that is noticed. */
  readonly movedMs: number;
  /** When it goes on by itself, ms; null: not by time alone. */
  readonly dueMs: number | null;
  /** Steps and activations so far. */
  readonly taken: number;
  readonly acts: number;
}

export interface JourneyPast {
  /** How often it has come in. */
  readonly entered: number;
  readonly goal: boolean;
  /** Newest event that ends the journey: an entry that happened before it does nothing. */
  readonly mark: Mark | null;
  /** Branch of each split, by the step's id: the same every time. Of personalization by section, and nothing else of it. */
  readonly splits: Readonly<Record<string, string>>;
}

export type Journeys = Readonly<Record<string, JourneyState>>;
export type JourneyPasts = Readonly<Record<string, JourneyPast>>;

export const NO_PAST: JourneyPast = { entered: 0, goal: false, mark: null, splits: {} };

/** Of two profiles that become one: whoever is further goes on, and these journeys of the other one are over. */
export function mergeJourneys(
  a: Journeys = {},
  b: Journeys = {},
): {
  readonly journeys: Journeys;
  readonly ended: readonly { readonly journey: string; readonly of: 'a' | 'b' }[];
} {
  const journeys: Record<string, JourneyState> = { ...a };
  const ended: { journey: string; of: 'a' | 'b' }[] = [];
  for (const [journey, theirs] of Object.entries(b)) {
    const ours = journeys[journey];
    const isTheirs = ours === undefined || isFurther(theirs, ours);
    if (ours) ended.push({ journey, of: isTheirs ? 'a' : 'b' });
    if (isTheirs) journeys[journey] = theirs;
  }
  return { journeys, ended };
}

/** Equal ones by who came in first, so that the order of merging makes no difference. */
function isFurther(a: JourneyState, b: JourneyState): boolean {
  if (a.taken !== b.taken) return a.taken > b.taken;
  return compareMarks(a.entry, b.entry) < 0 || (compareMarks(a.entry, b.entry) === 0 && a.id < b.id);
}

export function mergePasts(a: JourneyPasts = {}, b: JourneyPasts = {}): JourneyPasts {
  const both: Record<string, JourneyPast> = { ...a };
  for (const [journey, theirs] of Object.entries(b)) {
    const ours = both[journey];
    if (!ours) {
      both[journey] = theirs;
      continue;
    }
    both[journey] = {
      entered: ours.entered + theirs.entered,
      goal: ours.goal || theirs.goal,
      mark: newerMark(ours.mark, theirs.mark),
      splits: { ...theirs.splits, ...ours.splits },
    };
  }
  return both;
}

export function newerMark(a: Mark | null, b: Mark | null): Mark | null {
  if (!a || !b) return a ?? b;
  return compareMarks(a, b) >= 0 ? a : b;
}
