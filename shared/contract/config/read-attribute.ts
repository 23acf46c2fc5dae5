// Attributes of a checked config file with their defaults filled in.
import { parseDurationMs } from '../../kernel/duration.ts';
import type { RawAction, RawAttribute } from './attribute-schemas.ts';
import { CONFIG_DEFAULTS } from './limits.ts';
import {
  AGGREGATE_KINDS,
  type AggregateConfig,
  type AttributeConfig,
  type BackfillConfig,
  type CounterMerge,
  type CounterWindow,
  type JoinMerge,
  type ListAction,
  type ListConfig,
  type SingleMerge,
} from './segment-config.ts';

export function readAttribute(raw: RawAttribute): AttributeConfig {
  const common = { name: raw.name, sensitive: raw.sensitive ?? false };
  if (raw.type === 'computed') return { ...common, type: 'computed', value: raw.value! };
  const merge = (raw.merge ?? 'union') as JoinMerge;
  if (raw.type === 'session') {
    return {
      ...common,
      type: 'session',
      on: raw.on ?? null,
      gapMs: parseDurationMs(raw.gap!)!,
      entry: raw.entry ?? null,
      counts: readCounts(raw),
      merge,
    };
  }
  const taken = { ...common, on: raw.on!, when: raw.when ?? null };
  switch (raw.type) {
    case 'single': {
      const keep = raw.keep ?? 'newest';
      const rule = (raw.merge ?? (keep === 'first' ? 'oldest' : 'newest')) as SingleMerge;
      return {
        ...taken,
        type: 'single',
        value: raw.value!,
        ttlMs: ttlOf(raw),
        keep,
        merge: rule,
        backfill: backfillOf(raw),
      };
    }
    case 'counter':
      return readCounter(raw, taken);
    case 'list':
      return readList(raw, taken, merge);
    case 'min':
    case 'max':
      return { ...taken, type: raw.type, value: raw.value!, merge };
    case 'avg':
      return { ...taken, type: 'avg', value: raw.value!, merge };
    default:
      return {
        ...taken,
        type: 'most_frequent',
        value: raw.value!,
        max: raw.max ?? CONFIG_DEFAULTS.frequent_values,
        merge,
      };
  }
}

type Taken = Pick<ListConfig, 'name' | 'sensitive' | 'on' | 'when'>;

function readCounter(raw: RawAttribute, taken: Taken): AttributeConfig {
  const windows = (raw.windows ?? []).map(
    (text): CounterWindow => ({ name: text, ms: parseDurationMs(text)! }),
  );
  const total = raw.total ?? false;
  if (raw.distinct !== undefined) {
    const merge = (raw.merge ?? 'union') as JoinMerge;
    const bound = raw.exact ?? CONFIG_DEFAULTS.distinct_exact;
    return { ...taken, type: 'distinct', distinct: raw.distinct, total, windows, bound, merge };
  }
  const merge = (raw.merge ?? 'sum') as CounterMerge;
  const by = raw.by === undefined ? null : typeof raw.by === 'number' ? raw.by.toFixed(6) : raw.by;
  return { ...taken, type: 'counter', by, total, windows, merge, backfill: backfillOf(raw) };
}

function backfillOf({ backfill }: RawAttribute): BackfillConfig | null {
  if (!backfill) return null;
  const [table, column] = backfill.attribute.split('.');
  const upTo = (backfill.as_of ?? backfill.through)!.split('.')[1]!;
  return { table: table!, column: column!, upTo, by: backfill.as_of === undefined ? 'position' : 'time' };
}

function readList(raw: RawAttribute, taken: Taken, merge: JoinMerge): ListConfig {
  return {
    ...taken,
    type: 'list',
    id: raw.id!,
    fields: raw.fields ?? {},
    max: raw.max ?? CONFIG_DEFAULTS.list_items,
    ttlMs: ttlOf(raw),
    remove: (raw.remove ?? []).map((action) => ({ ...actionOf(action), id: action.id })),
    clear: (raw.clear ?? []).map(actionOf),
    aggregate: Object.entries(raw.aggregate ?? {}).map(([name, rule]) => aggregateOf(name, rule)),
    merge,
  };
}

function actionOf({ on, when }: RawAction): ListAction {
  return { on, when: when ?? null };
}

function aggregateOf(name: string, rule: Readonly<Record<string, string>>): AggregateConfig {
  const kind = AGGREGATE_KINDS.find((each) => rule[each] !== undefined)!;
  const of = rule[kind]!;
  return { name, kind, of: kind === 'count' && of === ALL ? null : of };
}

/** What a count of everything is written as. */
export const ALL = 'all';

function readCounts(raw: RawAttribute): readonly { readonly name: string; readonly event: string | null }[] {
  return Object.entries(raw.aggregate ?? {}).map(([name, { count }]) => {
    return { name, event: count === ALL ? null : count! };
  });
}

function ttlOf({ ttl }: RawAttribute): number | null {
  return ttl === undefined ? null : parseDurationMs(ttl)!;
}
