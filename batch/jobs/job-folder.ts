// The jobs of a folder: its `.sql`, `.ts` and `.mjs` files, each with its head, checked against one another and against the
// tables of the segment. A file with problems is told and left out, the others run.
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { SegmentConfig } from '../../shared/contract/config/segment-config.ts';
import { didYouMean } from '../../shared/kernel/edit-distance.ts';
import { errorText, StitchworkError } from '../../shared/kernel/errors.ts';
import { sha256Base64Url } from '../../shared/kernel/hash.ts';
import { completeHead, type HeadFields, type HeadProblem, type JobHead, readHead } from './job-head.ts';

export interface Job extends JobHead {
  readonly kind: 'sql' | 'module';
  /** Name of the file in the folder. */
  readonly file: string;
  /** Where its body is: its own file, or that of the shipped job that it uses. */
  readonly path: string;
  /** The SQL; of a module the whole text. */
  readonly body: string;
  readonly digest: string;
}

export interface JobFolder {
  /** Dependencies before what depends on them. */
  readonly jobs: readonly Job[];
  /** `file:line: what is wrong`. */
  readonly problems: readonly string[];
}

export const JOBS_MAX = 200;
const FILE_BYTES_MAX = 1_000_000;

interface Found {
  readonly job: Job;
  readonly lines: ReadonlyMap<keyof JobHead, number>;
}

/**
 * Jobs of a folder for a segment; none when there is no folder. `shipped`: the folder of the jobs that others can use. Throws
 * INVALID_SETTINGS when it cannot be read.
 */
export async function readJobFolder(
  folder: string,
  shipped: string,
  config: SegmentConfig,
): Promise<JobFolder> {
  const problems: string[] = [];
  const found: Found[] = [];
  for (const file of await filesOf(folder)) {
    const read = await readJob(folder, shipped, file);
    problems.push(...read.problems.map((problem) => told(file, problem)));
    if (!read.found) continue;
    const { job } = read.found;
    if (job.segment !== null && job.segment !== config.segment) continue;
    const wrong = [...tableProblems(read.found, config), ...nameProblems(read.found, found)];
    problems.push(...wrong.map((problem) => told(file, problem)));
    if (wrong.length === 0) found.push(read.found);
  }
  const ordered = inOrder(found, problems);
  return { jobs: ordered, problems };
}

function told(file: string, { line, message }: HeadProblem): string {
  return `${file}:${line}: ${message}`;
}

async function filesOf(folder: string): Promise<readonly string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    const files = entries
      .filter((entry) => !entry.isDirectory() && !entry.name.startsWith('.'))
      .map(({ name }) => name)
      .filter((name) => /\.(sql|ts|mjs)$/.test(name) && !name.endsWith('.d.ts'))
      .sort();
    if (files.length <= JOBS_MAX) return files;
  } catch (cause) {
    if ((cause as { code?: unknown }).code === 'ENOENT') return [];
    throw new StitchworkError(
      'INVALID_SETTINGS',
      `the jobs in ${folder} cannot be read: ${errorText(cause)}`,
      {
        cause,
      },
    );
  }
  throw new StitchworkError('INVALID_SETTINGS', `${folder} holds more than ${JOBS_MAX} jobs`);
}

async function readJob(
  folder: string,
  shipped: string,
  file: string,
): Promise<{ readonly found?: Found; readonly problems: readonly HeadProblem[] }> {
  const path = join(folder, file);
  const text = await textOf(path);
  if (text === undefined)
    return { problems: [{ line: 1, message: `cannot be read, or has more than ${FILE_BYTES_MAX} bytes` }] };
  const own = readHead(text);
  const used = own.fields.use ? await readShipped(shipped, own.fields.use) : undefined;
  const problems = [...own.problems];
  const line = own.lines.get('use') ?? 1;
  if (own.fields.use && !used)
    problems.push({
      line,
      message: `there is no shipped job '${own.fields.use}'; there are ${(await shippedNames(shipped)).join(', ')}`,
    });
  if (used && own.body.trim() !== '')
    problems.push({
      line,
      message: `a job that uses ${own.fields.use} has no text of its own behind its head`,
    });
  if (!used && !own.fields.use && own.problems.length === 0 && own.body.trim() === '')
    problems.push({ line: 1, message: 'there is nothing behind the head' });
  const { head, problems: missing } = completeHead(merged(used?.fields, own.fields));
  if (own.problems.length === 0) problems.push(...missing);
  if (problems.length > 0) return { problems };
  const from = used ?? { path, body: own.body, file };
  const kind = from.path.endsWith('.sql') ? 'sql' : 'module';
  const digest = sha256Base64Url(`${text}\n${used?.body ?? ''}`, 22);
  const job: Job = { ...head, kind, file, path: from.path, body: from.body, digest };
  return { found: { job, lines: own.lines }, problems };
}

