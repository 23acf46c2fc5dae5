// Archive and log as one list. What the manifest covers comes from the archive, the rest from the log; when the log has
// given up messages meanwhile, the archive has them by then, and the reading goes back to it.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { DuckDBValue } from '@duckdb/node-api';
import { readEnvelope } from '../../actors/profile/parse-message.ts';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import type { ArchiveStorage } from '../../shared/ports/archive-storage.ts';
import type { EventHistory, HistoryBeginning, HistoryQuery } from '../../shared/ports/event-history.ts';
import type { EventLogReader, LogMessage } from '../../shared/ports/event-log.ts';
import type { LogScan } from '../../shared/ports/log-scan.ts';
import type { Duck } from '../duck.ts';
import { type ArchiveRow, messageOf } from './archive-row.ts';
import { clustersOf } from './clusters.ts';
import type { ArchiveFile, Manifest } from './manifest.ts';
import { loadManifest } from './manifest-store.ts';
import { type RowFilter, readParquet } from './parquet.ts';

export interface HistoryDeps {
  readonly storage: ArchiveStorage;
  readonly log: Pick<EventLogReader, 'state' | 'messageAt'>;
  readonly scan: LogScan;
  readonly duck: () => Promise<Duck>;
  /** A folder for files that have to be fetched. */
  readonly scratch: string;
}

/** How often a reading begins again because files were put together under it. */
const TRIES_MAX = 20;

export function createEventHistory(deps: HistoryDeps): EventHistory {
  return {
    beginning: () => beginning(deps),
    read: (query, signal) => read(deps, query, signal),
  };
}

async function beginning(deps: HistoryDeps): Promise<HistoryBeginning> {
  const manifest = await archiveOf(deps);
  for (let tries = 1; ; tries++) {
    const { createdAt: logId, firstSequence, lastSequence } = await deps.log.state();
    const oldest = [...manifest.files.values()].sort((a, b) => a.first - b.first)[0];
    // An archive that was given up ends before the log begins: what lies between is gone.
    if (oldest && manifest.position + 1 >= firstSequence)
      return { logId, firstSequence: manifest.startsAfter + 1, keptFromMs: oldest.fromMs };
    const first = firstSequence > lastSequence ? undefined : await deps.log.messageAt(firstSequence);
    if (first || firstSequence > lastSequence || tries >= TRIES_MAX)
      return { logId, firstSequence, keptFromMs: first?.timeMs };
    // It was removed between the two questions.
  }
}

