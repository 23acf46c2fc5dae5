// Both archive storages under one suite, and what only the folder can do wrong.
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { createLocalFolder, UNFINISHED_FOLDER } from '../../batch/archive/local-folder.ts';
import { createMemoryStorage } from '../../batch/archive/memory-storage.ts';
import { archiveStorageContract } from './archive-storage.contract.ts';

archiveStorageContract('folder', createLocalFolder);
archiveStorageContract('memory', () => createMemoryStorage());

it('the folder shows nothing unfinished, and removes what a process left', async () => {
  const root = await mkdtemp(join(tmpdir(), 'stitchwork-storage-'));
  try {
    const storage = createLocalFolder(root);
    await mkdir(join(root, UNFINISHED_FOLDER, 'someone'), { recursive: true });
    await writeFile(join(root, UNFINISHED_FOLDER, 'someone', 'half.parquet'), 'ha');
    expect(await storage.list('')).toEqual([]);
    await storage.removeUnfinished();
    expect(await readdir(root)).toEqual([]);
    for (const name of ['../x', '/x', '.x', 'a/../b', 'a//b', '', 'a b'])
      await expect(storage.put(name, Buffer.from('x'))).rejects.toThrow('cannot be the name');
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
