// One query of somebody's over the views, and nothing else: after the views are made the database is closed to files,
// extensions and settings, so that a query reads what is in them and can write nowhere.
import type { DuckDBConnection, DuckDBPreparedStatement } from '@duckdb/node-api';
import { errorText, StitchworkError } from '../../shared/kernel/errors.ts';
import { type Duck, sqlText } from '../duck.ts';
import type { QueryViews } from './query-views.ts';

export interface QueryPart {
  readonly columns: readonly string[];
  /** As JSON has them: times as ISO 8601, whole numbers that a double cannot hold as text, bytes as base64. */
  readonly rows: readonly (readonly unknown[])[];
}

export interface QueryDeps {
  readonly duck: Duck;
  readonly views: QueryViews;
  /** The one folder that may still be read: the files under the views. */
  readonly folder: string;
  readonly signal: AbortSignal;
}

const HINT = 'one query is meant: SELECT, WITH or FROM';

/**
 * The result, at least one part, which names the columns. Only once a database. Throws BAD_REQUEST for what is no query or is
 * wrong, what the ports throw, and the reason of the signal.
 */
export async function* runQuery(
  { duck, views, folder, signal }: QueryDeps,
  sql: string,
): AsyncGenerator<QueryPart> {
  await views.prepare(sql);
  signal.throwIfAborted();
  const connection = await duck.open();
  const interrupt = () => connection.interrupt();
  signal.addEventListener('abort', interrupt, { once: true });
  try {
    await closeToTheWorld(connection, folder);
    yield* resultOf(duck, await prepareOne(duck, connection, sql));
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof StitchworkError) throw error;
    throw new StitchworkError('BAD_REQUEST', errorText(error), { cause: error });
  } finally {
    signal.removeEventListener('abort', interrupt);
    connection.closeSync();
  }
}

async function closeToTheWorld(connection: DuckDBConnection, folder: string): Promise<void> {
  await connection.run(`SET allowed_directories = [${sqlText(folder)}]`);
  await connection.run('SET enable_external_access = false');
  await connection.run('SET lock_configuration = true');
}

async function prepareOne(
  { module }: Duck,
  connection: DuckDBConnection,
  sql: string,
): Promise<DuckDBPreparedStatement> {
  const all = await connection.extractStatements(sql);
  if (all.count !== 1) throw new StitchworkError('BAD_REQUEST', `there are ${all.count} statements; ${HINT}`);
  const statement = await all.prepare(0);
  const { SELECT, EXPLAIN } = module.StatementType;
  if (statement.statementType !== SELECT && statement.statementType !== EXPLAIN)
    throw new StitchworkError('BAD_REQUEST', `nothing can be changed here; ${HINT}`);
  if (statement.parameterCount > 0)
    throw new StitchworkError('BAD_REQUEST', 'a query has no parameters here: write the values into it');
  return statement;
}

async function* resultOf(duck: Duck, statement: DuckDBPreparedStatement): AsyncGenerator<QueryPart> {
  const result = await statement.stream();
  const columns = result.columnNames();
  const isJson = result.columnTypes().map((type) => type.alias === 'JSON');
  yield { columns, rows: [] };
  for (;;) {
    const chunk = await result.fetchChunk();
    if (!chunk || chunk.rowCount === 0) return;
    const rows = chunk.convertRows(duck.module.JSDuckDBValueConverter);
    yield { columns, rows: rows.map((row) => row.map((value, i) => plainOf(value, isJson[i]!))) };
  }
}

function plainOf(value: unknown, isJson: boolean): unknown {
  if (value === null || value === undefined) return null;
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : String(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  if (Array.isArray(value)) return value.map((each) => plainOf(each, false));
  if (typeof value === 'object')
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, plainOf(each, false)]));
  return isJson && typeof value === 'string' ? JSON.parse(value) : value;
}
