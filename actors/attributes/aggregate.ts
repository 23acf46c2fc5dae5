// Values made of a list's items when somebody looks: count, sum, min, max, avg, first, last, distinct. An item of which
// the expression says nothing does not count.
import type { AggregateConfig } from '../../shared/contract/config/segment-config.ts';
import type { Expression, ExpressionContext } from '../../shared/contract/expression.ts';
import { MICRO } from './counter.ts';
import { expressionOf } from './evaluate.ts';
import { compare } from './single.ts';

export type Item = Readonly<Record<string, unknown>>;

const NOTHING: Readonly<Record<string, never>> = {};
const compiled = new WeakMap<AggregateConfig, Expression>();

/** By name. Of no items: a count or sum is 0, distinct is empty, the others are absent. */
export function aggregatesOf(
  aggregates: readonly AggregateConfig[],
  items: readonly Item[],
  nowMs: number,
): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  for (const aggregate of aggregates) {
    const value = aggregateOf(aggregate, items, nowMs);
    if (value !== undefined) values[aggregate.name] = value;
  }
  return values;
}

function aggregateOf(aggregate: AggregateConfig, items: readonly Item[], nowMs: number): unknown {
  if (aggregate.of === null) return items.length;
  const said = items.flatMap((item) => {
    const value = saidBy(aggregate, item, nowMs);
    return value === undefined || value === null ? [] : [value];
  });
  switch (aggregate.kind) {
    case 'count':
      return said.filter((value) => value === true).length;
    case 'first':
      return said[0];
    case 'last':
      return said.at(-1);
    case 'distinct':
      return [...new Map(said.map((value) => [JSON.stringify(value), value])).values()];
    case 'min':
    case 'max':
      return furthest(said, aggregate.kind);
    default:
      return sumOrAverage(
        said.filter((value) => typeof value === 'number'),
        aggregate.kind,
      );
  }
}

function furthest(values: readonly unknown[], kind: 'min' | 'max'): unknown {
  const comparable = values.filter((value) => typeof value === 'number' || typeof value === 'string');
  return comparable.reduce<unknown>((best, value) => {
    const order = best === undefined ? undefined : compare(value, best);
    if (best === undefined) return value;
    return order !== undefined && order !== 0 && order < 0 === (kind === 'min') ? value : best;
  }, undefined);
}

/** In micro-units, as counters: the order of addition makes no difference. */
function sumOrAverage(values: readonly number[], kind: 'sum' | 'avg'): number | undefined {
  const sum = values.reduce((micros, value) => micros + Math.round(value * MICRO), 0) / MICRO;
  if (kind === 'sum') return sum;
  return values.length === 0 ? undefined : sum / values.length;
}

function saidBy(aggregate: AggregateConfig, item: Item, nowMs: number): unknown {
  let expression = compiled.get(aggregate);
  if (!expression) {
    expression = expressionOf(aggregate.of!);
    compiled.set(aggregate, expression);
  }
  const context: ExpressionContext = {
    event: NOTHING,
    profile: NOTHING,
    keys: NOTHING,
    keys_all: NOTHING,
    item,
    now: new Date(nowMs),
  };
  const result = expression.evaluate(context);
  return result.kind === 'value' ? result.value : undefined;
}
