// What the SQL of a job sees, made when a text first mentions it: events of the archive up to a position, profiles and links as
// they are now, rows of earlier results. All of it in a database of the run's own, which is thrown away.
import type { DuckDBConnection } from '@duckdb/node-api';
import { keysOf } from '../../actors/identity/keys.ts';
import type { Profile } from '../../actors/profile/profile.ts';
import { decodeRecord } from '../../actors/profile/record-codec.ts';
import { viewProfile } from '../../actors/profile/view.ts';
import type {
  BatchTableConfig,
  ColumnType,
  SegmentConfig,
} from '../../shared/contract/config/segment-config.ts';
import type { StoredRows } from '../../shared/ports/stored-rows.ts';
import { type Duck, sqlText } from '../duck.ts';
import { TableFiller } from './table-filler.ts';

export interface ViewDeps {
  readonly duck: Duck;
  readonly config: SegmentConfig;
  readonly stored: StoredRows;
  /** Parquet files of the archive. */
  readonly files: readonly string[];
  /** Events up to this position in the log. */
  readonly through: number;
  readonly nowMs: number;
  readonly signal: AbortSignal;
  readonly log: (text: string) => void;
}

const EVENT_COLUMNS = `sequence BIGINT, shard INTEGER, source VARCHAR, message_id VARCHAR, name VARCHAR, "table" VARCHAR,
  keys JSON, properties JSON, event_time TIMESTAMP_MS, log_time TIMESTAMP_MS`;
const COLUMN_SQL: Readonly<Record<ColumnType, string>> = {
  string: 'VARCHAR',
  number: 'DOUBLE',
  boolean: 'BOOLEAN',
  timestamp: 'TIMESTAMP',
  list: 'VARCHAR[]',
};

export class JobViews {
  readonly #deps: ViewDeps;
  readonly #made = new Map<string, Promise<void>>();

  constructor(deps: ViewDeps) {
    this.#deps = deps;
  }

  /** Makes every view that a text mentions. */
  async prepare(sql: string): Promise<void> {
    const mentions = (name: string) => new RegExp(`\\b${name}\\b`, 'i').test(sql);
    if (mentions('events') || mentions('raw_events')) await this.#once('events', () => this.#events());
    if (mentions('profiles') || mentions('links')) await this.#once('profiles', () => this.#profiles());
    if (mentions('profile_events')) await this.#once('profile_events', () => this.#profileEvents());
    for (const table of this.#deps.config.batchTables)
      if (new RegExp(`\\bresults\\s*\\.\\s*"?${table.name}\\b`, 'i').test(sql))
        await this.#once(`results.${table.name}`, () => this.#results(table));
  }

  #once(name: string, make: () => Promise<void>): Promise<void> {
    const made = this.#made.get(name) ?? make();
    this.#made.set(name, made);
    return made;
  }

