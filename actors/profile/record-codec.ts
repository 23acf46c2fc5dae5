// Stored form of profiles, redirects and links: one byte that names the codec, then msgpack: from version 3 on a row that
// begins with the version, before that an object. A stored record of any older version is brought up to date when it is
// read; a test has a fixture of each.
import { Packr } from 'msgpackr';
import { rowOfKey } from '../../shared/contract/names.ts';
import type { HeldKey, Link, Members, Profile, Redirect, SnapshotRow } from './profile.ts';
import { decodeSeen } from './seen.ts';
import { fromRow, toRow } from './stored-forms.ts';

export type RecordState = Profile | Redirect | Link | Members | SnapshotRow;

export const RECORD_VERSION = 4;
/** The oldest version that is a row. */
const ROW_VERSION_MIN = 3;
const CODEC_MSGPACK = 1;

// A record may be read by a process that shares nothing with its writer: no shared structures.
const packr = new Packr({ useRecords: false, mapsAsObjects: true });

type Stored = Record<string, unknown> & { v: number };

/** From version n to n + 1, of those that were objects. */
const UPCASTERS: Readonly<Record<number, (old: Stored) => Stored>> = {
  // Version 1 had no count of merged profiles and no marks of triggers.
  1: (old) =>
    old.kind === 'profile'
      ? { ...old, v: 2, mergedCount: (old.mergedFrom as unknown[]).length, fired: {} }
      : { ...old, v: 2 },
};

export function encodeRecord(_key: string, state: unknown): Uint8Array {
  const body = packr.pack([RECORD_VERSION, toRow(state as Exclude<RecordState, SnapshotRow>)]);
  const bytes = Buffer.allocUnsafe(body.length + 1);
  bytes[0] = CODEC_MSGPACK;
  bytes.set(body, 1);
  return bytes;
}

/** Throws when the bytes are damaged or of a version that this program does not know. */
export function decodeRecord(key: string, bytes: Uint8Array): RecordState {
  if (rowOfKey(key)) return decodeRow(key, bytes);
  if (bytes[0] !== CODEC_MSGPACK) throw new Error(`${key}: unknown codec ${bytes[0]}`);
  const stored: unknown = packr.unpack(bytes.subarray(1));
  if (!Array.isArray(stored)) return decodeObject(key, stored as Stored);
  const [version, row] = stored as [unknown, unknown];
  if (typeof version !== 'number' || version < ROW_VERSION_MIN || version > RECORD_VERSION)
    throw new Error(`${key}: version ${String(version)} is not known to this program`);
  if (!Array.isArray(row)) throw new Error(`${key}: no record`);
  return fromRow(row, version);
}

/** Rows of snapshots are written by whoever loads them, as JSON. */
function decodeRow(key: string, bytes: Uint8Array): SnapshotRow {
  const values: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
  if (typeof values !== 'object' || values === null || Array.isArray(values))
    throw new Error(`${key}: no row`);
  return { kind: 'row', values: values as SnapshotRow['values'] };
}

/** Versions 1 and 2: the state itself, with its version as `v`. */
function decodeObject(key: string, object: Stored): RecordState {
  if (typeof object !== 'object' || object === null || !Number.isInteger(object.v))
    throw new Error(`${key}: no record`);
  let stored = object;
  while (stored.v < 2) {
    const upcast = UPCASTERS[stored.v];
    if (!upcast) throw new Error(`${key}: unknown version ${stored.v}`);
    stored = upcast(stored);
  }
  if (stored.v > 2) throw new Error(`${key}: no record of version ${stored.v} is an object`);
  const { v: _, ...state } = stored;
  switch (state.kind) {
    case 'profile': {
      const keys = withLastSeen(state.keys as Record<string, readonly Omit<HeldKey, 'lastSeenMs'>[]>);
      return { ...state, keys, seen: decodeSeen(state.seen as Uint8Array) } as unknown as Profile;
    }
    case 'redirect':
    case 'link':
      return state as unknown as Redirect | Link;
    default:
      throw new Error(`${key}: unknown kind ${String(state.kind)}`);
  }
}

/** Before version 4 a key had no time of the last event. */
function withLastSeen(keys: Record<string, readonly Omit<HeldKey, 'lastSeenMs'>[]>): Profile['keys'] {
  const dated = Object.entries(keys).map(([name, held]) => {
    const all = held.map(({ value, firstSeenMs, source }) => {
      return { value, firstSeenMs, lastSeenMs: firstSeenMs, source };
    });
    return [name, all] as const;
  });
  return Object.fromEntries(dated);
}
