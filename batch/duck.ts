// The one door to DuckDB, loaded when it is first needed: its package is large and optional.
import type { DuckDBConnection } from '@duckdb/node-api';
import { StitchworkError } from '../shared/kernel/errors.ts';

export type DuckModule = typeof import('@duckdb/node-api');

export interface Duck {
  readonly module: DuckModule;
  /** Runs `use` with a connection of its own. */
  use<T>(use: (connection: DuckDBConnection) => Promise<T>): Promise<T>;
  /** A connection for the caller to close. */
  open(): Promise<DuckDBConnection>;
  close(): void;
}

export interface DuckOptions {
  readonly memoryBytes: number;
  readonly threads: number;
  /** Where it puts what does not fit into memory. */
  readonly tempFolder: string;
}

/** A database in memory. Throws INVALID_SETTINGS when the package is not installed. */
export async function openDuck(options: DuckOptions): Promise<Duck> {
  const module = await load();
  const instance = await module.DuckDBInstance.create(':memory:', {
    memory_limit: `${Math.floor(options.memoryBytes / 1_000_000)}MB`,
    threads: String(options.threads),
    temp_directory: options.tempFolder,
  });
  return {
    module,
    async use(use) {
      const connection = await instance.connect();
      try {
        return await use(connection);
      } finally {
        connection.closeSync();
      }
    },
    open: () => instance.connect(),
    close: () => instance.closeSync(),
  };
}

async function load(): Promise<DuckModule> {
  try {
    return await import('@duckdb/node-api');
  } catch (cause) {
    throw new StitchworkError(
      'INVALID_SETTINGS',
      'the package @duckdb/node-api is missing, without which there is no archive: npm install @duckdb/node-api',
      { cause },
    );
  }
}

/** A text as an SQL literal. */
export function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
