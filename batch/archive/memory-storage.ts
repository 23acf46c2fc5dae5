// Archive storage in memory, for tests and for trying things out: the same promises, for the life of the process.
import { readFile, rm } from 'node:fs/promises';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { ArchiveStorage } from '../../shared/ports/archive-storage.ts';

export function createMemoryStorage(): ArchiveStorage {
  const files = new Map<string, Uint8Array>();
  return {
    async put(name, content) {
      if (files.has(name)) return 'exists';
      const bytes = content instanceof Uint8Array ? Uint8Array.from(content) : await readFile(content.file);
      if (files.has(name)) return 'exists';
      files.set(name, bytes);
      if (!(content instanceof Uint8Array)) await rm(content.file);
      return 'stored';
    },
    async list(prefix) {
      return [...files]
        .filter(([name]) => name.startsWith(prefix))
        .map(([name, { length }]) => ({ name, bytes: length }))
        .sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    async read(name) {
      const bytes = files.get(name);
      if (!bytes) throw new StitchworkError('NOT_FOUND', `there is no ${name} in the archive`);
      return bytes;
    },
    async remove(name) {
      files.delete(name);
    },
    pathOf: () => undefined,
    async removeUnfinished() {},
  };
}
