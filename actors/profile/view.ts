// What a profile looks like from outside, at a time: the JSON of GET /v1/profiles and the roots that CEL and templates
// see. Windows go down by themselves as time passes; a value beyond its ttl is gone.
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { ExpressionContext } from '../../shared/contract/expression.ts';
import { viewAttributes } from '../attributes/view.ts';
import { batchValues } from './join-batch.ts';
import type { Profile } from './profile.ts';

export interface ProfileView {
  readonly id: string;
  readonly keys: Readonly<Record<string, readonly string[]>>;
  readonly attributes: Readonly<Record<string, unknown>>;
  /** By table: the row, and when its snapshot was made. */
  readonly batch: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** When the oldest of these snapshots was made; null: there is none. */
  readonly batchAsOf: string | null;
  readonly audiences: readonly string[];
  /** Journeys that it is in: at which step, since when, and until when by time alone. */
  readonly journeys: Readonly<Record<string, JourneyView>>;
  /** Activations that are held back for quiet hours. */
  readonly held: readonly HeldView[];
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly mergedFrom: readonly string[];
  /** Number of profiles merged into this one; `mergedFrom` lists the last 100. */
  readonly mergedCount: number;
  /** Version of the config that decided last. */
  readonly configVersion: number;
}

export interface HeldView {
  readonly activation: string;
  readonly id: string;
  readonly until: string;
}

export interface JourneyView {
  readonly step: string;
  readonly enteredAt: string;
  readonly dueAt: string | null;
  /** Version of the config by which it came in, and goes on. */
  readonly configVersion: number;
}

/** The unified profile at `nowMs`. */
export function viewProfile(profile: Profile, config: SegmentConfig, nowMs: number): ProfileView {
  const names = new Set(config.audiences.map(({ name }) => name));
  const keys = { keys: keysNewest(profile), keys_all: keysAll(profile) };
  return {
    id: profile.id,
    keys: keys.keys_all,
    attributes: withoutTables(
      viewAttributes(
        profile.attributes,
        config,
        keys,
        nowMs,
        undefined,
        batchValues(profile, config.batchTables),
      ),
      config,
    ),
    batch: shownBatch(profile, config),
    batchAsOf: batchAsOf(profile, config),
    audiences: Object.keys(profile.audiences ?? {}).filter((name) => names.has(name)),
    journeys: shownJourneys(profile, config),
    held: (profile.sending?.held ?? []).map(({ activation: { name, id }, dueMs }) => {
      return { activation: name, id, until: new Date(dueMs).toISOString() };
    }),
    createdAt: new Date(profile.createdAtMs).toISOString(),
    updatedAt: new Date(profile.updatedAtMs).toISOString(),
    mergedFrom: profile.mergedFrom,
    mergedCount: profile.mergedCount,
    configVersion: profile.configVersion,
  };
}

/** Rows stand under `batch`, not among the attributes. */
function withoutTables(
  values: Record<string, unknown>,
  { batchTables }: SegmentConfig,
): Record<string, unknown> {
  for (const { name } of batchTables) delete values[name];
  return values;
}

function shownBatch(profile: Profile, { batchTables }: SegmentConfig): ProfileView['batch'] {
  const values = batchValues(profile, batchTables);
  const entries = Object.entries(values).map(([name, row]) => {
    const snapshotAt = new Date(profile.batch![name]!.atMs).toISOString();
    return [name, { ...row, snapshotAt }] as const;
  });
  return Object.fromEntries(entries);
}

/** When the oldest of the snapshots that a profile is joined with was made; null: there is none. */
export function batchAsOf({ batch }: Profile, { batchTables }: SegmentConfig): string | null {
  const times = batchTables.flatMap(({ name }) => (batch?.[name]?.values ? [batch[name].atMs] : []));
  return times.length === 0 ? null : new Date(Math.min(...times)).toISOString();
}

function shownJourneys({ journeys = {} }: Profile, config: SegmentConfig): ProfileView['journeys'] {
  const known = new Set(config.journeys.map(({ name }) => name));
  const iso = (ms: number) => new Date(ms).toISOString();
  const inside = Object.entries(journeys).filter(([name]) => known.has(name));
  return Object.fromEntries(
    inside.map(([name, { stepId: step, enteredMs, dueMs, version: configVersion }]) => [
      name,
      { step, enteredAt: iso(enteredMs), dueAt: dueMs === null ? null : iso(dueMs), configVersion },
    ]),
  );
}

/** Values by key name, oldest first. */
export function keysAll(profile: Profile): Record<string, readonly string[]> {
  return Object.fromEntries(
    Object.entries(profile.keys).map(([name, held]) => [name, held.map(({ value }) => value)]),
  );
}

/** The newest value of each key. */
export function keysNewest(profile: Profile): Record<string, string> {
  return Object.fromEntries(Object.entries(profile.keys).map(([name, held]) => [name, held.at(-1)!.value]));
}

/** What expressions about a profile see. `only`: the names of its values that they use; undefined: all. */
export function profileContext(
  profile: Profile,
  config: SegmentConfig,
  event: Readonly<Record<string, unknown>>,
  nowMs: number,
  only?: ReadonlySet<string>,
): ExpressionContext {
  const keys = { keys: keysNewest(profile), keys_all: keysAll(profile) };
  return {
    event,
    profile: viewAttributes(
      profile.attributes,
      config,
      keys,
      nowMs,
      only,
      batchValues(profile, config.batchTables),
    ),
    ...keys,
    now: new Date(nowMs),
  };
}
