// Message ids that a profile has applied, as 64-bit hashes with their log time: every id of the last 15 minutes up to
// 4,000, and always the last 128. That horizon is the promise about duplicates sent by clients. Kept in chunks that are
// never changed, so that adding an id copies at most one chunk.
import { createHash } from 'node:crypto';

/** Three 32-bit numbers an id: low half, high half, log time in seconds. */
export type SeenChunk = Uint32Array;
export type Seen = readonly SeenChunk[];

export interface SeenId {
  readonly low: number;
  readonly high: number;
}

export const SEEN_HORIZON_MS = 15 * 60_000;
export const SEEN_IDS_MAX = 4000;
export const SEEN_IDS_MIN = 128;

const STRIDE = 3;
const CHUNK_IDS = 128;
const HORIZON_S = SEEN_HORIZON_MS / 1000;

/** The first 64 bits of the SHA-256 of a message id. */
export function seenIdOf(messageId: string): SeenId {
  const digest = createHash('sha256').update(messageId).digest();
  return { low: digest.readUInt32LE(0), high: digest.readUInt32LE(4) };
}

export function hasSeen(seen: Seen, id: SeenId): boolean {
  for (let i = seen.length - 1; i >= 0; i--) {
    const chunk = seen[i]!;
    for (let at = chunk.indexOf(id.low); at >= 0; at = chunk.indexOf(id.low, at + 1)) {
      if (at % STRIDE === 0 && chunk[at + 1] === id.high) return true;
    }
  }
  return false;
}

/** With one more id, without those beyond the horizon. */
export function markSeen(seen: Seen, id: SeenId, nowMs: number): Seen {
  const nowS = Math.floor(nowMs / 1000);
  const last = seen.at(-1);
  const entry = Uint32Array.of(id.low, id.high, nowS);
  const grown =
    last && last.length < CHUNK_IDS * STRIDE ? [...seen.slice(0, -1), concat(last, entry)] : [...seen, entry];
  return prune(grown, nowS);
}

/** The ids of both, in the order of time, within the horizon. */
export function mergeSeen(a: Seen, b: Seen, nowMs: number): Seen {
  const ids = [...entriesOf(a), ...entriesOf(b)].sort((x, y) => x[2] - y[2] || x[0] - y[0] || x[1] - y[1]);
  return prune(chunksOf(ids), Math.floor(nowMs / 1000));
}

/** Drops whole chunks from the front while what is left keeps the promise. */
function prune(seen: readonly SeenChunk[], nowS: number): Seen {
  let count = seen.reduce((sum, chunk) => sum + chunk.length / STRIDE, 0);
  let start = 0;
  while (start < seen.length - 1) {
    const chunk = seen[start]!;
    const left = count - chunk.length / STRIDE;
    const newestS = chunk[chunk.length - 1]!;
    const old = newestS < nowS - HORIZON_S && left >= SEEN_IDS_MIN;
    if (!old && left < SEEN_IDS_MAX) break;
    count = left;
    start += 1;
  }
  return start === 0 ? seen : seen.slice(start);
}

/** Stored form: all entries in a row, little-endian. */
export function encodeSeen(seen: Seen): Uint8Array {
  const bytes = new Uint8Array(seen.reduce((sum, chunk) => sum + chunk.byteLength, 0));
  let at = 0;
  for (const chunk of seen) {
    bytes.set(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength), at);
    at += chunk.byteLength;
  }
  return bytes;
}

export function decodeSeen(bytes: Uint8Array): Seen {
  // A copy of its own: what comes may be a view into a larger, unaligned buffer.
  const aligned = new Uint32Array(new Uint8Array(bytes).buffer);
  const chunks: SeenChunk[] = [];
  for (let at = 0; at < aligned.length; at += CHUNK_IDS * STRIDE) {
    chunks.push(aligned.slice(at, at + CHUNK_IDS * STRIDE));
  }
  return chunks;
}

type Entry = readonly [number, number, number];

function* entriesOf(seen: Seen): Iterable<Entry> {
  for (const chunk of seen) {
    for (let at = 0; at < chunk.length; at += STRIDE) yield [chunk[at]!, chunk[at + 1]!, chunk[at + 2]!];
  }
}

function chunksOf(ids: readonly Entry[]): SeenChunk[] {
  const chunks: SeenChunk[] = [];
  for (let at = 0; at < ids.length; at += CHUNK_IDS) {
    chunks.push(Uint32Array.from(ids.slice(at, at + CHUNK_IDS).flat()));
  }
  return chunks;
}

function concat(a: Uint32Array, b: Uint32Array): Uint32Array {
  const both = new Uint32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
