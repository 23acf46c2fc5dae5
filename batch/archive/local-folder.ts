// Archive storage in a folder of this machine, or one that is mounted. A file gets its name by a hard link, after its bytes
// are durable: it is there whole or not at all, and a name in use is never given again.
import { link, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isStitchworkError, StitchworkError } from '../../shared/kernel/errors.ts';
import type { ArchiveStorage, FileContent, StoredFile } from '../../shared/ports/archive-storage.ts';

/** Files that have no name yet. */
export const UNFINISHED_FOLDER = '.unfinished';
const NAME = /^(?!\.)[A-Za-z0-9=._-]+(\/(?!\.)[A-Za-z0-9=._-]+)*$/;

let made = 0;

/** `root` is made when the first file is put. Files that are handed over must lie on the same file system. */
export function createLocalFolder(root: string): ArchiveStorage {
  const unfinished = join(root, UNFINISHED_FOLDER);
  const pathOf = (name: string) => {
    if (!NAME.test(name)) throw new StitchworkError('INTERNAL', `${name} cannot be the name of a file`);
    return join(root, name);
  };
  return {
    async put(name, content) {
      const path = pathOf(name);
      await makeFolder(dirname(path));
      const file = await durable(unfinished, content);
      try {
        await link(file, path);
      } catch (error) {
        if (!hasCode(error, 'EEXIST')) throw error;
        await rm(file, { force: true });
        return 'exists';
      }
      await syncFolder(dirname(path));
      await rm(file, { force: true });
      return 'stored';
    },
    async list(prefix) {
      const folder = prefix.includes('/') ? prefix.slice(0, prefix.lastIndexOf('/') + 1) : '';
      const found: StoredFile[] = [];
      await walk(root, folder, found);
      return found.filter(({ name }) => name.startsWith(prefix)).sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    async read(name) {
      try {
        return await readFile(pathOf(name));
      } catch (error) {
        if (!hasCode(error, 'ENOENT')) throw error;
        throw new StitchworkError('NOT_FOUND', `there is no ${name} in the archive at ${root}`);
      }
    },
    remove: (name) => rm(pathOf(name), { force: true }),
    pathOf,
    removeUnfinished: () => rm(unfinished, { recursive: true, force: true }),
  };
}

/** The content as a file whose bytes are on the disk. */
async function durable(folder: string, content: FileContent): Promise<string> {
  if (!(content instanceof Uint8Array)) {
    const file = await open(content.file, 'r+');
    await file.sync().finally(() => file.close());
    return content.file;
  }
  await mkdir(folder, { recursive: true });
  for (;;) {
    const path = join(folder, `${process.pid}-${made++}`);
    try {
      const file = await open(path, 'wx');
      await (async () => {
        await file.writeFile(content);
        await file.sync();
      })().finally(() => file.close());
      return path;
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    }
  }
}

/** Makes a folder and those above it, each durable in the one that holds it. */
async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined) return;
  for (let folder = path; folder.length >= first.length; folder = dirname(folder))
    await syncFolder(dirname(folder));
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  await folder.sync().finally(() => folder.close());
}

async function walk(root: string, folder: string, found: StoredFile[]): Promise<void> {
  for (const entry of await entriesOf(join(root, folder))) {
    if (entry.name.startsWith('.')) continue;
    const name = `${folder}${entry.name}`;
    if (entry.isDirectory()) await walk(root, `${name}/`, found);
    else {
      const bytes = await sizeOf(join(root, name));
      if (bytes !== undefined) found.push({ name, bytes });
    }
  }
}

async function entriesOf(path: string) {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Undefined when the file was removed meanwhile. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function hasCode(error: unknown, code: string): boolean {
  return !isStitchworkError(error) && error instanceof Error && 'code' in error && error.code === code;
}
