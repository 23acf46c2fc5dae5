// The circuit breaker of a destination: after several failures in a row nothing is tried for a while, then one at a time
// until one succeeds. Pure: state in, state out, times as arguments.
//
//   closed -FAILURES_MAX in a row, or the receiver asks for time-> open -time is up-> trying -success-> closed
//                                                                   ^------failure------'
import type { Random } from '../../shared/kernel/random.ts';
import { backoffWithFloorMs } from './retry.ts';

export type BreakerState =
  | { readonly kind: 'closed'; readonly failures: number }
  /** `opened`: how often in a row. */
  | { readonly kind: 'open'; readonly untilMs: number; readonly opened: number }
  | { readonly kind: 'trying'; readonly opened: number };

export const CLOSED: BreakerState = { kind: 'closed', failures: 0 };
/** Failures in a row that open it. */
export const FAILURES_MAX = 5;
const PAUSE_BASE_MS = 1000;
const PAUSE_MAX_MS = 60_000;

export function afterSuccess(state: BreakerState): BreakerState {
  return state.kind === 'closed' && state.failures === 0 ? state : CLOSED;
}

/** `askedMs`: how long the receiver asks to be left alone. */
export function afterFailure(
  state: BreakerState,
  {
    nowMs,
    askedMs = 0,
    random,
  }: { readonly nowMs: number; readonly askedMs?: number; readonly random: Random },
): BreakerState {
  if (state.kind === 'open')
    return askedMs > 0 ? { ...state, untilMs: Math.max(state.untilMs, nowMs + askedMs) } : state;
  const failures = state.kind === 'closed' ? state.failures + 1 : FAILURES_MAX;
  if (failures < FAILURES_MAX && askedMs === 0) return { kind: 'closed', failures };
  const opened = state.kind === 'trying' ? state.opened + 1 : 1;
  const pauseMs = backoffWithFloorMs(opened - 1, PAUSE_BASE_MS, PAUSE_MAX_MS, random);
  return { kind: 'open', untilMs: nowMs + Math.max(pauseMs, askedMs), opened };
}

/** The state at a time: an open one whose time is up tries. */
export function atTime(state: BreakerState, nowMs: number): BreakerState {
  return state.kind === 'open' && nowMs >= state.untilMs ? { kind: 'trying', opened: state.opened } : state;
}
