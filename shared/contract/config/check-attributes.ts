// Meaning of attributes: what they refer to is there, names are free, nothing is computed of itself.
import { namedFields, namesRoot } from '../expression.ts';
import type { RawAction, RawAttribute } from './attribute-schemas.ts';
import type { MeaningCheck } from './check-meaning.ts';
import { ALL } from './read-attribute.ts';
import { typeOfColumn } from './read-table.ts';
import type { RawSegment } from './schema.ts';
import type { ColumnType } from './segment-config.ts';
import type { Path } from './source-map.ts';

type BatchTables = NonNullable<RawSegment['batch']>['tables'];

const NAME = /^[a-z][a-z0-9_]{0,63}$/;
/** Fields that every item of a list has. */
const ITEM_FIELDS = ['id', 'at'];

export function checkAttributes(
  attributes: readonly RawAttribute[],
  events: readonly string[],
  tables: BatchTables,
  check: MeaningCheck,
): void {
  attributes.forEach((attribute, i) => {
    checkAttribute(attribute, ['attributes', i], events, check);
    checkBackfill(attribute, ['attributes', i], tables, check);
  });
  checkCircles(attributes, check);
}

function checkAttribute(
  attribute: RawAttribute,
  path: Path,
  events: readonly string[],
  check: MeaningCheck,
): void {
  const sees = attribute.type === 'computed' ? 'state' : 'event';
  if (attribute.on !== undefined) check.reference(attribute.on, events, 'key event', [...path, 'on']);
  check.condition(attribute.when, [...path, 'when'], 'event');
  for (const field of ['value', 'by', 'id', 'distinct', 'entry'] as const) {
    const text = attribute[field];
    if (typeof text === 'string') check.expression(text, [...path, field], sees);
  }
  for (const [name, text] of Object.entries(attribute.fields ?? {})) {
    const at: Path = [...path, 'fields', name];
    if (!NAME.test(name) || name in Object.prototype || ITEM_FIELDS.includes(name))
      check.at(
        at,
        'NAME',
        `'${name}' cannot be a field: a-z first, then a-z, 0-9 and _; not ${ITEM_FIELDS.join(', ')}`,
      );
    check.expression(text, at, 'event');
  }
  if (attribute.type === 'counter') checkCounter(attribute, path, check);
  for (const list of ['remove', 'clear'] as const) {
    attribute[list]?.forEach((action: RawAction & { readonly id?: string }, i) => {
      check.reference(action.on, events, 'key event', [...path, list, i, 'on']);
      check.condition(action.when, [...path, list, i, 'when'], 'event');
      if (action.id !== undefined) check.expression(action.id, [...path, list, i, 'id'], 'event');
    });
  }
  checkAggregates(attribute, path, events, check);
}

function checkCounter(attribute: RawAttribute, path: Path, check: MeaningCheck): void {
  const { total, windows, by, distinct, exact, merge } = attribute;
  if (total !== true && windows === undefined)
    check.at(path, 'SHAPE', "a counter needs 'total: true', 'windows', or both");
  if (distinct === undefined) {
    if (exact !== undefined) check.at([...path, 'exact'], 'SHAPE', "'exact' is for counters with 'distinct'");
    if (merge === 'union')
      check.at(
        [...path, 'merge'],
        'SHAPE',
        "'union' is for counters with 'distinct'; others take sum, max or survivor",
      );
    return;
  }
  if (by !== undefined) check.at([...path, 'by'], 'SHAPE', "a counter has 'by' or 'distinct', not both");
  if (merge !== undefined && merge !== 'union' && merge !== 'survivor')
    check.at([...path, 'merge'], 'SHAPE', "a counter with 'distinct' takes union or survivor");
}

function checkBackfill(
  { type, backfill, total, distinct }: RawAttribute,
  path: Path,
  tables: BatchTables,
  check: MeaningCheck,
): void {
  if (!backfill) return;
  const at: Path = [...path, 'backfill'];
  const { attribute, as_of, through } = backfill;
  if ((as_of === undefined) === (through === undefined)) {
    check.at(at, 'SHAPE', "a backfill says how far it reaches: 'as_of' or 'through', one of them");
    return;
  }
  if (distinct !== undefined)
    check.at(
      at,
      'SHAPE',
      "a counter with 'distinct' has no backfill: it cannot know which values the batch has counted",
    );
  else if (type === 'counter' && total !== true)
    check.at(at, 'SHAPE', "a backfill is where a total starts from: this counter has no 'total: true'");
  const value = column(
    attribute,
    type === 'counter' ? 'number' : undefined,
    [...at, 'attribute'],
    tables,
    check,
  );
  const field = as_of === undefined ? 'through' : 'as_of';
  const kind = as_of === undefined ? 'number' : 'timestamp';
  const upTo = column((as_of ?? through)!, kind, [...at, field], tables, check);
  if (value !== undefined && upTo !== undefined && value !== upTo)
    check.at([...at, field], 'REFERENCE', `'${attribute}' and '${as_of ?? through}' are of different tables`);
}

/** The table of `table.column`; undefined: there is none, and it was said. */
function column(
  text: string,
  type: ColumnType | undefined,
  path: Path,
  tables: BatchTables,
  check: MeaningCheck,
): string | undefined {
  const known = tables.flatMap(({ name, attributes }) =>
    Object.keys(attributes).map((each) => `${name}.${each}`),
  );
  if (!known.includes(text)) {
    check.reference(text, known, 'column of a batch table', path);
    return undefined;
  }
  const [name, field] = text.split('.');
  const found = typeOfColumn(tables.find((table) => table.name === name)!.attributes[field!]!);
  if (type === undefined || found === type) return name;
  check.at(path, 'REFERENCE', `'${text}' is of type ${found}, a ${type} is needed`);
  return undefined;
}

function checkAggregates(
  { type, aggregate }: RawAttribute,
  path: Path,
  events: readonly string[],
  check: MeaningCheck,
): void {
  for (const [name, rule] of Object.entries(aggregate ?? {})) {
    const at: Path = [...path, 'aggregate', name];
    if (!NAME.test(name) || name in Object.prototype)
      check.at(at, 'NAME', `'${name}' cannot be a name: a-z first, then up to 63 of a-z, 0-9 and _`);
    for (const [kind, of] of Object.entries(rule)) {
      if (kind === 'count' && of === ALL) continue;
      if (type === 'session') check.reference(of, events, 'key event', [...at, kind]);
      else if (kind === 'count') check.condition(of, [...at, kind], 'item');
      else check.expression(of, [...at, kind], 'item');
    }
  }
}

function checkCircles(attributes: readonly RawAttribute[], check: MeaningCheck): void {
  const computed = new Map(
    attributes.flatMap(({ name, type, value }, i) =>
      type === 'computed' && typeof value === 'string'
        ? [[name, { i, of: namedFields(value, 'profile') }] as const]
        : [],
    ),
  );
  for (const [name, { i }] of computed) {
    const reached = new Set<string>();
    const queue = [...(computed.get(name)?.of ?? [])];
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      if (reached.has(next)) continue;
      reached.add(next);
      queue.push(...(computed.get(next)?.of ?? []));
    }
    if (reached.has(name))
      check.at(['attributes', i, 'value'], 'EXPRESSION', `'${name}' is computed of itself`);
    const text = attributes[i]?.value ?? '';
    if (namesRoot(text, 'profile') && namedFields(text, 'profile').length === 0)
      check.at(
        ['attributes', i, 'value'],
        'EXPRESSION',
        'say which attributes it is computed of: profile.<name>',
      );
  }
}