/** Parameters are taken one by one, everything else by field. */
function merged(shipped: HeadFields | undefined, own: HeadFields): HeadFields {
  return { ...shipped, ...own, params: { ...shipped?.params, ...own.params } };
}

async function readShipped(
  folder: string,
  name: string,
): Promise<{ readonly fields: HeadFields; readonly path: string; readonly body: string } | undefined> {
  const file = (await filesOf(folder)).find((each) => nameOf(each) === name);
  if (file === undefined) return undefined;
  const path = join(folder, file);
  const { fields, body } = readHead(await readFile(path, 'utf8'));
  return { fields, path, body };
}

/** Names of the jobs that can be used without their text. */
export async function shippedNames(folder: string): Promise<readonly string[]> {
  return (await filesOf(folder)).map(nameOf);
}

function nameOf(file: string): string {
  return file.replace(/\.(sql|ts|mjs)$/, '').replaceAll('-', '_');
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    if ((await stat(path)).size > FILE_BYTES_MAX) return undefined;
    return await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
}

function tableProblems({ job, lines }: Found, { batchTables }: SegmentConfig): readonly HeadProblem[] {
  const line = lines.get('table') ?? lines.get('use') ?? 1;
  const names = batchTables.map(({ name }) => name);
  const table = batchTables.find(({ name }) => name === job.table);
  if (!table) {
    const meant = didYouMean(job.table, names);
    const hint = meant === undefined ? `it has: ${names.join(', ') || 'none'}` : `did you mean ${meant}?`;
    return [{ line, message: `the config has no batch table '${job.table}'; ${hint}` }];
  }
  if (job.key === null || job.key === table.key) return [];
  return [
    {
      line: lines.get('key') ?? line,
      message: `key is ${job.key}, but the table ${table.name} has ${table.key}`,
    },
  ];
}

function nameProblems({ job, lines }: Found, others: readonly Found[]): readonly HeadProblem[] {
  const problems: HeadProblem[] = [];
  const same = others.find((other) => other.job.name === job.name);
  if (same)
    problems.push({
      line: lines.get('name') ?? 1,
      message: `${same.job.file} has the name ${job.name} already`,
    });
  const rival = others.find((other) => other.job.table === job.table);
  if (rival)
    problems.push({
      line: lines.get('table') ?? 1,
      message: `${rival.job.file} makes the table ${job.table} already: a run replaces the table, whole`,
    });
  return problems;
}

/** Dependencies first. What depends on something that is not there, or on itself, is left out, and told. */
function inOrder(found: readonly Found[], problems: string[]): readonly Job[] {
  const ordered: Job[] = [];
  const left = new Map(found.map((each) => [each.job.name, each]));
  const isDone = (name: string) => ordered.some((job) => job.name === name);
  for (let moved = true; moved; ) {
    moved = false;
    for (const { job } of left.values()) {
      if (!job.dependsOn.every(isDone)) continue;
      ordered.push(job);
      left.delete(job.name);
      moved = true;
    }
  }
  for (const { job, lines } of left.values()) {
    const line = lines.get('dependsOn') ?? 1;
    const absent = job.dependsOn.filter((name) => !isDone(name) && !left.has(name));
    const message =
      absent.length > 0
        ? `it depends on ${absent.join(', ')}, which cannot run or is not there`
        : `it depends on ${job.dependsOn.join(', ')}, which cannot begin before it: a circle`;
    problems.push(told(job.file, { line, message }));
  }
  return ordered;
}
