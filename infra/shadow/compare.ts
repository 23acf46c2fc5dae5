// Two segments beside one another, such as a live one and its shadow: who is one person here and two there, whose attributes
// and audiences differ, which activations one has and the other has not. Profiles are told by their keys, never by ids.

import { keyLists, type Profile } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import { viewProfile } from '../../actors/profile/view.ts';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { SegmentNames } from '../../shared/contract/names.ts';
import type { Activation } from '../../shared/contract/outbox.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import { readBatches } from '../../shared/nats/stream-batches.ts';

export interface ComparedSegment {
  readonly names: SegmentNames;
  readonly config: SegmentConfig;
}

export type Difference =
  /** Keys of one profile of the first are several profiles' of the second. */
  | {
      readonly kind: 'parted';
      readonly keys: readonly string[];
      readonly into: readonly (readonly string[])[];
    }
  | {
      readonly kind: 'joined';
      readonly keys: readonly string[];
      readonly from: readonly (readonly string[])[];
    }
  | { readonly kind: 'only_first' | 'only_second'; readonly keys: readonly string[] }
  | { readonly kind: 'keys'; readonly keys: readonly string[]; readonly other: readonly string[] }
  | {
      readonly kind: 'attribute';
      readonly keys: readonly string[];
      readonly name: string;
      readonly first: unknown;
      readonly second: unknown;
    }
  | {
      readonly kind: 'audience';
      readonly keys: readonly string[];
      readonly name: string;
      readonly inFirst: boolean;
    }
  | { readonly kind: 'activation'; readonly cause: string; readonly first: number; readonly second: number };

export interface Comparison {
  readonly profiles: { readonly first: number; readonly second: number };
  readonly activations: { readonly first: number; readonly second: number };
  /** How many differences of each kind there are. */
  readonly counts: Readonly<Record<Difference['kind'], number>>;
  /** Some of each kind. */
  readonly examples: readonly Difference[];
}

export interface CompareOptions {
  /** Both are looked at as they are at this time. */
  readonly nowMs: number;
  /** Examples of each kind. */
  readonly examples: number;
}

