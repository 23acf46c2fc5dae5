// Whether something from outside has the form of an attribute's state: a command brings states that others have counted.
import type { AttributeState } from './states.ts';

type Check = (value: unknown) => boolean;

const isNumber: Check = (value) => typeof value === 'number' && Number.isFinite(value);
const isText: Check = (value) => typeof value === 'string';
const isScalar: Check = (value) => isNumber(value) || isText(value) || typeof value === 'boolean';
const isFields: Check = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const orAbsent =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value);
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const recordOf =
  (check: Check): Check =>
  (value) =>
    isFields(value) && Object.values(value as object).every(check);
const shape =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value) =>
    isFields(value) && Object.entries(fields).every(([name, check]) => check((value as never)[name]));
const pair: Check = (value) => Array.isArray(value) && value.length === 2 && value.every(isNumber);

const mark = { atMs: isNumber, messageId: isText };

const FORMS: { readonly [K in AttributeState['kind']]: Check } = {
  single: shape({ ...mark, value: (value) => value !== undefined }),
  counter: shape({
    total: isNumber,
    windows: recordOf(listOf(pair)),
    since: orAbsent(
      shape({
        by: isText,
        grain: (value) => Number.isSafeInteger(value) && Number(value) >= 1,
        sums: listOf(pair),
      }),
    ),
  }),
  distinct: shape({ values: listOf(pair), cut: orNull(isNumber) }),
  list: shape({
    items: listOf(shape({ ...mark, id: isText, fields: isFields, bytes: isNumber })),
    removed: listOf(shape({ ...mark, id: isText })),
    cleared: orNull(shape(mark)),
  }),
  extreme: shape({ value: (value) => isNumber(value) || isText(value) }),
  average: shape({ sum: isNumber, count: isNumber }),
  frequency: shape({ counts: listOf(shape({ value: isScalar, count: isNumber, atMs: isNumber })) }),
  sessions: shape({
    earlier: isNumber,
    sessions: listOf(
      shape({
        startMs: isNumber,
        endMs: isNumber,
        events: isNumber,
        counts: recordOf(isNumber),
        entry: orNull(shape({ ...mark, value: (value) => value !== undefined })),
      }),
    ),
  }),
};

export function isAttributeState(value: unknown): value is AttributeState {
  if (!isFields(value)) return false;
  const { kind } = value as { readonly kind?: unknown };
  return (
    typeof kind === 'string' && Object.hasOwn(FORMS, kind) && FORMS[kind as AttributeState['kind']](value)
  );
}
