// What an archive storage promises (shared/ports/archive-storage.ts). One suite for the folder and the one in memory.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { isStitchworkError } from '../../shared/kernel/errors.ts';
import type { ArchiveStorage } from '../../shared/ports/archive-storage.ts';

const text = (value: string) => Buffer.from(value);

/** `make` is given a folder of the test's own; what it returns twice for one folder is one storage, seen by two. */
export function archiveStorageContract(name: string, make: (folder: string) => ArchiveStorage): void {
  describe(`archive storage: ${name}`, () => {
    let folder: string;
    let storage: ArchiveStorage;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'stitchwork-storage-'));
      storage = make(join(folder, 'root'));
    });
    afterEach(() => rm(folder, { recursive: true, force: true }));

    it('has nothing at first', async () => {
      expect(await storage.list('')).toEqual([]);
      await storage.remove('a/b');
      await storage.removeUnfinished();
      await expect(storage.read('a/b')).rejects.toSatisfy((error) => isStitchworkError(error, 'NOT_FOUND'));
    });

    it('gives back what was put, and never replaces it', async () => {
      expect(await storage.put('date=1/hour=2/x.parquet', text('one'))).toBe('stored');
      expect(await storage.put('date=1/hour=2/x.parquet', text('two'))).toBe('exists');
      expect(Buffer.from(await storage.read('date=1/hour=2/x.parquet')).toString()).toBe('one');
      expect(await storage.list('')).toEqual([{ name: 'date=1/hour=2/x.parquet', bytes: 3 }]);
    });

    it('keeps its own copy of what was put', async () => {
      const bytes = text('one');
      await storage.put('x', bytes);
      bytes[0] = 0;
      expect(Buffer.from(await storage.read('x')).toString()).toBe('one');
    });

    it('takes a file over', async () => {
      await storage.put('first', text('1'));
      const file = join(folder, 'given');
      await writeFile(file, 'content');
      expect(await storage.put('a/taken', { file })).toBe('stored');
      await expect(readFile(file)).rejects.toThrow('ENOENT');
      expect(Buffer.from(await storage.read('a/taken')).toString()).toBe('content');
    });

    it('gives a name to one of many that put it at once', async () => {
      const contents = Array.from({ length: 10 }, (_, i) => `content ${i}`);
      const outcomes = await Promise.all(contents.map((content) => storage.put('m/1.json', text(content))));
      expect(outcomes.filter((outcome) => outcome === 'stored')).toHaveLength(1);
      const winner = contents[outcomes.indexOf('stored')];
      expect(Buffer.from(await storage.read('m/1.json')).toString()).toBe(winner);
      expect(await storage.list('')).toHaveLength(1);
    });

    it('lists by prefix, in the order of names, at any depth', async () => {
      for (const file of ['b/2', 'b/1', 'a', 'b/c/3', 'bc']) await storage.put(file, text(file));
      const names = async (prefix: string) => (await storage.list(prefix)).map((file) => file.name);
      expect(await names('')).toEqual(['a', 'b/1', 'b/2', 'b/c/3', 'bc']);
      expect(await names('b/')).toEqual(['b/1', 'b/2', 'b/c/3']);
      expect(await names('b')).toEqual(['b/1', 'b/2', 'b/c/3', 'bc']);
      expect(await names('x/')).toEqual([]);
    });

    it('removes a file, after which its name is free', async () => {
      await storage.put('a', text('1'));
      await storage.remove('a');
      expect(await storage.list('')).toEqual([]);
      expect(await storage.put('a', text('2'))).toBe('stored');
    });

    it('keeps what is finished when it removes what is not', async () => {
      await storage.put('a', text('1'));
      await storage.removeUnfinished();
      expect(Buffer.from(await storage.read('a')).toString()).toBe('1');
      expect(await storage.put('b', text('2'))).toBe('stored');
    });

    it('tells where a file lies, if it lies on this machine', async () => {
      await storage.put('a/b', text('1'));
      const path = storage.pathOf('a/b');
      if (path !== undefined) expect(await readFile(path, 'utf8')).toBe('1');
    });
  });
}
