// A batch value to start from: a counter shows what the batch counted and what came after it, a single value whichever is
// newer. How far the batch reached is said by its row: a time (`as_of`), or a position of the event log (`through`).
import type {
  AttributeConfig,
  BackfillConfig,
  CounterConfig,
} from '../../shared/contract/config/segment-config.ts';
import type { AppliedEvent } from '../profile/apply-event.ts';
import type { AttributeState, CounterState, SinceBatch } from './states.ts';

/** Where a snapshot begins and up to where it reaches. */
export interface Seed {
  readonly base: unknown;
  /** Of `as_of` ms, of `through` a sequence of the log. */
  readonly upTo: number;
}

/** Rows by table. */
export type Tables = Readonly<Record<string, unknown>>;

const MINUTE_MS = 60_000;
/** Places that are told apart of what came after the batch: with more, so many neighbours are one that it is not more. */
export const SINCE_MAX = 2_000;

/** What the row of the attribute's table gives it; undefined: there is none, or it does not say how far it reaches. */
export function seedOf(
  { backfill }: { readonly backfill: BackfillConfig | null },
  tables: Tables,
): Seed | undefined {
  if (!backfill) return undefined;
  const row = tables[backfill.table] as Readonly<Record<string, unknown>> | undefined;
  const said = row?.[backfill.upTo];
  const upTo = backfill.by === 'time' ? timeOf(said) : said;
  if (typeof upTo !== 'number' || !Number.isFinite(upTo)) return undefined;
  return { base: row?.[backfill.column], upTo };
}

function timeOf(value: unknown): number {
  if (value instanceof Date) return value.getTime();
  return typeof value === 'number' ? value : Date.parse(String(value));
}

/** The counter's amounts, this one noted where it stands against a batch that may come. */
export function notedSince(
  before: CounterState | undefined,
  { backfill }: CounterConfig,
  micros: number,
  event: Pick<AppliedEvent, 'atMs' | 'sequence'>,
): Pick<CounterState, 'since'> {
  if (!backfill) return {};
  const { by } = backfill;
  const place = by === 'time' ? Math.floor(event.atMs / MINUTE_MS) : event.sequence;
  const kept = before?.since?.by === by ? before.since : { by, grain: 1, sums: [] };
  return { since: bounded({ ...kept, sums: added(kept.sums, Math.floor(place / kept.grain), micros) }) };
}

/** Of two counters that become one; places that both know are joined. */
export function mergedSince(
  { since: a }: CounterState,
  { since: b }: CounterState,
  join: (a: number, b: number) => number,
): Pick<CounterState, 'since'> {
  if (!a || !b || a.by !== b.by) return a || b ? { since: (a ?? b)! } : {};
  const grain = Math.max(a.grain, b.grain);
  const sums = new Map(coarser(a, grain).sums);
  for (const [block, micros] of coarser(b, grain).sums) {
    const ours = sums.get(block);
    sums.set(block, ours === undefined ? micros : join(ours, micros));
  }
  return { since: bounded({ by: a.by, grain, sums: [...sums].sort(([x], [y]) => x - y) }) };
}

/** Micro-units that came after the batch. */
export function sumAfter({ since }: CounterState, seed: Seed): number {
  if (!since) return 0;
  const first = firstBlock(since, seed);
  return since.sums.reduce((sum, [block, micros]) => (block >= first ? sum + micros : sum), 0);
}

/**
 * States without what the rows had counted that were in force until now: others have taken their place. What the new ones
 * have counted is kept, so that these can be taken back.
 */
export function foldedBehind<States extends Readonly<Record<string, AttributeState>>>(
  states: States,
  attributes: readonly AttributeConfig[],
  before: Tables,
): States {
  const changed: Record<string, AttributeState> = {};
  for (const config of attributes) {
    const state = states[config.name];
    if (config.type !== 'counter' || state?.kind !== 'counter') continue;
    const seed = seedOf(config, before);
    const folded = seed ? withoutCovered(state, seed) : state;
    if (folded !== state) changed[config.name] = folded;
  }
  return Object.keys(changed).length === 0 ? states : { ...states, ...changed };
}

/** The counter without what a batch has counted; the same one when there is nothing of it. */
function withoutCovered(state: CounterState, seed: Seed): CounterState {
  const { since } = state;
  if (!since) return state;
  const first = firstBlock(since, seed);
  const sums = since.sums.filter(([block]) => block >= first);
  return sums.length === since.sums.length ? state : { ...state, since: { ...since, sums } };
}

/**
 * A batch has seen everything before the minute that its time is in, or up to the position. What it has seen a part of was
 * counted by it: nothing is counted twice.
 */
function firstBlock({ by, grain }: SinceBatch, { upTo }: Seed): number {
  const first = by === 'time' ? Math.floor(upTo / MINUTE_MS) : upTo + 1;
  return Math.ceil(first / grain);
}

function added(sums: SinceBatch['sums'], block: number, micros: number): SinceBatch['sums'] {
  const at = sums.findLastIndex(([other]) => other <= block);
  const here = sums[at];
  if (here && here[0] === block) return sums.with(at, [block, here[1] + micros]);
  return sums.toSpliced(at + 1, 0, [block, micros]);
}

/** Depends on what was noted alone, not on the order in which it came. */
function bounded(since: SinceBatch): SinceBatch {
  let bound = since;
  while (bound.sums.length > SINCE_MAX) bound = coarser(bound, bound.grain * 2);
  return bound;
}

function coarser(since: SinceBatch, grain: number): SinceBatch {
  if (grain === since.grain) return since;
  const factor = grain / since.grain;
  let sums: SinceBatch['sums'] = [];
  for (const [block, micros] of since.sums) sums = added(sums, Math.floor(block / factor), micros);
  return { by: since.by, grain, sums };
}
