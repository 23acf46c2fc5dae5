// The smallest, the greatest and the average of what events said.
import type { AverageConfig, ExtremeConfig } from '../../shared/contract/config/segment-config.ts';
import { INCREMENT_MAX, MICRO } from './counter.ts';
import { expressionOf, failed, guarded, resultOf } from './evaluate.ts';
import type { Kind, Step } from './kind.ts';
import { compare } from './single.ts';
import type { AverageState, ExtremeState } from './states.ts';

const TEXT_MAX = 1000;

/** Numbers by size, texts (also times of ISO 8601) by code points; a number and a text: the number stays. */
export const extreme: Kind<ExtremeConfig, ExtremeState> = {
  state: 'extreme',
  steps: (config) => {
    const expression = expressionOf(config.value);
    const where = `attributes.${config.name}`;
    const run: Step['run'] = (before, { context, facts }) => {
      const value = resultOf(expression, context, facts, where);
      if (value === undefined || value === null) return before;
      const isText = typeof value === 'string' && value.length <= TEXT_MAX;
      if (typeof value !== 'number' && !isText) {
        facts.push(failed(where, config.value, `it is neither a number nor a text of up to ${TEXT_MAX}`));
        return before;
      }
      const after: ExtremeState = { kind: 'extreme', value };
      return before?.kind === 'extreme' ? further(before, after, config) : after;
    };
    return [{ attribute: config.name, on: config.on, run: guarded(config.when, where, run) }];
  },
  combine: further,
  view: (state) => state?.value,
  nextChange: () => undefined,
};

function further(a: ExtremeState, b: ExtremeState, { type }: ExtremeConfig): ExtremeState {
  const order = compare(a.value, b.value);
  if (order === undefined) return typeof a.value === 'number' ? a : b;
  if (order === 0) return a;
  return order < 0 === (type === 'min') ? a : b;
}

export const average: Kind<AverageConfig, AverageState> = {
  state: 'average',
  steps: (config) => {
    const expression = expressionOf(config.value);
    const where = `attributes.${config.name}`;
    const run: Step['run'] = (before, { context, facts }) => {
      const value = resultOf(expression, context, facts, where);
      if (value === undefined || value === null) return before;
      if (typeof value !== 'number' || Math.abs(value) > INCREMENT_MAX) {
        facts.push(
          failed(where, config.value, `it is no number between -${INCREMENT_MAX} and ${INCREMENT_MAX}`),
        );
        return before;
      }
      const { sum, count } = before?.kind === 'average' ? before : { sum: 0, count: 0 };
      return { kind: 'average', sum: sum + Math.round(value * MICRO), count: count + 1 };
    };
    return [{ attribute: config.name, on: config.on, run: guarded(config.when, where, run) }];
  },
  combine: (a, b) => ({ kind: 'average', sum: a.sum + b.sum, count: a.count + b.count }),
  view: (state) => (state ? state.sum / MICRO / state.count : undefined),
  nextChange: () => undefined,
};
