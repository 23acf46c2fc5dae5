// Stored form of profiles, redirects and links: one byte that names the codec, then msgpack with a version. A stored
// record of any older version is brought up to date when it is read; a test has a fixture of each.
import { Packr } from 'msgpackr';
import type { Link, Profile, Redirect } from './profile.ts';
import { decodeSeen, encodeSeen } from './seen.ts';

export type RecordState = Profile | Redirect | Link;

export const RECORD_VERSION = 2;
const CODEC_MSGPACK = 1;

// A record may be read by a process that shares nothing with its writer: no shared structures.
const packr = new Packr({ useRecords: false, mapsAsObjects: true });

type Stored = Record<string, unknown> & { v: number };

/** From version n to n + 1. */
const UPCASTERS: Readonly<Record<number, (old: Stored) => Stored>> = {
  // Version 1 had no count of merged profiles and no marks of triggers.
  1: (old) =>
    old.kind === 'profile'
      ? { ...old, v: 2, mergedCount: (old.mergedFrom as unknown[]).length, fired: {} }
      : { ...old, v: 2 },
};

export function encodeRecord(_key: string, state: unknown): Uint8Array {
  const record = state as RecordState;
  const stored =
    record.kind === 'profile'
      ? { v: RECORD_VERSION, ...record, seen: encodeSeen(record.seen) }
      : { v: RECORD_VERSION, ...record };
  const body = packr.pack(stored);
  const bytes = new Uint8Array(body.length + 1);
  bytes[0] = CODEC_MSGPACK;
  bytes.set(body, 1);
  return bytes;
}

/** Throws when the bytes are damaged or of a version that this program does not know. */
export function decodeRecord(key: string, bytes: Uint8Array): RecordState {
  if (bytes[0] !== CODEC_MSGPACK) throw new Error(`${key}: unknown codec ${bytes[0]}`);
  let stored = packr.unpack(bytes.subarray(1)) as Stored;
  if (typeof stored !== 'object' || stored === null || !Number.isInteger(stored.v))
    throw new Error(`${key}: no record`);
  while (stored.v < RECORD_VERSION) {
    const upcast = UPCASTERS[stored.v];
    if (!upcast) throw new Error(`${key}: unknown version ${stored.v}`);
    stored = upcast(stored);
  }
  if (stored.v > RECORD_VERSION) throw new Error(`${key}: version ${stored.v} is newer than this program`);
  const { v: _, ...state } = stored;
  switch (state.kind) {
    case 'profile':
      return { ...state, seen: decodeSeen(state.seen as Uint8Array) } as unknown as Profile;
    case 'redirect':
    case 'link':
      return state as unknown as Redirect | Link;
    default:
      throw new Error(`${key}: unknown kind ${String(state.kind)}`);
  }
}