/** A sequence from `from` on, at or before the first message of a log time: by halves, over what the log still has. */
async function sequenceAt(deps: HistoryDeps, timeMs: number, from: number, upTo: number): Promise<number> {
  const { firstSequence } = await deps.log.state();
  // What the log gave up meanwhile the archive has.
  if (firstSequence > from && (await archiveOf(deps)).position >= from) return from;
  let low = Math.max(from, firstSequence);
  let high = upTo;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    const message = await deps.log.messageAt(middle);
    if (!message) return low;
    if (message.timeMs < timeMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

async function* read(
  deps: HistoryDeps,
  query: HistoryQuery,
  signal: AbortSignal,
): AsyncIterable<readonly LogMessage[]> {
  const upTo = Math.min(query.toSequence ?? Number.POSITIVE_INFINITY, (await deps.log.state()).lastSequence);
  let next = Math.max(1, query.fromSequence ?? 1);
  const { fromTimeMs } = query;
  while (next <= upTo) {
    signal.throwIfAborted();
    const { position } = await archiveOf(deps);
    if (fromTimeMs !== undefined && next > position) next = await sequenceAt(deps, fromTimeMs, next, upTo);
    const part = { from: next, upTo: next <= position ? Math.min(upTo, position) : upTo };
    const source = next <= position ? fromArchive : fromLog;
    for await (const step of source(deps, query, part, signal)) {
      if (step.messages.length > 0) yield step.messages;
      next = step.next;
    }
    // The log had no more: it is the end, unless the archive has taken over what is missing.
    if (source === fromLog && next <= upTo && (await archiveOf(deps)).position < next) return;
  }
}

interface Part {
  readonly from: number;
  readonly upTo: number;
}

/** Messages that match, and the sequence to go on from. */
interface Step {
  readonly messages: readonly LogMessage[];
  readonly next: number;
}

/** Ends early where the log has given up what the archive has by now. */
async function* fromLog(
  deps: HistoryDeps,
  query: HistoryQuery,
  { from, upTo }: Part,
  signal: AbortSignal,
): AsyncIterable<Step> {
  let next = from;
  for await (const messages of deps.scan.scan(from, upTo, signal)) {
    const gap = messages.findIndex(({ sequence }, index) => sequence !== next + index);
    const hasMoved = gap >= 0 && (await archiveOf(deps)).position >= next + gap;
    const sound = hasMoved ? messages.slice(0, gap) : messages;
    next = hasMoved ? next + gap : messages.at(-1)!.sequence + 1;
    yield { messages: sound.filter((message) => matches(message, query)), next };
    if (hasMoved) return;
  }
}

/** Begins again behind what it has read when files are put together under it. */
async function* fromArchive(
  deps: HistoryDeps,
  query: HistoryQuery,
  { from, upTo }: Part,
  signal: AbortSignal,
): AsyncIterable<Step> {
  let next = from;
  for (let tries = 1; ; tries++) {
    const manifest = await archiveOf(deps);
    try {
      for (const cluster of clustersOf(manifest, query, next, upTo)) {
        for await (const rows of readCluster(deps, cluster, query, { from: next, upTo })) {
          signal.throwIfAborted();
          next = rows.at(-1)!.sequence + 1;
          const sure = rows.filter((row) => row.raw === null || matches(messageOf(row), query));
          yield { messages: sure.map(messageOf), next };
        }
      }
      yield { messages: [], next: upTo + 1 };
      return;
    } catch (error) {
      if (signal.aborted || tries >= TRIES_MAX || !(await isOutdated(deps, manifest))) throw error;
    }
  }
}

async function* readCluster(
  deps: HistoryDeps,
  files: readonly ArchiveFile[],
  query: HistoryQuery,
  part: Part,
): AsyncIterable<readonly ArchiveRow[]> {
  const fetched: string[] = [];
  try {
    const paths: string[] = [];
    for (const { name } of files) {
      const path = deps.storage.pathOf(name) ?? (await fetchFile(deps, name));
      if (deps.storage.pathOf(name) === undefined) fetched.push(path);
      paths.push(path);
    }
    yield* readParquet(await deps.duck(), paths, filterOf(query, part, files.length > 1));
  } finally {
    for (const path of fetched) await rm(dirname(path), { recursive: true, force: true });
  }
}

async function fetchFile({ storage, scratch }: HistoryDeps, name: string): Promise<string> {
  const bytes = await storage.read(name);
  await mkdir(scratch, { recursive: true });
  const path = join(await mkdtemp(join(scratch, 'read-')), 'file.parquet');
  await writeFile(path, bytes);
  return path;
}

function filterOf(query: HistoryQuery, { from, upTo }: Part, sort: boolean): RowFilter {
  const { fromTimeMs, toTimeMs, shards, keys } = query;
  const where = [`sequence BETWEEN ${from} AND ${upTo}`];
  const values: DuckDBValue[] = [];
  if (fromTimeMs !== undefined) where.push(`epoch_ms(log_time) >= ${Math.ceil(fromTimeMs)}`);
  if (toTimeMs !== undefined) where.push(`epoch_ms(log_time) < ${Math.ceil(toTimeMs)}`);
  if (shards !== undefined) where.push(shards.length === 0 ? 'false' : `shard IN (${shards.join(', ')})`);
  if (keys !== undefined) {
    // A row that keeps its payload is looked at again: its columns may not say exactly what the payload says.
    const either = ['raw IS NOT NULL'];
    for (const [name, wanted] of Object.entries(keys)) {
      if (wanted.length === 0) continue;
      values.push(pointerTo(name), ...wanted);
      either.push(`json_extract_string(keys, ?) IN (${wanted.map(() => '?').join(', ')})`);
    }
    where.push(`(${either.join(' OR ')})`);
  }
  return { where, values, sort };
}

/** JSON pointer (RFC 6901). */
function pointerTo(name: string): string {
  return `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
}

function matches(message: LogMessage, { fromTimeMs, toTimeMs, shards, keys }: HistoryQuery): boolean {
  if (fromTimeMs !== undefined && message.timeMs < fromTimeMs) return false;
  if (toTimeMs !== undefined && message.timeMs >= toTimeMs) return false;
  if (shards !== undefined && !shards.includes(message.shard)) return false;
  if (keys === undefined) return true;
  const envelope = readEnvelope(message.payload);
  if (envelope?.type !== 'event') return false;
  return Object.entries(keys).some(([name, wanted]) => {
    const value = Object.hasOwn(envelope.event.keys, name) ? envelope.event.keys[name] : undefined;
    return value !== undefined && wanted.includes(value);
  });
}

/** The manifest, of the log that is there. Throws LOG_REPLACED. */
async function archiveOf({ storage, log }: HistoryDeps): Promise<Manifest> {
  const manifest = await loadManifest(storage);
  if (manifest.version === 0) return manifest;
  const { createdAt } = await log.state();
  if (createdAt === manifest.logId) return manifest;
  throw new StitchworkError(
    'LOG_REPLACED',
    `the archive is of the log created at ${manifest.logId}, this one was created at ${createdAt}`,
  );
}

/** Whether a file that the manifest names is not in the newest one any more. */
async function isOutdated({ storage }: HistoryDeps, { files }: Manifest): Promise<boolean> {
  const now = await loadManifest(storage);
  return [...files.keys()].some((name) => !now.files.has(name));
}
