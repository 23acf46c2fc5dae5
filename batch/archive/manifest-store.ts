// The manifest in the archive's storage: `manifest/<number>.json`, and now and then `manifest/<number>.checkpoint.json`.
// An entry is stored under the number after the last one or not at all: of two writers, one finds it taken.
import { isStitchworkError, StitchworkError } from '../../shared/kernel/errors.ts';
import type { ArchiveStorage } from '../../shared/ports/archive-storage.ts';
import {
  decodeCheckpoint,
  decodeEntry,
  EMPTY_MANIFEST,
  encodeCheckpoint,
  encodeEntry,
  type Manifest,
  type ManifestEntry,
  withEntry,
} from './manifest.ts';

export const MANIFEST_FOLDER = 'manifest/';
const NUMBER_WIDTH = 12;
const CHECKPOINT_EVERY = 100;
const TRIES_MAX = 20;

const entryName = (version: number) =>
  `${MANIFEST_FOLDER}${String(version).padStart(NUMBER_WIDTH, '0')}.json`;
const checkpointName = (version: number) =>
  `${MANIFEST_FOLDER}${String(version).padStart(NUMBER_WIDTH, '0')}.checkpoint.json`;

/** The manifest as it is now. Throws RECORD_DAMAGED. */
export async function loadManifest(storage: ArchiveStorage): Promise<Manifest> {
  for (let tries = 1; ; tries++) {
    try {
      return await loadOnce(storage);
    } catch (error) {
      // What a checkpoint made superfluous can go between the list and the reading.
      if (!isStitchworkError(error, 'NOT_FOUND') || tries >= TRIES_MAX) throw error;
    }
  }
}

async function loadOnce(storage: ArchiveStorage): Promise<Manifest> {
  const { entries, checkpoints } = numbersIn(await storage.list(MANIFEST_FOLDER));
  const newest = checkpoints.at(-1);
  let manifest =
    newest === undefined ? EMPTY_MANIFEST : decodeCheckpoint(await storage.read(checkpointName(newest)));
  for (const number of entries) {
    if (number <= manifest.version) continue;
    if (number !== manifest.version + 1)
      throw new StitchworkError(
        'RECORD_DAMAGED',
        `entry ${manifest.version + 1} of the archive's manifest is gone`,
      );
    manifest = withEntry(manifest, decodeEntry(await storage.read(entryName(number))));
  }
  return manifest;
}

/** The manifest with one more entry, durable; undefined when somebody else wrote an entry since it was loaded. */
export async function appendEntry(
  storage: ArchiveStorage,
  manifest: Manifest,
  entry: ManifestEntry,
): Promise<Manifest | undefined> {
  const after = withEntry(manifest, entry);
  const outcome = await storage.put(entryName(after.version), encodeEntry(entry));
  return outcome === 'stored' ? after : undefined;
}

/**
 * Writes a checkpoint when it is time for one, and removes what is older than the one before. Only for the owner of the
 * archive, after it made sure that it still is.
 */
export async function checkpointManifest(storage: ArchiveStorage, manifest: Manifest): Promise<void> {
  if (manifest.version % CHECKPOINT_EVERY !== 0) return;
  await storage.put(checkpointName(manifest.version), encodeCheckpoint(manifest));
  const { entries, checkpoints } = numbersIn(await storage.list(MANIFEST_FOLDER));
  const keptFrom = checkpoints.at(-2) ?? 0;
  for (const number of entries) if (number <= keptFrom) await storage.remove(entryName(number));
  for (const number of checkpoints) if (number < keptFrom) await storage.remove(checkpointName(number));
}

function numbersIn(files: readonly { readonly name: string }[]) {
  const entries: number[] = [];
  const checkpoints: number[] = [];
  for (const { name } of files) {
    const match = /^(\d+)(\.checkpoint)?\.json$/.exec(name.slice(MANIFEST_FOLDER.length));
    if (match) (match[2] ? checkpoints : entries).push(Number(match[1]));
  }
  const ascending = (a: number, b: number) => a - b;
  return { entries: entries.sort(ascending), checkpoints: checkpoints.sort(ascending) };
}
