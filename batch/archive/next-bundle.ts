// Which small files are put together next: those of one finished hour, in the order of the log, up to a size. Pure.
import type { ArchiveFile, Manifest } from './manifest.ts';

export interface CompactOptions {
  readonly nowMs: number;
  /** An hour is finished when so much time has passed since its end. */
  readonly graceMs: number;
  /** No file is made larger than this; a single one may be. */
  readonly bytesMax: number;
  /** Most files put together at once. */
  readonly filesMax: number;
}

const HOUR_MS = 3_600_000;

/** At least two files that follow one another in an hour, the oldest hour first; undefined: there are none. */
export function nextBundle(manifest: Manifest, options: CompactOptions): readonly ArchiveFile[] | undefined {
  const hours = new Map<string, ArchiveFile[]>();
  for (const file of manifest.files.values()) {
    const hour = Math.floor(file.fromMs / HOUR_MS);
    if ((hour + 1) * HOUR_MS + options.graceMs > options.nowMs) continue;
    const folder = file.name.slice(0, file.name.lastIndexOf('/'));
    const files = hours.get(folder);
    if (files) files.push(file);
    else hours.set(folder, [file]);
  }
  const folders = [...hours.keys()].sort();
  for (const folder of folders) {
    const bundle = firstBundle(hours.get(folder) ?? [], options);
    if (bundle) return bundle;
  }
  return undefined;
}

function firstBundle(
  files: readonly ArchiveFile[],
  { bytesMax, filesMax }: CompactOptions,
): readonly ArchiveFile[] | undefined {
  let bundle: ArchiveFile[] = [];
  let bytes = 0;
  for (const file of [...files].sort((a, b) => a.first - b.first)) {
    if (bytes + file.bytes > bytesMax || bundle.length >= filesMax) {
      if (bundle.length > 1) return bundle;
      bundle = [];
      bytes = 0;
    }
    bundle.push(file);
    bytes += file.bytes;
  }
  return bundle.length > 1 ? bundle : undefined;
}
