// The value that was said most often. Exact while there are no more different values than are kept; beyond that the
// rarest gives way and hands on its count (Space-Saving: Metwally, Agrawal, El Abbadi, ICDT 2005).
import type { MostFrequentConfig } from '../../shared/contract/config/segment-config.ts';
import { expressionOf, failed, guarded, resultOf } from './evaluate.ts';
import type { Kind, Step } from './kind.ts';
import type { Frequency, FrequencyState } from './states.ts';

const TEXT_MAX = 250;

export const mostFrequent: Kind<MostFrequentConfig, FrequencyState> = {
  state: 'frequency',
  steps: (config) => {
    const expression = expressionOf(config.value);
    const where = `attributes.${config.name}`;
    const run: Step['run'] = (before, { event, context, facts }) => {
      const value = resultOf(expression, context, facts, where);
      if (value === undefined || value === null) return before;
      if (!isCountable(value)) {
        facts.push(
          failed(where, config.value, `only numbers, yes/no and texts of up to ${TEXT_MAX} are counted`),
        );
        return before;
      }
      const counts = before?.kind === 'frequency' ? before.counts : [];
      return { kind: 'frequency', counts: added(counts, { value, count: 1, atMs: event.atMs }, config.max) };
    };
    return [{ attribute: config.name, on: config.on, run: guarded(config.when, where, run) }];
  },
  combine: (a, b, { max }) => {
    const both = new Map(a.counts.map((one) => [one.value, one]));
    for (const one of b.counts) {
      const mine = both.get(one.value);
      both.set(one.value, mine ? sumOf(mine, one) : one);
    }
    return { kind: 'frequency', counts: [...both.values()].sort(byRank).slice(0, max) };
  },
  view: (state) => state?.counts.toSorted(byRank)[0]?.value,
  nextChange: () => undefined,
};

function isCountable(value: unknown): value is Frequency['value'] {
  if (typeof value === 'string') return value.length <= TEXT_MAX;
  return typeof value === 'number' || typeof value === 'boolean';
}

function added(counts: readonly Frequency[], one: Frequency, max: number): readonly Frequency[] {
  const at = counts.findIndex(({ value }) => value === one.value);
  if (at >= 0) return counts.with(at, sumOf(counts[at]!, one));
  if (counts.length < max) return [...counts, one];
  const ranked = counts.toSorted(byRank);
  const rarest = ranked[ranked.length - 1]!;
  return [...ranked.slice(0, -1), { ...one, count: rarest.count + 1 }];
}

function sumOf(a: Frequency, b: Frequency): Frequency {
  return { value: a.value, count: a.count + b.count, atMs: Math.max(a.atMs, b.atMs) };
}

/** Most often first; of equals the one said last, then by value. */
function byRank(a: Frequency, b: Frequency): number {
  return b.count - a.count || b.atMs - a.atMs || (String(a.value) < String(b.value) ? -1 : 1);
}
