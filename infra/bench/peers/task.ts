// The task that every system does: count page views by visitor, durable, each event once, and change a document of twenty
// fields with each event. The same events for all, one in a hundred of them sent twice.
import { createWorkload, PAGE_FIELDS, visitorOf, type Workload } from '../workload.ts';

export interface PageView {
  readonly id: string;
  readonly visitor: string;
  /** Fields of the document that it sets. */
  readonly fields: Readonly<Record<string, string>>;
}

export interface Task {
  readonly profiles: number;
  readonly workload: Workload;
  readonly views: readonly PageView[];
}

export const REPEAT_EVERY = 100;
export const LATENCY_RATE = 500;

export function taskOf(options: {
  readonly profiles: number;
  readonly events: number;
  readonly spread: 'uniform' | 'zipf';
  readonly name: string;
  readonly seed: number;
}): Task {
  const { profiles, events, spread, name, seed } = options;
  const shape = 'page';
  const workload: Workload = {
    name,
    seed,
    profiles,
    spread,
    shape,
    keys: ['visitor'],
    repeatEvery: REPEAT_EVERY,
  };
  const source = createWorkload(workload);
  const views = Array.from({ length: events }, () => {
    const { messageId, keys, properties } = source.next();
    return { id: messageId, visitor: keys.visitor!, fields: properties as Record<string, string> };
  });
  return { profiles, workload, views };
}

/** The document of each visitor before the first event: all fields set, no view counted. */
export function* firstDocuments(profiles: number): Generator<PageView> {
  for (let profile = 0; profile < profiles; profile++) {
    const fields: Record<string, string> = { page: '/p/0' };
    for (let field = 0; field < PAGE_FIELDS; field++)
      fields[`f${field}`] = `first-${profile}-`.padEnd(44, 'abcdefghijklmnop');
    yield { id: `first-${profile}`, visitor: visitorOf(profile), fields };
  }
}

/** Views by visitor, an event that came twice counted once. */
export function countViews(views: readonly PageView[]): ReadonlyMap<string, number> {
  const seen = new Set<string>();
  const counts = new Map<string, number>();
  for (const { id, visitor } of views) {
    if (seen.has(id)) continue;
    seen.add(id);
    counts.set(visitor, (counts.get(visitor) ?? 0) + 1);
  }
  return counts;
}

/** Throws unless each visitor has exactly the views that the events give: a figure that is not right is not told. */
export function assertCounts(
  system: string,
  expected: ReadonlyMap<string, number>,
  found: ReadonlyMap<string, number>,
): void {
  const wrong = [...expected].filter(([visitor, count]) => (found.get(visitor) ?? 0) !== count);
  const extra = [...found].filter(([visitor, count]) => count !== 0 && !expected.has(visitor));
  if (wrong.length + extra.length === 0) return;
  const [visitor, count] = wrong[0] ?? [extra[0]![0], 0];
  throw new Error(
    `${system} counted wrongly for ${wrong.length + extra.length} visitors: ${visitor} has ${found.get(visitor) ?? 0} views, not ${count}`,
  );
}

/** In lists of so many. */
export function* chunksOf<T>(items: Iterable<T>, size: number): Generator<readonly T[]> {
  let chunk: T[] = [];
  for (const item of items) {
    chunk.push(item);
    if (chunk.length < size) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}