  async #events(): Promise<void> {
    const { files, through } = this.#deps;
    await this.#run(async (connection) => {
      const from =
        files.length > 0
          ? `read_parquet([${files.map(sqlText).join(', ')}], hive_partitioning = false)`
          : 'no_events';
      if (files.length === 0) await connection.run(`CREATE TABLE no_events (${EVENT_COLUMNS})`);
      await connection.run(`CREATE VIEW raw_events AS SELECT sequence, message_id, name, "table" AS table_name, keys, properties,
        event_time::TIMESTAMP AS event_time, log_time::TIMESTAMP AS log_time, shard
        FROM ${from} WHERE source = 'ingest' AND name IS NOT NULL AND sequence <= ${through}`);
      // What a client sent again. Hashes first: hardly any message is, and ids take several times the memory.
      await connection.run(`CREATE TABLE repeats AS SELECT sequence FROM (
        SELECT sequence, row_number() OVER (PARTITION BY message_id ORDER BY sequence) AS nth FROM raw_events
        WHERE hash(message_id) IN (SELECT hash(message_id) FROM raw_events GROUP BY ALL HAVING count(*) > 1)) WHERE nth > 1`);
      const repeats = Number(
        (await connection.runAndReadAll('SELECT count(*) FROM repeats')).getRows()[0]?.[0],
      );
      const less = repeats === 0 ? '' : ' WHERE sequence NOT IN (SELECT sequence FROM repeats)';
      await connection.run(`CREATE VIEW events AS SELECT * FROM raw_events${less}`);
      const counted = await connection.runAndReadAll('SELECT count(*) FROM events');
      this.#deps.log(`${counted.getRows()[0]?.[0]} events up to ${through}, ${repeats} repeats left out`);
    });
  }

  /** Links follow from profiles: a key is whose profile lists it. */
  async #profiles(): Promise<void> {
    const { duck, config, stored, nowMs, signal, log } = this.#deps;
    await this.#run(async (connection) => {
      await connection.run(`CREATE TABLE all_profiles (nth BIGINT, id VARCHAR, keys JSON, attributes JSON, audiences VARCHAR[],
        created_at TIMESTAMP, updated_at TIMESTAMP, seen JSON)`);
      const filler = new TableFiller(duck, connection, 'all_profiles');
      let nth = 0;
      for await (const batch of stored.profiles(signal)) {
        for (const { key, value } of batch) {
          const state = decodeRecord(key, value);
          nth += 1;
          if (state.kind === 'profile') await filler.add([nth, ...profileRow(state, config, nowMs)]);
          // A profile that was merged meanwhile: this one comes later than what it was.
          else if (state.kind === 'redirect')
            await filler.add([nth, key.slice(key.indexOf('.') + 1), ...NO_PROFILE]);
        }
      }
      await filler.close();
      await connection.run(`CREATE TABLE profiles_now AS SELECT * EXCLUDE (nth) FROM all_profiles
        QUALIFY row_number() OVER (PARTITION BY id ORDER BY nth DESC) = 1`);
      await connection.run('DROP TABLE all_profiles');
      await connection.run('DELETE FROM profiles_now WHERE keys IS NULL');
      await connection.run('CREATE VIEW profiles AS SELECT * EXCLUDE (seen) FROM profiles_now');
      await connection.run(`CREATE TABLE links AS SELECT held->>'n' AS key_name, held->>'v' AS value, id AS profile_id,
        epoch_ms((held->>'f')::BIGINT) AS first_seen, epoch_ms((held->>'l')::BIGINT) AS last_seen
        FROM (SELECT id, unnest(seen::JSON[]) AS held FROM profiles_now)`);
      const [counts] = (
        await connection.runAndReadAll('SELECT (SELECT count(*) FROM profiles), (SELECT count(*) FROM links)')
      ).getRows();
      log(`${counts?.[0]} profiles, ${counts?.[1]} links`);
    });
  }

  /** The profile that each event's keys lead to now, by the strongest of them that leads anywhere. */
  async #profileEvents(): Promise<void> {
    await this.#once('events', () => this.#events());
    await this.#once('profiles', () => this.#profiles());
    const { duck, config, signal } = this.#deps;
    await this.#run(async (connection) => {
      await connection.run(
        'CREATE TABLE key_forms (keys VARCHAR, rank INTEGER, key_name VARCHAR, value VARCHAR)',
      );
      const filler = new TableFiller(duck, connection, 'key_forms');
      const reading = await duck.open();
      try {
        const result = await reading.stream(
          'SELECT DISTINCT keys::VARCHAR FROM events WHERE keys IS NOT NULL',
        );
        for (;;) {
          signal.throwIfAborted();
          const chunk = await result.fetchChunk();
          if (!chunk || chunk.rowCount === 0) break;
          for (const [text] of chunk.getRows() as string[][]) await addForms(filler, text!, config);
        }
      } finally {
        reading.closeSync();
      }
      await filler.close();
      await connection.run(`CREATE TABLE key_sets AS SELECT keys, arg_min(profile_id, rank) AS profile_id
        FROM key_forms JOIN links USING (key_name, value) GROUP BY keys`);
      await connection.run('DROP TABLE key_forms');
      await connection.run(`CREATE VIEW profile_events AS SELECT key_sets.profile_id, events.* FROM events
        JOIN key_sets ON events.keys::VARCHAR = key_sets.keys`);
    });
  }

  async #results(table: BatchTableConfig): Promise<void> {
    const { duck, stored, signal, log } = this.#deps;
    const columns = Object.entries(table.columns);
    const texts = [table.key, ...columns.map(([name]) => name)].map((name) => `"${name}" VARCHAR`);
    const typed = columns.map(([name, type]) =>
      type === 'list'
        ? `("${name}"::JSON)::VARCHAR[] AS "${name}"`
        : `"${name}"::${COLUMN_SQL[type]} AS "${name}"`,
    );
    await this.#run(async (connection) => {
      await connection.run('CREATE SCHEMA IF NOT EXISTS results');
      await connection.run(`CREATE TABLE rows_of_${table.name} (nth BIGINT, ${texts.join(', ')})`);
      const filler = new TableFiller(duck, connection, `rows_of_${table.name}`);
      let nth = 0;
      for await (const batch of stored.rows(table.name, signal)) {
        for (const { key, values } of batch) {
          if (key === undefined) continue;
          const cells = columns.map(([name, type]) => cellOf(values[name], type));
          await filler.add([++nth, key, ...cells]);
        }
      }
      await filler.close();
      await connection.run(`CREATE VIEW results.${table.name} AS SELECT ${[`"${table.key}"`, ...typed].join(', ')}
        FROM rows_of_${table.name} QUALIFY row_number() OVER (PARTITION BY "${table.key}" ORDER BY nth DESC) = 1`);
      log(`${nth} rows of ${table.name}`);
    });
  }

  #run(use: (connection: DuckDBConnection) => Promise<void>): Promise<void> {
    const { duck, signal } = this.#deps;
    return duck.use(async (connection) => {
      const interrupt = () => connection.interrupt();
      signal.addEventListener('abort', interrupt, { once: true });
      try {
        signal.throwIfAborted();
        await use(connection);
      } finally {
        signal.removeEventListener('abort', interrupt);
      }
    });
  }
}

const NO_PROFILE = [null, null, null, null, null, null];

function profileRow(profile: Profile, config: SegmentConfig, nowMs: number): readonly unknown[] {
  const { id, keys, attributes, audiences, createdAt, updatedAt } = viewProfile(profile, config, nowMs);
  const seen = Object.entries(profile.keys).flatMap(([n, held]) =>
    held.map(({ value: v, firstSeenMs: f, lastSeenMs: l }) => ({ n, v, f, l })),
  );
  const times = [new Date(createdAt), new Date(updatedAt)];
  return [id, JSON.stringify(keys), JSON.stringify(attributes), audiences, ...times, JSON.stringify(seen)];
}

async function addForms(filler: TableFiller, text: string, config: SegmentConfig): Promise<void> {
  const keys = JSON.parse(text) as Record<string, string>;
  for (const { config: key, rank, value } of keysOf(config, { keys }).usable)
    await filler.add([text, rank, key.name, value]);
}

function cellOf(value: unknown, type: ColumnType): string | null {
  if (value === undefined || value === null) return null;
  return type === 'list' || typeof value === 'object' ? JSON.stringify(value) : String(value);
}