class Findings {
  readonly counts: Record<Difference['kind'], number> = {
    parted: 0,
    joined: 0,
    only_first: 0,
    only_second: 0,
    keys: 0,
    attribute: 0,
    audience: 0,
    activation: 0,
  };
  readonly examples: Difference[] = [];
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  add(difference: Difference): void {
    this.counts[difference.kind] += 1;
    if (this.counts[difference.kind] <= this.#max) this.examples.push(difference);
  }
}

/** All profiles of both are held in memory at once. Throws LOG_UNAVAILABLE. */
export async function compareSegments(
  door: NatsDoor,
  first: ComparedSegment,
  second: ComparedSegment,
  { nowMs, examples }: CompareOptions,
): Promise<Comparison> {
  const findings = new Findings(examples);
  const a = await readProfiles(door, first.names);
  const b = await readProfiles(door, second.names);
  compareProfiles(a, b, findings, (x, y) => {
    compareAttributes(
      viewProfile(x, first.config, nowMs),
      viewProfile(y, second.config, nowMs),
      textsOf(x),
      findings,
    );
  });
  const activations = await compareActivations(door, first.names, second.names, findings);
  return {
    profiles: { first: a.length, second: b.length },
    activations,
    counts: findings.counts,
    examples: findings.examples,
  };
}

/** All living profiles of a segment. Throws LOG_UNAVAILABLE. */
export async function readProfiles(door: NatsDoor, names: SegmentNames): Promise<readonly Profile[]> {
  const profiles: Profile[] = [];
  const filter = names.recordSubject('p.*');
  for await (const batch of readBatches(door, names.profilesStream, { filter })) {
    for (const { subject, payload, removed } of batch) {
      if (removed || payload.length === 0) continue;
      const state = decodeRecord(subject.slice(names.recordSubjectPrefix.length), payload);
      if (state.kind === 'profile') profiles.push(state);
    }
  }
  return profiles;
}

function textsOf(profile: Profile): readonly string[] {
  return Object.entries(keyLists(profile))
    .flatMap(([name, values]) => values.map((value) => `${name}:${value}`))
    .sort();
}

function ownersOf(profiles: readonly Profile[]): ReadonlyMap<string, Profile> {
  return new Map(profiles.flatMap((profile) => textsOf(profile).map((text) => [text, profile] as const)));
}

function compareProfiles(
  first: readonly Profile[],
  second: readonly Profile[],
  findings: Findings,
  onPair: (a: Profile, b: Profile) => void,
): void {
  const inFirst = ownersOf(first);
  const inSecond = ownersOf(second);
  const others = (profile: Profile, owners: ReadonlyMap<string, Profile>) => [
    ...new Set(textsOf(profile).flatMap((text) => owners.get(text) ?? [])),
  ];
  for (const profile of first) {
    const keys = textsOf(profile);
    const found = others(profile, inSecond);
    const [only] = found;
    if (!only) findings.add({ kind: 'only_first', keys });
    else if (found.length > 1) findings.add({ kind: 'parted', keys, into: found.map(textsOf) });
    else if (others(only, inFirst).length === 1) {
      const other = textsOf(only);
      if (other.join() !== keys.join()) findings.add({ kind: 'keys', keys, other });
      onPair(profile, only);
    }
  }
  for (const profile of second) {
    const found = others(profile, inFirst);
    const keys = textsOf(profile);
    if (found.length === 0) findings.add({ kind: 'only_second', keys });
    if (found.length > 1) findings.add({ kind: 'joined', keys, from: found.map(textsOf) });
  }
}

interface Shown {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly audiences: readonly string[];
}

function compareAttributes(a: Shown, b: Shown, keys: readonly string[], findings: Findings): void {
  for (const name of new Set([...Object.keys(a.attributes), ...Object.keys(b.attributes)])) {
    const [first, second] = [a.attributes[name], b.attributes[name]];
    if (JSON.stringify(first) !== JSON.stringify(second))
      findings.add({ kind: 'attribute', keys, name, first: first ?? null, second: second ?? null });
  }
  const audiences = new Set([...a.audiences, ...b.audiences]);
  for (const name of audiences) {
    const inFirst = a.audiences.includes(name);
    if (inFirst !== b.audiences.includes(name)) findings.add({ kind: 'audience', keys, name, inFirst });
  }
}

async function compareActivations(
  door: NatsDoor,
  first: SegmentNames,
  second: SegmentNames,
  findings: Findings,
): Promise<Comparison['activations']> {
  const a = await countActivations(door, first);
  const b = await countActivations(door, second);
  for (const cause of new Set([...a.keys(), ...b.keys()])) {
    const [inFirst, inSecond] = [a.get(cause) ?? 0, b.get(cause) ?? 0];
    if (inFirst !== inSecond) findings.add({ kind: 'activation', cause, first: inFirst, second: inSecond });
  }
  const total = (counts: ReadonlyMap<string, number>) => [...counts.values()].reduce((sum, n) => sum + n, 0);
  return { first: total(a), second: total(b) };
}

/** By what set it off; where that was time alone, by whom it was about. */
async function countActivations(door: NatsDoor, names: SegmentNames): Promise<ReadonlyMap<string, number>> {
  const counts = new Map<string, number>();
  const filter = names.activationsFilter;
  for await (const batch of readBatches(door, names.activationsStream, { filter })) {
    for (const { payload } of batch) {
      const { name, cause, keys } = JSON.parse(Buffer.from(payload).toString('utf8')) as Activation;
      const { trigger = '', messageId } = cause;
      const by = messageId.startsWith('timer:')
        ? `time ${Object.entries(keys)
            .map(([key, value]) => `${key}:${value}`)
            .sort()
            .join(' ')}`
        : `message ${messageId}`;
      const text = `${name}, trigger ${trigger}, ${by}`;
      counts.set(text, (counts.get(text) ?? 0) + 1);
    }
  }
  return counts;
}
