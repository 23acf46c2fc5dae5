// The files of the archive for the time of a run: under names of the run's own (hard links), so that a compaction takes none
// of them away.
import { link, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isStitchworkError } from '../../shared/kernel/errors.ts';
import type { ArchiveStorage } from '../../shared/ports/archive-storage.ts';
import type { Manifest } from '../archive/manifest.ts';
import { loadManifest } from '../archive/manifest-store.ts';

const TRIES_MAX = 20;

/**
 * Paths of files that hold everything up to `through`. `folder`: one that nobody else uses, on the file system of the archive.
 * Throws RECORD_DAMAGED.
 */
export async function holdFiles(
  storage: ArchiveStorage,
  through: number,
  folder: string,
): Promise<readonly string[]> {
  for (let tries = 1; ; tries++) {
    try {
      return await linkAll(storage, await loadManifest(storage), through, folder);
    } catch (error) {
      // Put together with others between the manifest and the link.
      const isGone = (error as { code?: unknown }).code === 'ENOENT' || isStitchworkError(error, 'NOT_FOUND');
      if (!isGone || tries >= TRIES_MAX) throw error;
    }
  }
}

async function linkAll(
  storage: ArchiveStorage,
  { files }: Manifest,
  through: number,
  folder: string,
): Promise<readonly string[]> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const paths: string[] = [];
  for (const { name, first } of [...files.values()].sort((a, b) => a.first - b.first)) {
    if (first > through) continue;
    const path = storage.pathOf(name);
    const own = join(folder, `${paths.length}.parquet`);
    if (path === undefined) await writeFile(own, await storage.read(name));
    else await link(path, own);
    paths.push(own);
  }
  return paths;
}
