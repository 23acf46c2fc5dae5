// SQL with named parameters over a run's views: values as JavaScript has them, some rows at a time. What is aborted is
// interrupted inside DuckDB.
import type {
  DuckDBConnection,
  DuckDBExtractedStatements,
  DuckDBPreparedStatement,
  DuckDBValue,
} from '@duckdb/node-api';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { Duck } from '../duck.ts';
import type { JobViews } from './job-views.ts';

/** Values of parameters by name, without the `$`. */
export type SqlParams = Readonly<Record<string, string | number | bigint | boolean | Date | null>>;

export interface ResultPart {
  readonly columns: readonly string[];
  /** Of DuckDB. */
  readonly types: readonly string[];
  /** In the order of the columns. */
  readonly rows: readonly (readonly unknown[])[];
}

export interface SqlDeps {
  readonly duck: Duck;
  readonly views: JobViews;
  readonly signal: AbortSignal;
}

/**
 * Runs all statements; those before the last make tables and macros, the last one gives the result: at least one part, which
 * names the columns. Throws BAD_REQUEST for what is no query.
 */
export async function* runSql(deps: SqlDeps, sql: string, params: SqlParams): AsyncGenerator<ResultPart> {
  const { duck, views, signal } = deps;
  await views.prepare(sql);
  signal.throwIfAborted();
  const connection = await duck.open();
  const interrupt = () => connection.interrupt();
  signal.addEventListener('abort', interrupt, { once: true });
  try {
    yield* statements(duck, connection, sql, params);
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  } finally {
    signal.removeEventListener('abort', interrupt);
    connection.closeSync();
  }
}

async function* statements(
  duck: Duck,
  connection: DuckDBConnection,
  sql: string,
  params: SqlParams,
): AsyncGenerator<ResultPart> {
  if (sql.replace(/--.*$|\/\*[\s\S]*?\*\/|;/gm, '').trim() === '')
    throw new StitchworkError('BAD_REQUEST', 'there is no statement');
  const all: DuckDBExtractedStatements = await connection.extractStatements(sql);
  for (let i = 0; i < all.count; i++) {
    const statement = await all.prepare(i);
    bind(duck, statement, params);
    if (i < all.count - 1) await statement.run();
    else yield* resultOf(duck, statement);
  }
}

async function* resultOf(duck: Duck, statement: DuckDBPreparedStatement): AsyncGenerator<ResultPart> {
  if (statement.statementType !== duck.module.StatementType.SELECT)
    throw new StitchworkError('BAD_REQUEST', 'the last statement must be a query: SELECT, WITH or FROM');
  const result = await statement.stream();
  const columns = result.columnNames();
  const types = result.columnTypes().map(String);
  yield { columns, types, rows: [] };
  for (;;) {
    const chunk = await result.fetchChunk();
    if (!chunk || chunk.rowCount === 0) return;
    yield { columns, types, rows: chunk.convertRows(duck.module.JSDuckDBValueConverter) };
  }
}

function bind({ module }: Duck, statement: DuckDBPreparedStatement, params: SqlParams): void {
  const values: Record<string, DuckDBValue> = {};
  for (let i = 1; i <= statement.parameterCount; i++) {
    const name = statement.parameterName(i);
    const value = Object.hasOwn(params, name) ? params[name] : undefined;
    if (value === undefined)
      throw new StitchworkError(
        'BAD_REQUEST',
        `$${name} is no parameter of this job; there are ${Object.keys(params).join(', ')}`,
      );
    values[name] =
      value instanceof Date ? new module.DuckDBTimestampValue(BigInt(value.getTime()) * 1000n) : value;
  }
  if (statement.parameterCount > 0) statement.bind(values);
}
