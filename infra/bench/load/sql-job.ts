// A run of a SQL job over an archive of many events, as a process of its own: the archive is made by the same program first,
// then the run is measured in a fresh one. Arguments: what to do, and a SqlJob as JSON.
import { mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createLocalFolder } from '../../../batch/archive/local-folder.ts';
import { EMPTY_MANIFEST, folderOf } from '../../../batch/archive/manifest.ts';
import { appendEntry } from '../../../batch/archive/manifest-store.ts';
import { openDuck, sqlText } from '../../../batch/duck.ts';
import { computeJob } from '../../../batch/jobs/compute-job.ts';
import { HEAD_DEFAULTS } from '../../../batch/jobs/job-head.ts';
import { segmentNames } from '../../../shared/contract/names.ts';
import { connectNats } from '../../../shared/nats/connect.ts';
import { createStoredRows } from '../../../shared/nats/stored-rows.ts';
import { openSnapshots } from '../../open-snapshots.ts';
import { loadSegmentFiles } from '../../segment-files.ts';

export interface SqlJob {
  /** Of the archive. */
  readonly folder: string;
  readonly url: string;
  readonly segment: string;
  readonly configFile: string;
  readonly events: number;
  readonly customers: number;
}

export interface SqlJobResult {
  readonly seconds: number;
  readonly rows: number;
}

const HOURS = 24;
const BEGIN_MS = Date.UTC(2026, 0, 1);
const HOUR_MS = 3_600_000;
const JOB_MEMORY_BYTES = 1_000_000_000;
const SQL = `SELECT keys->>'customer_id' AS key, count(*) AS orders,
  sum((properties->>'qty')::DOUBLE * (properties->>'price')::DOUBLE) AS lifetime_spend,
  max(event_time) AS last_purchase_at, max_by(properties->>'product', event_time) AS next_best_offer,
  CASE WHEN orders >= 60 THEN 'Gold' WHEN orders >= 40 THEN 'Silver' ELSE 'Bronze' END AS tier
  FROM events WHERE name = 'Line Bought' GROUP BY 1`;

/** An archive whose manifest names a file for each of a day's hours. */
async function makeArchive({ folder, events, customers }: SqlJob): Promise<void> {
  const storage = createLocalFolder(folder);
  const duck = await openDuck({ memoryBytes: 4_000_000_000, threads: 2, tempFolder: join(folder, '.tmp') });
  const each = Math.ceil(events / HOURS);
  const files = [];
  for (let hour = 0; hour < HOURS; hour++) {
    const fromMs = BEGIN_MS + hour * HOUR_MS;
    const [first, last] = [hour * each + 1, Math.min(events, (hour + 1) * each)];
    const name = `${folderOf(fromMs)}/bench-${hour}.parquet`;
    const path = storage.pathOf(name) ?? '';
    await mkdir(dirname(path), { recursive: true });
    await duck.use(async (connection) => {
      await connection.run(`COPY (SELECT i AS sequence, (i % 64)::INTEGER AS shard, 'ingest' AS source,
        'bench-' || i AS message_id, CASE WHEN i % 5 = 0 THEN 'product_view' ELSE 'Line Bought' END AS name,
        NULL::VARCHAR AS "table",
        json_object('customer_id', 'c' || (hash(i) % ${customers}), 'session', 's' || (i // 7)) AS keys,
        json_object('qty', 1 + i % 9, 'price', (i % 4000) / 100, 'product', 'p' || (hash(i * 3) % 5000),
          'country', 'United Kingdom', 'closes_invoice', i % 20 = 0) AS properties,
        make_timestamp_ms(${fromMs} + ((i - ${first}) * ${HOUR_MS}) // ${each})::TIMESTAMP_MS AS event_time,
        make_timestamp_ms(${fromMs} + ((i - ${first}) * ${HOUR_MS}) // ${each})::TIMESTAMP_MS AS log_time,
        1 AS v, NULL::JSON AS rest, NULL::BLOB AS raw FROM range(${first}, ${last + 1}) t(i))
        TO ${sqlText(path)} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)`);
    });
    files.push({
      name,
      rows: last - first + 1,
      first,
      last,
      fromMs,
      toMs: fromMs + HOUR_MS,
      bytes: 0,
      digest: '',
    });
  }
  duck.close();
  const claim = {
    kind: 'claim',
    owner: 'bench',
    archiveId: 'bench',
    logId: 'bench',
    startsAfter: 0,
  } as const;
  const claimed = await appendEntry(storage, EMPTY_MANIFEST, claim);
  await appendEntry(storage, claimed!, { kind: 'append', position: events, files });
}

async function run(job: SqlJob): Promise<SqlJobResult> {
  const door = await connectNats({ url: job.url, name: 'bench-sql-job' });
  const names = segmentNames(job.segment);
  const [segment] = await loadSegmentFiles([job.configFile]);
  const begun = performance.now();
  const times = { dueMs: BEGIN_MS, noticedMs: BEGIN_MS, startedMs: BEGIN_MS + HOURS * HOUR_MS };
  const { rows } = await computeJob(
    {
      snapshots: openSnapshots(door, names),
      stored: createStoredRows(door, names),
      storage: createLocalFolder(job.folder),
      scratch: join(job.folder, '.runs'),
      threads: 2,
      pause: async () => {},
    },
    {
      job: {
        ...{ ...HEAD_DEFAULTS, name: 'spend', table: 'crm', memoryBytes: JOB_MEMORY_BYTES },
        ...{ kind: 'sql', file: 'spend.sql', path: 'spend.sql', body: SQL, digest: '' },
      },
      open: {
        run: 1,
        cause: 'request',
        missed: 0,
        ...times,
        owner: 'bench',
        attempt: 1,
        through: job.events,
      },
      config: segment!.config,
      signal: new AbortController().signal,
      log() {},
      confirm: async () => {},
    },
  );
  const seconds = (performance.now() - begun) / 1000;
  await door.close();
  return { seconds, rows };
}

const [what, text = '{}'] = process.argv.slice(2);
const job = JSON.parse(text) as SqlJob;
if (what === 'make') await makeArchive(job);
else process.stdout.write(JSON.stringify(await run(job)));
