// Which of an event's keys may stand on one profile together. Strong keys first: a weaker key is taken in unless the
// profile that would come of it broke a limit; then that key is left out (demoted) and the rest goes on. So a device or
// contact never joins two profiles that hold different values of a limit-1 key.
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import type { EventKey } from './keys.ts';

/** Key values of a profile by key name. */
export type KeyValues = Readonly<Record<string, readonly { readonly value: string }[]>>;

export interface Holder {
  readonly id: string;
  readonly createdAtMs: number;
  readonly keys: KeyValues;
}

export interface Candidate<H extends Holder> {
  readonly key: EventKey;
  /** The profile that holds the key now. */
  readonly holder: H | undefined;
}

export interface Demoted<H extends Holder> extends Candidate<H> {
  readonly reason: string;
}

export interface Resolution<H extends Holder> {
  /** Strongest first; never empty when there was a candidate. */
  readonly accepted: readonly Candidate<H>[];
  readonly demoted: readonly Demoted<H>[];
  /** Distinct profiles that the accepted keys belong to. */
  readonly holders: readonly H[];
}

/** Takes the candidates, strongest first, one by one. Pure and deterministic. */
export function resolveKeys<H extends Holder>(
  candidates: readonly Candidate<H>[],
  config: SegmentConfig,
): Resolution<H> {
  const [first] = candidates;
  // The usual case: everything on the event belongs to one profile already.
  if (first?.holder && candidates.every(({ holder }) => holder === first.holder)) {
    return { accepted: candidates, demoted: [], holders: [first.holder] };
  }
  const accepted: Candidate<H>[] = [];
  const demoted: Demoted<H>[] = [];
  const holders: H[] = [];
  const together = new KeyTally();
  for (const candidate of candidates) {
    const grown = together.with(candidate, holders);
    const reason = grown.broken(config, together);
    // The strongest key is where the event belongs, whatever its profile looks like (limits may have been lowered).
    if (reason !== undefined && accepted.length > 0 && !isSettled(candidate, holders)) {
      demoted.push({ ...candidate, reason });
      continue;
    }
    accepted.push(candidate);
    together.take(grown);
    if (candidate.holder && !holders.includes(candidate.holder)) holders.push(candidate.holder);
  }
  return { accepted, demoted, holders };
}

/** A key that one of the profiles holds already brings nothing new. */
function isSettled<H extends Holder>(candidate: Candidate<H>, holders: readonly H[]): boolean {
  return candidate.holder !== undefined && holders.includes(candidate.holder);
}

/** Distinct values by key name of the profile that would come of what was taken so far. */
class KeyTally {
  #values = new Map<string, ReadonlySet<string>>();

  with<H extends Holder>({ key, holder }: Candidate<H>, holders: readonly H[]): KeyTally {
    const grown = new KeyTally();
    grown.#values = new Map(this.#values);
    if (holder && !holders.includes(holder)) {
      for (const [name, values] of Object.entries(holder.keys))
        grown.#add(
          name,
          values.map(({ value }) => value),
        );
    }
    grown.#add(key.config.name, [key.value]);
    return grown;
  }

  take(other: KeyTally): void {
    this.#values = other.#values;
  }

  /** The limit that is broken, in words; undefined when none is. */
  broken(config: SegmentConfig, before: KeyTally): string | undefined {
    let count = 0;
    let countBefore = 0;
    for (const { name, limit } of config.stitching.keys) {
      const size = this.#values.get(name)?.size ?? 0;
      const sizeBefore = before.#values.get(name)?.size ?? 0;
      count += size;
      countBefore += sizeBefore;
      // A limit that was lowered under a profile is not held against keys that do not add to it.
      if (limit !== null && size > limit && size > sizeBefore) return `limit of ${limit} ${name} a profile`;
    }
    const { maxKeysPerProfile } = config.stitching;
    return count > maxKeysPerProfile && count > countBefore
      ? `limit of ${maxKeysPerProfile} keys a profile`
      : undefined;
  }

  #add(name: string, values: readonly string[]): void {
    const before = this.#values.get(name);
    if (before && values.every((value) => before.has(value))) return;
    this.#values.set(name, new Set([...(before ?? []), ...values]));
  }
}

/**
 * The profile that stays when several become one: the one that holds the strongest key if only one does, else the
 * oldest (by creation, then by id).
 */
export function survivorOf<H extends Holder>(holders: readonly H[], config: SegmentConfig): H {
  for (const { name } of config.stitching.keys) {
    const having = holders.filter((holder) => (holder.keys[name]?.length ?? 0) > 0);
    if (having.length === 1) return having[0]!;
    if (having.length > 1) break;
  }
  return [...holders].sort((a, b) => a.createdAtMs - b.createdAtMs || (a.id < b.id ? -1 : 1))[0]!;
}
