// Items by id, as in a cart: an event adds one (or says the newest of it), others take one out or empty it. What is newer
// by event time holds, also against a removal, so that the order of arrival makes no difference; ties go by message id.
import type { ListConfig } from '../../shared/contract/config/segment-config.ts';
import type { Expression } from '../../shared/contract/expression.ts';
import { aggregatesOf } from './aggregate.ts';
import { expressionOf, failed, guarded, resultOf } from './evaluate.ts';
import { earlier, type Kind, type Step, type StepInput } from './kind.ts';
import { compareMarks, type ListItem, type ListState, type Mark, type RemovedItem } from './states.ts';

const ITEM_BYTES_MAX = 4096;
/** All items of a list together; the oldest go first. */
export const LIST_BYTES_MAX = 65_536;
const ID_MAX = 250;
/** Removals that are remembered, for additions that come late. */
const REMOVED_MAX = 100;
const EMPTY: ListState = { kind: 'list', items: [], removed: [], cleared: null };

export const list: Kind<ListConfig, ListState> = {
  state: 'list',
  steps: (config) => [addStep(config), ...removeSteps(config), ...clearSteps(config)],
  combine: (a, b, config) => {
    const cleared = newest(a.cleared, b.cleared);
    const removed = [...a.removed, ...b.removed].reduce(withRemoved, [] as readonly RemovedItem[]);
    const items = [...a.items, ...b.items].reduce(withItem, [] as readonly ListItem[]);
    return settled({ kind: 'list', items, removed, cleared }, config);
  },
  view: (state, config, nowMs) => ({
    items: alive(state, config, nowMs).map(shown),
    ...list.aggregates!(state, config, nowMs),
  }),
  aggregates: (state, config, nowMs) =>
    aggregatesOf(config.aggregate, alive(state, config, nowMs).map(shown), nowMs),
  nextChange: (state, config, nowMs) => {
    if (config.ttlMs === null) return undefined;
    let next: number | undefined;
    for (const { atMs } of alive(state, config, nowMs)) next = earlier(next, atMs + config.ttlMs);
    return next;
  },
};

function addStep(config: ListConfig): Step {
  const where = `attributes.${config.name}`;
  const id = expressionOf(config.id);
  const fields = Object.entries(config.fields).map(([name, source]) => ({
    name,
    value: expressionOf(source),
  }));
  const run: Step['run'] = (before, input) => {
    const itemId = idOf(id, input, where);
    if (itemId === undefined) return before;
    const entries = fields.flatMap(({ name, value }) => {
      const result = resultOf(value, input.context, input.facts, `${where}.fields.${name}`);
      return result === undefined || result === null ? [] : [[name, result] as const];
    });
    const said = Object.fromEntries(entries);
    const bytes = Buffer.byteLength(JSON.stringify(said)) + itemId.length;
    if (bytes > ITEM_BYTES_MAX) {
      input.facts.push(failed(where, config.id, `the item has ${bytes} bytes, more than ${ITEM_BYTES_MAX}`));
      return before;
    }
    const { atMs, messageId } = input.event;
    const state = before?.kind === 'list' ? before : EMPTY;
    const items = withItem(state.items, { id: itemId, fields: said, bytes, atMs, messageId });
    return items === state.items ? before : settled({ ...state, items }, config, input.event.nowMs);
  };
  return { attribute: config.name, on: config.on, run: guarded(config.when, where, run) };
}

function removeSteps(config: ListConfig): readonly Step[] {
  return config.remove.map(({ on, id, when }, index) => {
    const where = `attributes.${config.name}.remove[${index}]`;
    const expression = expressionOf(id);
    const run: Step['run'] = (before, input) => {
      const itemId = idOf(expression, input, where);
      if (itemId === undefined) return before;
      const { atMs, messageId } = input.event;
      const state = before?.kind === 'list' ? before : EMPTY;
      const removed = withRemoved(state.removed, { id: itemId, atMs, messageId });
      return settled({ ...state, removed }, config, input.event.nowMs);
    };
    return { attribute: config.name, on, run: guarded(when, where, run) };
  });
}

