// What changes from one config to another, item by item, and what each change means for profiles that exist. Items are
// compared by meaning (defaults that are spelt out are no change) and told as they are written.
import { effectOfItem, effectOfKeyOrder, effectOfProtocol, effectOfStitching } from './diff-effects.ts';
import type { SegmentConfig } from './segment-config.ts';
import { mapSource } from './source-map.ts';

export interface FieldChange {
  readonly field: string;
  /** As written; null: not there. */
  readonly before: unknown;
  readonly after: unknown;
}

export interface ConfigChange {
  readonly kind: 'added' | 'removed' | 'changed';
  /** `attributes`, `stitching.keys`; `stitching` for what concerns all keys. */
  readonly section: string;
  /** The item, or the field of a section that is no list. */
  readonly name: string;
  /** Of a changed item, what changed. */
  readonly fields: readonly FieldChange[];
  /** What it means for profiles that exist. */
  readonly effect: string;
}

export interface ConfigDiff {
  readonly changes: readonly ConfigChange[];
  /** Whether events may be stitched to other profiles than before. */
  readonly stitching: boolean;
}

/** A config with the text that it was read from. */
export interface ConfigText {
  readonly yaml: string;
  readonly config: SegmentConfig;
}

type Fields = Readonly<Record<string, unknown>>;
type Item = Fields & { readonly name: string };
interface Side {
  readonly items: readonly Item[];
  readonly raw: ReadonlyMap<string, Fields>;
}

/** Fields of `stitching` that decide nothing about who is one person. */
const HOUSEKEEPING: ReadonlySet<string> = new Set(['retention', 'flag_after_profiles']);

/** Both configs must be of one segment. */
export function diffConfigs(before: ConfigText, after: ConfigText): ConfigDiff {
  const rawBefore = rawOf(before);
  const rawAfter = rawOf(after);
  const keys = diffKeys(before, after, rawBefore, rawAfter);
  const stitching = diffStitching(before, after, rawBefore, rawAfter);
  const others = listSections(after.config).flatMap((section) =>
    diffItems(section, sideOf(before.config, rawBefore, section), sideOf(after.config, rawAfter, section)),
  );
  const decides = stitching.some(({ name }) => !HOUSEKEEPING.has(name));
  const protocols = diffProtocols(before, after, rawBefore, rawAfter);
  return { changes: [...keys, ...stitching, ...others, ...protocols], stitching: keys.length > 0 || decides };
}

/** Sections that are lists of named items. */
function listSections(config: SegmentConfig): readonly string[] {
  return Object.entries(config).flatMap(([section, value]) => (Array.isArray(value) ? [section] : []));
}

function rawOf({ yaml }: ConfigText): Fields {
  return (mapSource(yaml).value ?? {}) as Fields;
}

function sideOf(config: SegmentConfig, raw: Fields, section: string): Side {
  return sideFrom((config as unknown as Fields)[section], raw[section]);
}

function sideFrom(items: unknown, raw: unknown): Side {
  const written = Array.isArray(raw) ? (raw as readonly Item[]) : [];
  const nameOf = (item: Item) => item.name ?? (item.service as string);
  return {
    items: (items ?? []) as readonly Item[],
    raw: new Map(written.map((item) => [nameOf(item), item])),
  };
}

function diffKeys(before: ConfigText, after: ConfigText, rawBefore: Fields, rawAfter: Fields) {
  const a = sideFrom(before.config.stitching.keys, (rawBefore.stitching as Fields | undefined)?.keys);
  const b = sideFrom(after.config.stitching.keys, (rawAfter.stitching as Fields | undefined)?.keys);
  const changes = diffItems('stitching.keys', a, b);
  const common = (side: Side, other: Side) =>
    side.items.map(({ name }) => name).filter((name) => other.items.some((item) => item.name === name));
  const [orderBefore, orderAfter] = [common(a, b), common(b, a)];
  if (isEqual(orderBefore, orderAfter)) return changes;
  const fields = [{ field: 'order', before: orderBefore, after: orderAfter }];
  const order: ConfigChange = {
    kind: 'changed',
    section: 'stitching',
    name: 'keys',
    fields,
    effect: effectOfKeyOrder(),
  };
  return [...changes, order];
}

