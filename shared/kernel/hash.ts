// Hash functions with fixed, documented results: what they return is stored, so they never change.
import { hash as hashOnce } from 'node:crypto';

/** FNV-1a over UTF-8, 32 bits, followed by MurmurHash3's finalizer so that low bits are well mixed. */
export function hash32(text: string): number {
  let h = 0x811c9dc5;
  for (const byte of Buffer.from(text, 'utf8')) h = Math.imul(h ^ byte, 0x01000193);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  h ^= h >>> 16;
  return h >>> 0;
}

/** SHA-256, 32 bytes. */
export function sha256(data: string | Uint8Array): Buffer {
  return hashOnce('sha256', data, 'buffer');
}

/** SHA-256 as base64url without padding, cut to `length` characters (6 bits each; 43 is the whole digest). */
export function sha256Base64Url(data: string | Uint8Array, length = 43): string {
  return hashOnce('sha256', data, 'base64url').slice(0, length);
}

export function sha256Hex(data: string | Uint8Array): string {
  return hashOnce('sha256', data, 'hex');
}

/**
 * UUID version 7 (RFC 9562 section 5.7) with the given time and its 74 random bits drawn from SHA-256 of `entropy`:
 * the same inputs give the same id, so that a decision that is made again names the same profile.
 */
export function uuidV7From(timeMs: number, entropy: string): string {
  const bytes = sha256(entropy).subarray(0, 16);
  bytes.writeUIntBE(timeMs, 0, 6);
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The first 48 bits of SHA-256, as a whole number. */
export function hash48(text: string): number {
  return sha256(text).readUIntBE(0, 6);
}
