// A database of its own for one report, export or graph: views over the archive as it is now and over what is stored of
// profiles, in a folder that goes with it.
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { type Random, randomToken } from '../../shared/kernel/random.ts';
import type { ArchiveStorage } from '../../shared/ports/archive-storage.ts';
import type { KeptMessages } from '../../shared/ports/kept-messages.ts';
import type { StoredRows } from '../../shared/ports/stored-rows.ts';
import { loadManifest } from '../archive/manifest-store.ts';
import { type Duck, openDuck } from '../duck.ts';
import { holdFiles } from '../jobs/archive-files.ts';
import { QueryViews } from './query-views.ts';

export interface OpenViewsDeps {
  readonly config: SegmentConfig;
  readonly stored: StoredRows;
  readonly kept: KeptMessages;
  readonly storage: ArchiveStorage;
  readonly random: Random;
  /** For folders of such databases, on the file system of the archive. */
  readonly scratch: string;
  readonly threads: number;
}

export interface OpenViewsOptions {
  readonly memoryBytes: number;
  readonly nowMs: number;
  readonly signal: AbortSignal;
  readonly log: (text: string) => void;
}

export interface OpenViews {
  readonly duck: Duck;
  readonly views: QueryViews;
  readonly folder: string;
  /** Position of the archive: 0 when there is none. */
  readonly through: number;
  close(): Promise<void>;
}

/** A folder that nobody has touched for so long was left by a process that died. */
const LEFT_AFTER_MS = 24 * 3_600_000;

/** Throws INVALID_SETTINGS without DuckDB, RECORD_DAMAGED. The caller closes it. */
export async function openViews(deps: OpenViewsDeps, options: OpenViewsOptions): Promise<OpenViews> {
  const { storage, scratch, threads } = deps;
  const { memoryBytes, nowMs } = options;
  await removeLeft(scratch, nowMs - LEFT_AFTER_MS);
  const folder = join(scratch, randomToken(deps.random));
  await mkdir(folder, { recursive: true });
  let duck: Duck | undefined;
  try {
    const { position: through } = await loadManifest(storage);
    const files = through === 0 ? [] : await holdFiles(storage, through, join(folder, 'events'));
    duck = await openDuck({ memoryBytes, threads, tempFolder: join(folder, 'duckdb') });
    const views = new QueryViews({ ...deps, ...options, duck, files, through });
    const opened = duck;
    const close = async () => {
      opened.close();
      await rm(folder, { recursive: true, force: true });
    };
    return { duck, views, folder, through, close };
  } catch (error) {
    duck?.close();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

async function removeLeft(scratch: string, beforeMs: number): Promise<void> {
  const names = await readdir(scratch).catch(() => []);
  for (const name of names) {
    const path = join(scratch, name);
    const found = await stat(path).catch(() => undefined);
    if (found && found.mtimeMs < beforeMs) await rm(path, { recursive: true, force: true });
  }
}
