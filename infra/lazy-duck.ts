// DuckDB for a role that may never need it: opened with the first question, closed with the role.
import { resolve as resolvePath } from 'node:path';
import { type Duck, openDuck } from '../batch/duck.ts';
import type { Belongings } from './belongings.ts';

const MEMORY_BYTES = 500_000_000;
const THREADS = 1;

/** Throws INVALID_SETTINGS when it is asked for and DuckDB is not installed. */
export function lazyDuck(dataDir: string, belongings: Belongings): () => Promise<Duck> {
  let opened: Promise<Duck> | undefined;
  belongings.own(async () => {
    const duck = await opened?.catch(() => undefined);
    await duck?.close();
  });
  return () => {
    const tempFolder = resolvePath(dataDir, 'tmp', 'duckdb');
    opened ??= openDuck({ memoryBytes: MEMORY_BYTES, threads: THREADS, tempFolder });
    return opened;
  };
}
