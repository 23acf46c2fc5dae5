// A memory of so many things and bytes: what was not used for longest goes first.

export interface LastUsed<T> {
  /** Undefined: not in here. */
  get(key: string): T | undefined;
  /** `bytes`: what it weighs, besides its key. */
  put(key: string, value: T, bytes: number): void;
  delete(key: string): void;
}

export interface LastUsedLimits {
  readonly entries: number;
  readonly bytes: number;
}

/** Of what stands around an entry. */
const BASE_BYTES = 200;

export function createLastUsed<T>(limits: LastUsedLimits): LastUsed<T> {
  // In the order of their last use.
  const kept = new Map<string, { readonly value: T; readonly bytes: number }>();
  let total = 0;
  const drop = (key: string) => {
    const held = kept.get(key);
    if (!held) return;
    kept.delete(key);
    total -= held.bytes;
  };
  return {
    get(key) {
      const found = kept.get(key);
      if (!found) return undefined;
      kept.delete(key);
      kept.set(key, found);
      return found.value;
    },
    put(key, value, weight) {
      drop(key);
      const bytes = weight + key.length + BASE_BYTES;
      kept.set(key, { value, bytes });
      total += bytes;
      for (const oldest of kept.keys()) {
        if (kept.size <= limits.entries && total <= limits.bytes) return;
        drop(oldest);
      }
    },
    delete: drop,
  };
}
