// What is left of a config file whose form is wrong in places: enough to tell what else is wrong with it. Everything keeps
// its index, so that problems are told at their places.
import type { RawSegment } from './schema.ts';

type Fields = Readonly<Record<string, unknown>>;

const SECTIONS = [
  'events',
  'attributes',
  'audiences',
  'activations',
  'channels',
  'triggers',
  'journeys',
  'destinations',
  'personalization',
] as const;

/** Fields of a stitching key that cannot be judged without another. */
const JUDGED_BY: Readonly<Record<string, readonly string[]>> = {
  kind: ['owner'],
  limit: ['owner'],
  normalize: ['region', 'min_length', 'min_distinct_chars'],
  observe_only: ['limit', 'links', 'owner'],
};

/**
 * The file without what stands at the bad places: of stitching and its keys the fields that are sound, of other items the
 * names, so that references to them still resolve. Throws when the form is too far off.
 */
export function soundParts(value: unknown, badPaths: readonly string[]): RawSegment {
  const file = value as Readonly<Record<string, Fields>>;
  const bad = new Set(badPaths);
  const badItems = new Set(badPaths.map((path) => /^\w+\[\d+\]/.exec(path)?.[0] ?? path));
  const lists = SECTIONS.map((section) => {
    const items: unknown = file[section];
    const sound = (item: unknown, i: number) => (badItems.has(`${section}[${i}]`) ? nameOf(item, i) : item);
    return [section, Array.isArray(items) && !isLost(section, badItems) ? items.map(sound) : []] as const;
  });
  const keys: unknown = file.stitching?.keys;
  const soundKey = (key: unknown, i: number) => {
    const path = `stitching.keys[${i}]`;
    return isFields(key) && !bad.has(path) ? soundFields(key, path, badPaths, JUDGED_BY) : {};
  };
  const stitching = {
    ...soundFields(file.stitching ?? {}, 'stitching', badPaths, {}),
    keys: Array.isArray(keys) ? keys.map((key, i) => ({ ...soundKey(key, i), ...nameOf(key, i) })) : [],
  };
  const { batch, catalogs } = file;
  const rest = isLost('personalization', badItems) ? {} : { batch, catalogs };
  return { segment: '', stitching, ...rest, ...Object.fromEntries(lists) } as unknown as RawSegment;
}

/** What a service speaks of stands in tables and catalogs: without these nothing can be told of it. */
function isLost(section: string, bad: ReadonlySet<string>): boolean {
  return section === 'personalization' && [...bad].some((path) => /^(batch|catalogs)\b/.test(path));
}

/** Fields at and below which nothing is wrong. */
function soundFields(
  fields: Fields,
  path: string,
  badPaths: readonly string[],
  judgedBy: Readonly<Record<string, readonly string[]>>,
): Fields {
  const isBad = (name: string) =>
    badPaths.some(
      (bad) => bad.startsWith(`${path}.${name}`) && !/^\w/.test(bad.slice(path.length + 1 + name.length)),
    );
  const bad = Object.keys(fields).filter(isBad);
  const gone = new Set([...bad, ...bad.flatMap((name) => judgedBy[name] ?? [])]);
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !gone.has(name)));
}

/** An item reduced to its name; one that has none gets one that nobody can mean. */
function nameOf(item: unknown, index: number): { readonly name: string; readonly service: string } {
  const said = isFields(item) ? (item.name ?? item.service) : undefined;
  const name = typeof said === 'string' ? said : `\0 nameless ${index}`;
  return { name, service: name };
}

function isFields(item: unknown): item is Fields {
  return typeof item === 'object' && item !== null && !Array.isArray(item);
}
