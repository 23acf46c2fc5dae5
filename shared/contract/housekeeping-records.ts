// What the housekeeper writes down before it removes anything, so that others can tell a purge from a loss.
import { pack, unpack } from 'msgpackr';

/** Stored under `h.purge` before the log is purged. */
export interface PurgeRecord {
  readonly v: 1;
  /** Log messages up to this sequence may be gone. */
  readonly purgedTo: number;
}

/** Stored under `h.copies` before the outbox is purged. */
export interface CopiesRecord {
  readonly v: 1;
  readonly targets: Readonly<Record<string, { readonly createdAt: string; readonly purgedTo: number }>>;
}

export function encodeHousekeeping(record: PurgeRecord | CopiesRecord): Uint8Array {
  return pack(record);
}

/** Throws when the bytes are not a record of a known version. */
export function decodePurgeRecord(bytes: Uint8Array): PurgeRecord {
  return versionOne(unpack(bytes)) as PurgeRecord;
}

/** Throws when the bytes are not a record of a known version. */
export function decodeCopiesRecord(bytes: Uint8Array): CopiesRecord {
  return versionOne(unpack(bytes)) as CopiesRecord;
}

function versionOne(raw: unknown): unknown {
  if (typeof raw !== 'object' || raw === null || !('v' in raw) || raw.v !== 1) {
    throw new Error('not a housekeeping record of a known version');
  }
  return raw;
}
