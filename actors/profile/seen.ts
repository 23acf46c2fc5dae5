// Message ids that a profile has applied, as 64-bit hashes with their log time: every id of the last 15 minutes up to
// 4,000, and always the last 128. That horizon is the promise about duplicates sent by clients. Kept in chunks that are
// never changed, so that adding an id copies at most one chunk.
import { sha256 } from '../../shared/kernel/hash.ts';

/** Entries of 12 bytes: the 8 bytes of an id, then its log time in seconds as a 32-bit number, all little-endian. */
export type SeenChunk = Buffer;
export type Seen = readonly SeenChunk[];

/** The 64 bits of an id as two numbers. */
export interface SeenId {
  readonly low: number;
  readonly high: number;
}

export const SEEN_HORIZON_MS = 15 * 60_000;
export const SEEN_IDS_MAX = 4000;
export const SEEN_IDS_MIN = 128;

const ENTRY_BYTES = 12;
const TIME_AT = 8;
const CHUNK_BYTES = 128 * ENTRY_BYTES;
const HORIZON_S = SEEN_HORIZON_MS / 1000;

/** The first 64 bits of the SHA-256 of a message id. */
export function seenIdOf(messageId: string): SeenId {
  const digest = sha256(messageId);
  return { low: digest.readUInt32LE(0), high: digest.readUInt32LE(4) };
}

export function hasSeen(seen: Seen, id: SeenId): boolean {
  const first = id.low & 0xff;
  for (let i = seen.length - 1; i >= 0; i--) {
    const chunk = seen[i]!;
    for (let at = 0; at < chunk.length; at += ENTRY_BYTES) {
      if (chunk[at] !== first) continue;
      if (chunk.readUInt32LE(at) === id.low && chunk.readUInt32LE(at + 4) === id.high) return true;
    }
  }
  return false;
}

/** With one more id, without those beyond the horizon. */
export function markSeen(seen: Seen, id: SeenId, nowMs: number): Seen {
  const nowS = Math.floor(nowMs / 1000);
  const last = seen.at(-1);
  if (last && last.length < CHUNK_BYTES) return prune([...seen.slice(0, -1), extended(last, id, nowS)], nowS);
  return prune([...seen, extended(undefined, id, nowS)], nowS);
}

function extended(chunk: SeenChunk | undefined, id: SeenId, seconds: number): SeenChunk {
  const at = chunk?.length ?? 0;
  const grown = Buffer.allocUnsafe(at + ENTRY_BYTES);
  if (chunk) grown.set(chunk);
  writeEntry(grown, at, id, seconds);
  return grown;
}

function writeEntry(into: Buffer, at: number, { low, high }: SeenId, seconds: number): void {
  into.writeUInt32LE(low, at);
  into.writeUInt32LE(high, at + 4);
  into.writeUInt32LE(seconds, at + TIME_AT);
}

/** The ids of both, each once, in the order of time, within the horizon. */
export function mergeSeen(a: Seen, b: Seen, nowMs: number): Seen {
  const newest = new Map<bigint, Entry>();
  for (const entry of [...entriesOf(a), ...entriesOf(b)]) {
    const id = (BigInt(entry[1]) << 32n) | BigInt(entry[0]);
    if ((newest.get(id)?.[2] ?? -1) < entry[2]) newest.set(id, entry);
  }
  const ids = [...newest.values()].sort((x, y) => x[2] - y[2] || x[0] - y[0] || x[1] - y[1]);
  const row = Buffer.allocUnsafe(ids.length * ENTRY_BYTES);
  for (const [index, [low, high, seconds]] of ids.entries())
    writeEntry(row, index * ENTRY_BYTES, { low, high }, seconds);
  return prune(decodeSeen(row), Math.floor(nowMs / 1000));
}

/** Drops whole chunks from the front while what is left keeps the promise. */
function prune(seen: readonly SeenChunk[], nowS: number): Seen {
  if (seen.length === 1) return seen;
  let count = 0;
  for (const chunk of seen) count += chunk.length / ENTRY_BYTES;
  let start = 0;
  while (start < seen.length - 1) {
    const chunk = seen[start]!;
    const left = count - chunk.length / ENTRY_BYTES;
    const newestS = chunk.readUInt32LE(chunk.length - ENTRY_BYTES + TIME_AT);
    const old = newestS < nowS - HORIZON_S && left >= SEEN_IDS_MIN;
    if (!old && left < SEEN_IDS_MAX) break;
    count = left;
    start += 1;
  }
  return start === 0 ? seen : seen.slice(start);
}

/** Stored form: all entries in a row. */
export function encodeSeen(seen: Seen): Uint8Array {
  return seen.length === 1 ? seen[0]! : Buffer.concat(seen);
}

/** The chunks are views of the bytes, which must not change any more. */
export function decodeSeen(bytes: Uint8Array): Seen {
  const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const chunks: SeenChunk[] = [];
  for (let at = 0; at < whole.length; at += CHUNK_BYTES) chunks.push(whole.subarray(at, at + CHUNK_BYTES));
  return chunks;
}

type Entry = readonly [number, number, number];

function* entriesOf(seen: Seen): Iterable<Entry> {
  for (const chunk of seen) {
    for (let at = 0; at < chunk.length; at += ENTRY_BYTES)
      yield [chunk.readUInt32LE(at), chunk.readUInt32LE(at + 4), chunk.readUInt32LE(at + TIME_AT)];
  }
}
