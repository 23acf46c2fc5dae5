// Fills a table of DuckDB with values of JavaScript, some rows at a time.
import type { DuckDBAppender, DuckDBConnection, DuckDBType, DuckDBValue } from '@duckdb/node-api';
import type { Duck } from '../duck.ts';

const CHUNK_ROWS = 2048;

export class TableFiller {
  readonly #duck: Duck;
  readonly #connection: DuckDBConnection;
  readonly #table: string;
  #types: readonly DuckDBType[] | undefined;
  #appender: DuckDBAppender | undefined;
  #rows: (readonly unknown[])[] = [];

  /** `table`: one that is there. */
  constructor(duck: Duck, connection: DuckDBConnection, table: string) {
    this.#duck = duck;
    this.#connection = connection;
    this.#table = table;
  }

  /** Values in the order of the columns: text, numbers, truth values, dates, lists of text, null. */
  async add(row: readonly unknown[]): Promise<void> {
    this.#rows.push(row);
    if (this.#rows.length >= CHUNK_ROWS) await this.#flush();
  }

  async close(): Promise<void> {
    await this.#flush();
    this.#appender?.closeSync();
  }

  async #flush(): Promise<void> {
    if (this.#rows.length === 0) return;
    const { module } = this.#duck;
    this.#types ??= (await this.#connection.run(`SELECT * FROM ${this.#table} LIMIT 0`)).columnTypes();
    this.#appender ??= await this.#connection.createAppender(this.#table);
    const types = this.#types;
    const chunk = module.DuckDBDataChunk.create(types, this.#rows.length);
    chunk.setRows(this.#rows.map((row) => row.map((value, i) => this.#valueOf(value, types[i]!))));
    this.#appender.appendDataChunk(chunk);
    this.#rows = [];
    // A step of its own, so that other work has its turn.
    await this.#connection.run('SELECT 1');
  }

  #valueOf(value: unknown, type: DuckDBType): DuckDBValue {
    const { module } = this.#duck;
    if (value === null || value === undefined) return null;
    if (value instanceof Date) return new module.DuckDBTimestampValue(BigInt(value.getTime()) * 1000n);
    if (Array.isArray(value)) return new module.DuckDBListValue(value as DuckDBValue[]);
    return type.typeId === module.BIGINT.typeId && typeof value === 'number'
      ? BigInt(value)
      : (value as DuckDBValue);
  }
}
