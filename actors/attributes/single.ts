// One value: the newest by event time, or the first; gone after its ttl.
import type { SingleConfig } from '../../shared/contract/config/segment-config.ts';
import { expressionOf, failed, guarded, resultOf, sizeOf } from './evaluate.ts';
import type { Kind, Step } from './kind.ts';
import { compareMarks, type SingleState } from './states.ts';

/** Largest value, as JSON. */
export const VALUE_BYTES_MAX = 16_384;

/** Words for a consent that is not given. */
const REFUSALS: ReadonlySet<unknown> = new Set([
  false,
  0,
  'false',
  'no',
  'none',
  'denied',
  'deny',
  'refused',
  'revoked',
  'withdrawn',
  'unsubscribed',
  'opt_out',
  'opted_out',
  'suppressed',
]);

export const single: Kind<SingleConfig, SingleState> = {
  state: 'single',
  steps: (config) => {
    const expression = expressionOf(config.value);
    const where = `attributes.${config.name}`;
    const run: Step['run'] = (before, { event, context, facts }) => {
      const value = resultOf(expression, context, facts, where);
      if (value === undefined || value === null) return before;
      const bytes = sizeOf(value, VALUE_BYTES_MAX);
      if (bytes > VALUE_BYTES_MAX) {
        facts.push(failed(where, config.value, `the value has ${bytes} bytes, more than ${VALUE_BYTES_MAX}`));
        return before;
      }
      const { atMs, messageId } = event;
      const after: SingleState = { kind: 'single', value, atMs, messageId };
      return before?.kind === 'single' ? kept(before, after, config) : after;
    };
    return [{ attribute: config.name, on: config.on, run: guarded(config.when, where, run) }];
  },
  combine: (a, b, config) => mergeSingles(a, b, config),
  view: (state, { ttlMs, keep }, nowMs, seed) => {
    const isOver = state !== undefined && ttlMs !== null && state.atMs + ttlMs <= nowMs;
    const live = isOver ? undefined : state?.value;
    if (seed === undefined || seed.base === undefined || seed.base === null) return live;
    // What the batch has seen is in its value, though the live one has ended since.
    return keep === 'first' || state === undefined || state.atMs < seed.upTo ? seed.base : live;
  },
  nextChange: (state, { ttlMs }, nowMs) => {
    const endMs = ttlMs === null ? Number.NEGATIVE_INFINITY : state.atMs + ttlMs;
    return endMs > nowMs ? endMs : undefined;
  },
};

/** Newest by event time wins, ties go to the greater message id, so that the order of arrival makes no difference. */
export function newerSingle(a: SingleState, b: SingleState): SingleState {
  return compareMarks(a, b) >= 0 ? a : b;
}

function kept(a: SingleState, b: SingleState, { keep }: SingleConfig): SingleState {
  const newer = newerSingle(a, b);
  if (keep === 'newest') return newer;
  return newer === a ? b : a;
}

function mergeSingles(a: SingleState, b: SingleState, config: SingleConfig): SingleState {
  const newer = newerSingle(a, b);
  const older = newer === a ? b : a;
  switch (config.merge) {
    case 'oldest':
      return older;
    case 'min':
    case 'max': {
      const order = compare(a.value, b.value);
      if (order === undefined || order === 0) return newer;
      return order < 0 === (config.merge === 'min') ? a : b;
    }
    case 'restrictive': {
      const refusing = [newer, older].filter(({ value }) => isRefusal(value));
      return refusing[0] ?? newer;
    }
    default:
      return newer;
  }
}

/** Numbers by size, text by code points; undefined: they cannot be compared. */
export function compare(a: unknown, b: unknown): number | undefined {
  if (typeof a === 'number' && typeof b === 'number') return a - b;
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a === b ? 0 : 1;
  return undefined;
}

function isRefusal(value: unknown): boolean {
  return REFUSALS.has(typeof value === 'string' ? value.trim().toLowerCase().replaceAll('-', '_') : value);
}
