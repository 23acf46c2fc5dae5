// The only door to randomness. Tests and the simulation pass a seeded one.

export interface Random {
  /** A number in [0, 1). */
  next(): number;
}

export const systemRandom: Random = { next: () => Math.random() };

/** Deterministic generator (mulberry32, public domain by Tommy Ettinger): same seed, same sequence. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return {
    next() {
      state = (state + 0x6d2b79f5) >>> 0;
      let t = state;
      t = Math.imul(t ^ (t >>> 15), t | 1);
      t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    },
  };
}

const ID_ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/** A token of `length` characters [0-9A-Za-z], safe as a subject token. 16 characters hold 95 bits. */
export function randomToken(random: Random, length = 16): string {
  let token = '';
  for (let i = 0; i < length; i++) token += ID_ALPHABET[Math.floor(random.next() * ID_ALPHABET.length)];
  return token;
}

/** A whole number in [0, bound). */
export function randomBelow(random: Random, bound: number): number {
  return Math.floor(random.next() * bound);
}
