// Who would be whom under two configs: the same events stitched by both, each from nothing, and the two partitions of the
// events compared. Only what these events say is compared, not the profiles that exist.
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { CustomerEvent } from '../../shared/contract/event.ts';
import { IdentitySimulation } from './simulate.ts';

export interface LoggedEvent {
  readonly event: CustomerEvent;
  /** When the log took it. */
  readonly nowMs: number;
}

/** Values by key name as they were sent, a few of each. */
export type KeysSent = Readonly<Record<string, readonly string[]>>;

export interface ExampleGroup {
  readonly events: number;
  readonly keys: KeysSent;
}

/** Profiles of one config that are one of the other. */
export interface Regrouping {
  readonly whole: ExampleGroup;
  readonly parts: readonly ExampleGroup[];
  /** How many parts there are in all. */
  readonly partCount: number;
}

export interface StitchingComparison {
  readonly events: number;
  readonly profiles: { readonly before: number; readonly after: number };
  /** Profiles of the new config that take in several of the old one. */
  readonly join: { readonly count: number; readonly examples: readonly Regrouping[] };
  /** Profiles of the old config that become several of the new one. */
  readonly part: { readonly count: number; readonly examples: readonly Regrouping[] };
  /** Events whose keys identify nobody under one config, and somebody under the other. */
  readonly nobody: { readonly anyMore: number; readonly noMore: number };
}

const EXAMPLES_MAX = 20;
const PARTS_SHOWN = 5;
const VALUES_SHOWN = 5;
/** Events between two pauses. */
const STRIDE = 25;

/** `pause` is awaited now and then, so that a process that does other things as well can do them. */
export async function compareStitching(
  before: SegmentConfig,
  after: SegmentConfig,
  events: readonly LoggedEvent[],
  pause: () => Promise<void>,
): Promise<StitchingComparison> {
  const old = await stitchAll(before, events, pause);
  const next = await stitchAll(after, events, pause);
  const joins = regroupings(next, old, events);
  const parts = regroupings(old, next, events);
  const nobody = (a: readonly (string | null)[], b: readonly (string | null)[]) =>
    a.filter((id, index) => id !== null && b[index] === null).length;
  return {
    events: events.length,
    profiles: { before: countOf(old), after: countOf(next) },
    join: { count: joins.length, examples: joins.slice(0, EXAMPLES_MAX).map((make) => make()) },
    part: { count: parts.length, examples: parts.slice(0, EXAMPLES_MAX).map((make) => make()) },
    nobody: { anyMore: nobody(old, next), noMore: nobody(next, old) },
  };
}

/** The profile that each event belongs to when all have been applied; null: nobody's. */
async function stitchAll(
  config: SegmentConfig,
  events: readonly LoggedEvent[],
  pause: () => Promise<void>,
): Promise<readonly (string | null)[]> {
  // What is made of the profiles does not matter here.
  const stitching = { ...config, events: [], attributes: [], audiences: [], activations: [], triggers: [] };
  const simulation = new IdentitySimulation(stitching, events[0]?.nowMs ?? 0);
  const mergedInto = new Map<string, string>();
  const ids: (string | null)[] = [];
  for (const [index, { event, nowMs }] of events.entries()) {
    if (index % STRIDE === 0) await pause();
    const told = await simulation.apply(event, nowMs);
    ids.push(told.profileId);
    for (const { kind, from, into } of told.facts)
      if (kind === 'profiles_merged') mergedInto.set(String(from), String(into));
  }
  return ids.map((id) => survivorOf(id, mergedInto));
}

function survivorOf(id: string | null, mergedInto: ReadonlyMap<string, string>): string | null {
  if (id === null) return null;
  let survivor = id;
  for (let next = mergedInto.get(survivor); next !== undefined; next = mergedInto.get(survivor))
    survivor = next;
  return survivor;
}

function countOf(ids: readonly (string | null)[]): number {
  return new Set(ids.filter((id) => id !== null)).size;
}

/** Profiles of `wholes` whose events belong to several of `parts`, each to be described when it is asked for. */
function regroupings(
  wholes: readonly (string | null)[],
  parts: readonly (string | null)[],
  events: readonly LoggedEvent[],
): readonly (() => Regrouping)[] {
  const groups = new Map<string, Map<string, number[]>>();
  wholes.forEach((whole, index) => {
    const part = parts[index] ?? null;
    if (whole === null || part === null) return;
    const byPart = groups.get(whole) ?? new Map<string, number[]>();
    groups.set(whole, byPart);
    const indexes = byPart.get(part) ?? [];
    byPart.set(part, indexes);
    indexes.push(index);
  });
  return [...groups.values()]
    .filter((byPart) => byPart.size > 1)
    .map((byPart) => () => ({
      whole: groupOf([...byPart.values()].flat(), events),
      parts: [...byPart.values()].slice(0, PARTS_SHOWN).map((indexes) => groupOf(indexes, events)),
      partCount: byPart.size,
    }));
}

function groupOf(indexes: readonly number[], events: readonly LoggedEvent[]): ExampleGroup {
  const keys: Record<string, string[]> = {};
  for (const index of indexes) {
    for (const [name, value] of Object.entries(events[index]!.event.keys)) {
      const values = keys[name] ?? [];
      keys[name] = values;
      if (values.length < VALUES_SHOWN && !values.includes(value)) values.push(value);
    }
  }
  return { events: indexes.length, keys };
}