/** What concerns all keys, field by field. */
function diffStitching(
  before: ConfigText,
  after: ConfigText,
  rawBefore: Fields,
  rawAfter: Fields,
): readonly ConfigChange[] {
  const a = before.config.stitching as unknown as Fields;
  const b = after.config.stitching as unknown as Fields;
  return Object.keys(b).flatMap((field): readonly ConfigChange[] => {
    if (field === 'keys' || isEqual(a[field], b[field])) return [];
    const name = snakeCase(field);
    const written = (raw: Fields) => (raw.stitching as Fields | undefined)?.[name] ?? null;
    const fields = [{ field: name, before: written(rawBefore), after: written(rawAfter) }];
    return [{ kind: 'changed', section: 'stitching', name, fields, effect: effectOfStitching(name) }];
  });
}

/** By protocol; of what either file says, so that a default which follows the keys is not told again. */
function diffProtocols(
  before: ConfigText,
  after: ConfigText,
  rawBefore: Fields,
  rawAfter: Fields,
): readonly ConfigChange[] {
  const own = (config: Fields, name: string) => (config.protocols as Fields)[name] as Fields;
  const written = (raw: Fields, name: string) =>
    ((raw.protocols as Fields | undefined)?.[name] ?? {}) as Fields;
  return Object.keys(after.config.protocols).flatMap((protocol): readonly ConfigChange[] => {
    const name = snakeCase(protocol);
    const [a, b] = [before, after].map(({ config }) => own(config as unknown as Fields, protocol));
    const [rawA, rawB] = [written(rawBefore, name), written(rawAfter, name)];
    const fields = Object.keys(b!).flatMap((key): readonly FieldChange[] => {
      const field = snakeCase(key);
      if (isEqual(a![key], b![key]) || !(field in rawA || field in rawB)) return [];
      return [{ field, before: rawA[field] ?? null, after: rawB[field] ?? null }];
    });
    if (fields.length === 0) return [];
    return [{ kind: 'changed', section: 'protocols', name, fields, effect: effectOfProtocol() }];
  });
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function diffItems(section: string, before: Side, after: Side): readonly ConfigChange[] {
  const known = new Map(before.items.map((item) => [item.name, item]));
  const stays = new Set(after.items.map(({ name }) => name));
  const removed = before.items
    .filter(({ name }) => !stays.has(name))
    .map((item) => changeOf('removed', section, item, undefined, []));
  const others = after.items.flatMap((item) => {
    const was = known.get(item.name);
    if (was === undefined) return [changeOf('added', section, undefined, item, [])];
    if (isEqual(was, item)) return [];
    const fields = fieldChanges(before.raw.get(item.name) ?? {}, after.raw.get(item.name) ?? {});
    return [changeOf('changed', section, was, item, fields)];
  });
  return [...removed, ...others];
}

function changeOf(
  kind: ConfigChange['kind'],
  section: string,
  before: Item | undefined,
  after: Item | undefined,
  fields: readonly FieldChange[],
): ConfigChange {
  const name = (after ?? before)!.name;
  return { kind, section, name, fields, effect: effectOfItem(kind, section, before, after) };
}

function fieldChanges(before: Fields, after: Fields): readonly FieldChange[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names
    .filter((field) => !isEqual(before[field], after[field]))
    .map((field) => ({ field, before: before[field] ?? null, after: after[field] ?? null }));
}

function isEqual(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const [left, right] = [a as Fields, b as Fields];
  const names = Object.keys(left);
  return (
    names.length === Object.keys(right).length &&
    names.every((name) => name in right && isEqual(left[name], right[name]))
  );
}
