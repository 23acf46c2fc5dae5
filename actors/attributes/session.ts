// Visits: events of a profile that are no further apart than the gap, by event time. A late event finds its visit, and may
// join two into one, so that the order of arrival makes no difference within the visits that are kept.
import type { SessionConfig } from '../../shared/contract/config/segment-config.ts';
import type { Expression } from '../../shared/contract/expression.ts';
import { expressionOf, resultOf, sizeOf } from './evaluate.ts';
import type { Kind, Step, StepInput } from './kind.ts';
import { compareMarks, type Session, type SessionState } from './states.ts';

/** Visits that are kept, for events that come late. */
export const SESSIONS_KEPT = 10;
const ENTRY_BYTES_MAX = 2000;

export const session: Kind<SessionConfig, SessionState> = {
  state: 'sessions',
  steps: (config) => {
    const entry = config.entry === null ? undefined : expressionOf(config.entry);
    const counted = new Set(config.counts.flatMap(({ event }) => event ?? []));
    const run: Step['run'] = (before, input) => {
      const state: SessionState =
        before?.kind === 'sessions' ? before : { kind: 'sessions', earlier: 0, sessions: [] };
      const visit = visitOf(input, entry, counted, config);
      const first = state.sessions[0];
      // Before all that is kept: it was counted then, or never will be.
      if (state.earlier > 0 && first && visit.endMs < first.startMs - config.gapMs) return before;
      return bounded(withVisit(state.sessions, visit, config.gapMs), state.earlier);
    };
    return [{ attribute: config.name, on: config.on, run }];
  },
  combine: (a, b, { gapMs }) => {
    const sessions = b.sessions.reduce((all, one) => withVisit(all, one, gapMs), a.sessions);
    return bounded(sessions, a.earlier + b.earlier);
  },
  view: (state, config, nowMs) => {
    const last = state?.sessions.at(-1);
    if (!state || !last) return { number: 0, active: false };
    const { startMs, endMs, events, entry } = last;
    return {
      number: state.earlier + state.sessions.length,
      active: isActive(last, config, nowMs),
      start: new Date(startMs).toISOString(),
      last: new Date(endMs).toISOString(),
      seconds: (endMs - startMs) / 1000,
      events,
      ...(entry && { entry: entry.value }),
    };
  },
  aggregates: (state, config, nowMs) => {
    const last = state?.sessions.at(-1);
    const current = last && isActive(last, config, nowMs) ? last : undefined;
    return Object.fromEntries(
      config.counts.map(({ name, event }) => [
        name,
        event === null ? (current?.events ?? 0) : (current?.counts[event] ?? 0),
      ]),
    );
  },
  nextChange: (state, { gapMs }, nowMs) => {
    const last = state.sessions.at(-1);
    return last && last.endMs + gapMs >= nowMs ? last.endMs + gapMs + 1 : undefined;
  },
};

/** A visit is over when the gap has passed without an event. */
function isActive({ endMs }: Session, { gapMs }: SessionConfig, nowMs: number): boolean {
  return nowMs <= endMs + gapMs;
}

function visitOf(
  { event, hits, context, facts }: StepInput,
  entry: Expression | undefined,
  counted: ReadonlySet<string>,
  { name }: SessionConfig,
): Session {
  const { atMs, messageId } = event;
  const value = entry ? resultOf(entry, context, facts, `attributes.${name}.entry`) : undefined;
  const fits = value !== undefined && value !== null && sizeOf(value, ENTRY_BYTES_MAX) <= ENTRY_BYTES_MAX;
  const counts = Object.fromEntries(hits.filter((hit) => counted.has(hit)).map((hit) => [hit, 1]));
  return {
    startMs: atMs,
    endMs: atMs,
    events: 1,
    counts,
    entry: fits ? { atMs, messageId, value } : null,
  };
}

/** The visits with one more, joined with those that it touches. */
function withVisit(sessions: readonly Session[], visit: Session, gapMs: number): readonly Session[] {
  const before = sessions.filter(({ endMs }) => endMs + gapMs < visit.startMs);
  const after = sessions.filter(({ startMs }) => startMs - gapMs > visit.endMs);
  const touched = sessions.slice(before.length, sessions.length - after.length);
  return [...before, touched.reduce(joined, visit), ...after];
}

function joined(a: Session, b: Session): Session {
  const counts: Record<string, number> = { ...a.counts };
  for (const [name, count] of Object.entries(b.counts)) counts[name] = (counts[name] ?? 0) + count;
  return {
    startMs: Math.min(a.startMs, b.startMs),
    endMs: Math.max(a.endMs, b.endMs),
    events: a.events + b.events,
    counts,
    entry: firstEntry(a.entry, b.entry),
  };
}

function firstEntry(a: Session['entry'], b: Session['entry']): Session['entry'] {
  if (!a || !b) return a ?? b;
  return compareMarks(a, b) <= 0 ? a : b;
}

function bounded(sessions: readonly Session[], earlier: number): SessionState {
  const over = Math.max(0, sessions.length - SESSIONS_KEPT);
  return { kind: 'sessions', earlier: earlier + over, sessions: sessions.slice(over) };
}
