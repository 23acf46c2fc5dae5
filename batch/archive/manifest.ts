// What the archive holds: a chain of numbered entries, each written once, of which the files and the position follow. Pure.
// An entry that appends names its files and the new position together: there is no state between.
import { StitchworkError } from '../../shared/kernel/errors.ts';

export interface ArchiveFile {
  readonly name: string;
  readonly rows: number;
  /** Sequences of the first and last row. */
  readonly first: number;
  readonly last: number;
  /** Log times of the earliest and the latest row, ms. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly bytes: number;
  /** SHA-256, hex. */
  readonly digest: string;
}

export type ManifestEntry =
  /** A process takes the archive over: whoever wrote before finds the number taken and stops. */
  | {
      readonly kind: 'claim';
      readonly owner: string;
      readonly archiveId: string;
      readonly logId: string;
      /** Where the archive begins, if this is its first entry: nothing up to this sequence is in it. */
      readonly startsAfter: number;
    }
  /** Every message after the position before, up to this one, is in these files. */
  | { readonly kind: 'append'; readonly position: number; readonly files: readonly ArchiveFile[] }
  /** Files in place of others, with the same rows. */
  | { readonly kind: 'compact'; readonly removed: readonly string[]; readonly added: readonly ArchiveFile[] };

export interface Manifest {
  /** Number of the last entry; 0: none. */
  readonly version: number;
  readonly archiveId: string;
  readonly logId: string;
  readonly owner: string;
  readonly startsAfter: number;
  /** Every message of the log after `startsAfter`, up to this sequence, is in the files. */
  readonly position: number;
  readonly files: ReadonlyMap<string, ArchiveFile>;
}

export const EMPTY_MANIFEST: Manifest = {
  version: 0,
  archiveId: '',
  logId: '',
  owner: '',
  startsAfter: 0,
  position: 0,
  files: new Map(),
};

/** The manifest after one more entry. Throws RECORD_DAMAGED when the entry does not belong there. */
export function withEntry(before: Manifest, entry: ManifestEntry): Manifest {
  const version = before.version + 1;
  switch (entry.kind) {
    case 'claim': {
      const { owner, archiveId, logId, startsAfter } = entry;
      if (before.version === 0) {
        const begun = { archiveId, logId, owner, startsAfter, position: startsAfter };
        return { ...EMPTY_MANIFEST, ...begun, version };
      }
      assertBelongs(archiveId === before.archiveId && logId === before.logId, version, 'of another archive');
      return { ...before, version, owner };
    }
    case 'append': {
      const files = new Map(before.files);
      assertBelongs(before.version > 0 && entry.position > before.position, version, 'not behind the last');
      for (const file of entry.files) {
        const isNew = file.first > before.position && file.last <= entry.position && !files.has(file.name);
        assertBelongs(isNew, version, `${file.name} is not new`);
        files.set(file.name, file);
      }
      return { ...before, version, position: entry.position, files };
    }
    case 'compact': {
      const files = new Map(before.files);
      let rows = 0;
      for (const name of entry.removed) {
        assertBelongs(files.has(name), version, `${name} is not there`);
        rows += files.get(name)?.rows ?? 0;
        files.delete(name);
      }
      for (const file of entry.added) {
        assertBelongs(!files.has(file.name), version, `${file.name} is not new`);
        rows -= file.rows;
        files.set(file.name, file);
      }
      assertBelongs(rows === 0, version, `${rows} rows are missing`);
      return { ...before, version, files };
    }
  }
}

function assertBelongs(belongs: boolean, version: number, why: string): asserts belongs {
  if (!belongs)
    throw new StitchworkError(
      'RECORD_DAMAGED',
      `entry ${version} of the archive's manifest does not fit: ${why}`,
    );
}

export function encodeEntry(entry: ManifestEntry): Uint8Array {
  return Buffer.from(`${JSON.stringify({ v: 1, ...entry })}\n`);
}

/** Throws RECORD_DAMAGED when it is not an entry of a known version. */
export function decodeEntry(bytes: Uint8Array): ManifestEntry {
  return versionOne(bytes) as unknown as ManifestEntry;
}

/** The whole manifest, so that the entries before it need not be read. */
export function encodeCheckpoint(manifest: Manifest): Uint8Array {
  return Buffer.from(`${JSON.stringify({ v: 1, ...manifest, files: [...manifest.files.values()] })}\n`);
}

/** Throws RECORD_DAMAGED when it is not a checkpoint of a known version. */
export function decodeCheckpoint(bytes: Uint8Array): Manifest {
  const { v: _, files, ...rest } = versionOne(bytes);
  const list = files as readonly ArchiveFile[];
  return { ...(rest as Omit<Manifest, 'files'>), files: new Map(list.map((file) => [file.name, file])) };
}

function versionOne(bytes: Uint8Array): Record<string, unknown> {
  try {
    const raw: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    if (typeof raw === 'object' && raw !== null && 'v' in raw && raw.v === 1)
      return raw as Record<string, unknown>;
  } catch {
    // Not JSON: damaged, as is what has another version.
  }
  throw new StitchworkError('RECORD_DAMAGED', "part of the archive's manifest cannot be read");
}

export interface ArchiveTotals {
  readonly files: number;
  readonly rows: number;
  readonly bytes: number;
}

export function totalsOf({ files }: Manifest): ArchiveTotals {
  let rows = 0;
  let bytes = 0;
  for (const file of files.values()) {
    rows += file.rows;
    bytes += file.bytes;
  }
  return { files: files.size, rows, bytes };
}

/** The folder of all rows of one hour of log time (UTC). */
export function folderOf(logTimeMs: number): string {
  const text = new Date(logTimeMs).toISOString();
  return `date=${text.slice(0, 10)}/hour=${text.slice(11, 13)}`;
}
