// One export: what is stored of profiles, as Parquet, in a folder that has its name only when it is whole. A reader sees all
// of an export or none of it; what a process that died left behind has a name that no reader looks at.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StitchworkError } from '../../shared/kernel/errors.ts';
import { type Random, randomToken } from '../../shared/kernel/random.ts';
import { sqlText } from '../duck.ts';
import type { OpenViews } from '../query/open-views.ts';

const FORMAT = '(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)';

/** What can be exported, and the query of each. */
export const EXPORTS = {
  profiles: 'SELECT id, keys, audiences, created_at, updated_at FROM profiles',
  attributes: `SELECT profiles.id AS profile_id, each.key AS name, each.value::JSON AS value,
    try_cast(each.value->>'$' AS DOUBLE) AS number FROM profiles, json_each(profiles.attributes) AS each`,
  links: 'SELECT key_name, value, profile_id, first_seen, last_seen FROM links',
  audiences: 'SELECT name, profile_id FROM audiences',
  activations: 'SELECT * FROM activations',
  audit: 'SELECT * FROM audit',
} as const;
export type ExportKind = keyof typeof EXPORTS;
export const EXPORT_KINDS = Object.keys(EXPORTS) as readonly ExportKind[];
/** Without the audit log, which has its own reader. */
export const EXPORTED_BY_DEFAULT: readonly ExportKind[] = EXPORT_KINDS.filter((kind) => kind !== 'audit');

export interface ExportedFile {
  readonly name: string;
  readonly rows: number;
  readonly bytes: number;
  /** Hex. */
  readonly sha256: string;
}

/** `manifest.json` of an export. */
export interface ExportManifest {
  readonly v: 1;
  readonly segment: string;
  /** When profiles began to be read, ISO 8601. */
  readonly at: string;
  readonly files: readonly ExportedFile[];
}

export interface ExportOptions {
  readonly segment: string;
  readonly to: string;
  readonly what: readonly ExportKind[];
  readonly atMs: number;
  /** So many exports stay, this one included. */
  readonly keep: number;
  readonly random: Random;
  readonly signal: AbortSignal;
}

export interface Exported {
  readonly folder: string;
  readonly manifest: ExportManifest;
  /** Folders of earlier exports that were removed. */
  readonly removed: readonly string[];
}

const MANIFEST = 'manifest.json';
const NAME = /^\d{8}T\d{6}\.\d{3}Z$/;
const UNFINISHED = /^\.(unfinished|removed)-/;
/** A folder that nobody has touched for so long was left by a process that died. */
const LEFT_AFTER_MS = 24 * 3_600_000;

/** Throws BAD_REQUEST when an export of this instant is there already, what the views throw, the reason of the signal. */
export async function writeExport({ duck, views }: OpenViews, options: ExportOptions): Promise<Exported> {
  const { to, what, atMs, segment, random, signal } = options;
  const folder = join(to, exportName(atMs));
  if (await exists(folder)) throw new StitchworkError('BAD_REQUEST', `there is an export ${folder} already`);
  const unfinished = join(to, `.unfinished-${randomToken(random)}`);
  await mkdir(unfinished, { recursive: true });
  try {
    await views.prepare(what.map((kind) => EXPORTS[kind]).join('\n'));
    const files: ExportedFile[] = [];
    for (const kind of what) {
      const path = join(unfinished, `${kind}.parquet`);
      const rows = await copy({ duck, signal }, EXPORTS[kind], path);
      files.push({ name: `${kind}.parquet`, rows, ...(await describe(path)) });
    }
    const manifest: ExportManifest = { v: 1, segment, at: new Date(atMs).toISOString(), files };
    await writeFile(join(unfinished, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`);
    await sync(join(unfinished, MANIFEST));
    await sync(unfinished);
    signal.throwIfAborted();
    await rename(unfinished, folder);
    await sync(to);
    return { folder, manifest, removed: await removeOld(options) };
  } catch (error) {
    await rm(unfinished, { recursive: true, force: true });
    signal.throwIfAborted();
    throw error;
  }
}

/** The folder of an export: names sort as their times do. */
export function exportName(atMs: number): string {
  return new Date(atMs).toISOString().replaceAll(/[-:]/g, '');
}

/** Whether there is an export of this instant. */
export function isExported(to: string, atMs: number): Promise<boolean> {
  return exists(join(to, exportName(atMs)));
}

async function copy(
  { duck, signal }: Pick<OpenViews, 'duck'> & Pick<ExportOptions, 'signal'>,
  sql: string,
  path: string,
): Promise<number> {
  return duck.use(async (connection) => {
    const interrupt = () => connection.interrupt();
    signal.addEventListener('abort', interrupt, { once: true });
    try {
      signal.throwIfAborted();
      const done = await connection.runAndReadAll(`COPY (${sql}) TO ${sqlText(path)} ${FORMAT}`);
      return Number(done.getRows()[0]?.[0] ?? 0);
    } finally {
      signal.removeEventListener('abort', interrupt);
    }
  });
}

async function describe(path: string): Promise<{ readonly bytes: number; readonly sha256: string }> {
  await sync(path);
  const hash = createHash('sha256');
  for await (const part of createReadStream(path)) hash.update(part as Buffer);
  return { bytes: (await stat(path)).size, sha256: hash.digest('hex') };
}

/** The oldest go first, each by a name that no reader looks at, so that none is ever seen in part. */
async function removeOld({ to, keep, segment, atMs, random }: ExportOptions): Promise<readonly string[]> {
  const names = await readdir(to);
  const own: string[] = [];
  for (const name of names.filter((each) => NAME.test(each)))
    if (await isOf(join(to, name), segment)) own.push(name);
  const removed = own.sort().slice(0, Math.max(0, own.length - keep));
  for (const name of removed) {
    const gone = join(to, `.removed-${randomToken(random)}`);
    await rename(join(to, name), gone);
    await rm(gone, { recursive: true, force: true });
  }
  for (const name of names.filter((each) => UNFINISHED.test(each))) {
    const found = await stat(join(to, name)).catch(() => undefined);
    if (found && found.mtimeMs < atMs - LEFT_AFTER_MS)
      await rm(join(to, name), { recursive: true, force: true });
  }
  return removed.map((name) => join(to, name));
}

/** Another segment's exports may lie in the same folder, and other people's folders. */
async function isOf(folder: string, segment: string): Promise<boolean> {
  try {
    const manifest: unknown = JSON.parse(await readFile(join(folder, MANIFEST), 'utf8'));
    return (manifest as ExportManifest).segment === segment;
  } catch {
    // Not an export: not ours to remove.
    return false;
  }
}

async function sync(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
