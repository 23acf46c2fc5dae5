// Who keeps the archive of a segment and how far it has come, stored under `h.archive` in the profile bucket. Whoever keeps
// the archive writes it at the revision that it wrote last; the housekeeper keeps every message of the log beyond it.
import { pack, unpack } from 'msgpackr';

export interface ArchiveRecord {
  readonly v: 1;
  /** Process that may write to the archive; null when it was released. */
  readonly owner: string | null;
  /** Grows by one with every claim. */
  readonly epoch: number;
  /** Made up when the archive was begun: another one means another archive. */
  readonly archiveId: string;
  /** Creation time of the log that `position` counts in. */
  readonly logId: string;
  /** Every message of the log up to this sequence is in the archive, durable. Never ahead of the archive's manifest. */
  readonly position: number;
  readonly rows: number;
  readonly bytes: number;
  readonly files: number;
  /** When the position moved last, ms; 0: never. */
  readonly committedAtMs: number;
}

export const NO_ARCHIVE: ArchiveRecord = {
  v: 1,
  owner: null,
  epoch: 0,
  archiveId: '',
  logId: '',
  position: 0,
  rows: 0,
  bytes: 0,
  files: 0,
  committedAtMs: 0,
};

export function encodeArchiveRecord(record: ArchiveRecord): Uint8Array {
  return pack(record);
}

/** Throws when the bytes are not an archive record of a known version. */
export function decodeArchiveRecord(bytes: Uint8Array): ArchiveRecord {
  const raw: unknown = unpack(bytes);
  if (typeof raw !== 'object' || raw === null || !('v' in raw) || raw.v !== 1)
    throw new Error('not an archive record of a known version');
  return raw as ArchiveRecord;
}
