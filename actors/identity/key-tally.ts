// The keys of a profile in the making: what it would hold, and which limit that breaks.
import type { KeyConfig, KeyKind, SegmentConfig } from '../../shared/contract/config/segment-config.ts';

/** Key values of a profile by key name, with the time each was seen last. */
export type KeyValues = Readonly<
  Record<string, readonly { readonly value: string; readonly lastSeenMs: number }[]>
>;

export interface HeldValue {
  readonly name: string;
  readonly value: string;
  readonly lastSeenMs: number;
}

/** The limit that is broken. */
export interface BrokenLimit {
  readonly reason: 'limit' | 'max_keys';
  /** The key whose limit it is; undefined for the limit of all keys. */
  readonly name: string | undefined;
  readonly detail: string;
}

/** Weakest first: what goes when a profile holds too many keys. */
const WEAKEST_FIRST: readonly KeyKind[] = ['device', 'contact', 'person'];

/** Immutable: `with` and `without` give another one. */
export class KeyTally {
  readonly #values: ReadonlyMap<string, ReadonlyMap<string, number>>;

  constructor(values: ReadonlyMap<string, ReadonlyMap<string, number>> = new Map()) {
    this.#values = values;
  }

  /** With one value more, seen now. */
  withValue(name: string, value: string, nowMs: number): KeyTally {
    return this.withValues({ [name]: [{ value, lastSeenMs: nowMs }] });
  }

  withValues(more: KeyValues): KeyTally {
    const values = new Map(this.#values);
    for (const [name, held] of Object.entries(more)) {
      const times = new Map(values.get(name));
      for (const { value, lastSeenMs } of held)
        times.set(value, Math.max(lastSeenMs, times.get(value) ?? Number.NEGATIVE_INFINITY));
      values.set(name, times);
    }
    return new KeyTally(values);
  }

  without(gone: readonly Pick<HeldValue, 'name' | 'value'>[]): KeyTally {
    if (gone.length === 0) return this;
    const values = new Map(this.#values);
    for (const { name, value } of gone) {
      const times = new Map(values.get(name));
      times.delete(value);
      values.set(name, times);
    }
    return new KeyTally(values);
  }

  /** The first limit that is broken and was not as broken `before`: a lowered limit is not held against what adds nothing. */
  broken(config: SegmentConfig, nowMs: number, before: KeyTally): BrokenLimit | undefined {
    const { keys, maxKeysPerProfile } = config.stitching;
    for (const key of keys) {
      const { name, limit, limitWindowMs } = key;
      if (limit === null) continue;
      const count = this.#counted(key, nowMs);
      if (count <= limit || count <= before.#counted(key, nowMs)) continue;
      const detail = `limit of ${limit} ${name} a profile${limitWindowMs === null ? '' : ' in its window'}`;
      return { reason: 'limit', name, detail };
    }
    if (this.size <= maxKeysPerProfile || this.size <= before.size) return undefined;
    return { reason: 'max_keys', name: undefined, detail: `limit of ${maxKeysPerProfile} keys a profile` };
  }

  get size(): number {
    let size = 0;
    for (const times of this.#values.values()) size += times.size;
    return size;
  }

  /** The value of a key that was seen longest ago, of those that are not kept; ties by value. */
  oldestOf(name: string, isKept: (value: HeldValue) => boolean): HeldValue | undefined {
    return oldest(this.#held(name).filter((held) => !isKept(held)));
  }

  /** The value of the weakest kind of key that was seen longest ago, of those that are not kept. */
  weakest(config: SegmentConfig, isKept: (value: HeldValue) => boolean): HeldValue | undefined {
    for (const kind of WEAKEST_FIRST) {
      const names = config.stitching.keys.filter((key) => key.kind === kind).map(({ name }) => name);
      const found = oldest(names.flatMap((name) => this.#held(name)).filter((held) => !isKept(held)));
      if (found) return found;
    }
    return undefined;
  }

  #held(name: string): readonly HeldValue[] {
    return [...(this.#values.get(name) ?? [])].map(([value, lastSeenMs]) => ({ name, value, lastSeenMs }));
  }

  /** Values that count towards the limit. */
  #counted({ name, limitWindowMs }: KeyConfig, nowMs: number): number {
    const times = this.#values.get(name);
    if (!times || limitWindowMs === null) return times?.size ?? 0;
    let count = 0;
    for (const lastSeenMs of times.values()) if (lastSeenMs > nowMs - limitWindowMs) count += 1;
    return count;
  }
}

function oldest(values: readonly HeldValue[]): HeldValue | undefined {
  const text = ({ name, value }: HeldValue) => `${name}\n${value}`;
  return values.reduce<HeldValue | undefined>((first, held) => {
    if (first === undefined || held.lastSeenMs < first.lastSeenMs) return held;
    return held.lastSeenMs === first.lastSeenMs && text(held) < text(first) ? held : first;
  }, undefined);
}