function clearSteps(config: ListConfig): readonly Step[] {
  return config.clear.map(({ on, when }, index) => {
    const run: Step['run'] = (before, { event: { atMs, messageId, nowMs } }) => {
      const state = before?.kind === 'list' ? before : EMPTY;
      const cleared = newest(state.cleared, { atMs, messageId });
      return settled({ ...state, cleared }, config, nowMs);
    };
    return {
      attribute: config.name,
      on,
      run: guarded(when, `attributes.${config.name}.clear[${index}]`, run),
    };
  });
}

function idOf(expression: Expression, input: StepInput, where: string): string | undefined {
  const value = resultOf(expression, input.context, input.facts, `${where}.id`);
  if (value === undefined || value === null || value === '') return undefined;
  if (typeof value === 'number' || (typeof value === 'string' && value.length <= ID_MAX))
    return String(value);
  const reason = `an item's id is a number or a text of up to ${ID_MAX} characters`;
  input.facts.push(failed(`${where}.id`, expression.source, reason));
  return undefined;
}

/** The newest of each id, oldest first. */
function withItem(items: readonly ListItem[], item: ListItem): readonly ListItem[] {
  const here = items.findIndex(({ id }) => id === item.id);
  if (here >= 0 && compareMarks(items[here]!, item) >= 0) return items;
  return inOrder(here < 0 ? items : items.toSpliced(here, 1), item);
}

function withRemoved(removed: readonly RemovedItem[], one: RemovedItem): readonly RemovedItem[] {
  const here = removed.findIndex(({ id }) => id === one.id);
  if (here >= 0 && compareMarks(removed[here]!, one) >= 0) return removed;
  return inOrder(here < 0 ? removed : removed.toSpliced(here, 1), one);
}

function inOrder<T extends Mark & { readonly id: string }>(sorted: readonly T[], one: T): readonly T[] {
  const after = sorted.findLastIndex((other) => compareMarks(other, one) <= 0);
  return sorted.toSpliced(after + 1, 0, one);
}

function newest(a: Mark | null, b: Mark | null): Mark | null {
  if (!a || !b) return a ?? b;
  return compareMarks(a, b) >= 0 ? a : b;
}

/** Without what was taken out later, what has passed, and what is too much. */
function settled(state: ListState, config: ListConfig, nowMs = Number.NEGATIVE_INFINITY): ListState {
  const { cleared } = state;
  const isNewer = (one: Mark) => cleared === null || compareMarks(one, cleared) > 0;
  const oldestMs = config.ttlMs === null ? Number.NEGATIVE_INFINITY : nowMs - config.ttlMs;
  const removed = state.removed.filter((one) => isNewer(one) && one.atMs > oldestMs).slice(-REMOVED_MAX);
  const removals = new Map(state.removed.map((one) => [one.id, one]));
  const items = state.items.filter((item) => {
    const removal = removals.get(item.id);
    return isNewer(item) && item.atMs > oldestMs && (!removal || compareMarks(item, removal) > 0);
  });
  return { kind: 'list', items: withinSize(items.slice(-config.max)), removed, cleared };
}

function withinSize(items: readonly ListItem[]): readonly ListItem[] {
  let bytes = items.reduce((sum, item) => sum + item.bytes, 0);
  let first = 0;
  while (bytes > LIST_BYTES_MAX) bytes -= items[first++]!.bytes;
  return first === 0 ? items : items.slice(first);
}

function alive(state: ListState | undefined, { ttlMs, max }: ListConfig, nowMs: number): readonly ListItem[] {
  const items = state?.items ?? [];
  const living = ttlMs === null ? items : items.filter(({ atMs }) => atMs + ttlMs > nowMs);
  return living.slice(-max);
}

function shown({ id, fields, atMs }: ListItem): Readonly<Record<string, unknown>> {
  return { id, ...fields, at: new Date(atMs).toISOString() };
}
