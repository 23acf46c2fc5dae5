// The head of a job's file: YAML in a comment at its beginning, the same in SQL and in modules, so that it can be read without
// running anything. Every problem is told with its line. Pure.
//
//   /*---
//   name: rfm
//   cron: '0 3 * * *'
//   table: rfm
//   ---*/
import { isMap, isScalar, isSeq, LineCounter, type Pair, parseDocument, type YAMLMap } from 'yaml';
import { parseDurationMs } from '../../shared/kernel/duration.ts';
import { didYouMean } from '../../shared/kernel/edit-distance.ts';
import { cronProblems, isTimezone } from './cron.ts';

export interface HeadProblem {
  /** Of the file, from 1. */
  readonly line: number;
  readonly message: string;
}

export type ParamValue = string | number | boolean;

export interface JobHead {
  readonly name: string;
  /** The only parent segment that it is for; null: every one that the process runs. */
  readonly segment: string | null;
  /** Null: it runs when it is asked for, or when a job that depends on it needs it. */
  readonly cron: string | null;
  readonly timezone: string;
  readonly dependsOn: readonly string[];
  /** Snapshot table that its result becomes. */
  readonly table: string;
  /** Stitching key of the table; null: whatever the table has. */
  readonly key: string | null;
  readonly timeoutMs: number;
  readonly memoryBytes: number;
  /** What becomes of times that passed while nobody was there. */
  readonly catchUp: 'once' | 'skip';
  readonly params: Readonly<Record<string, ParamValue>>;
  /** A shipped job whose body this one has. */
  readonly use: string | null;
}

/** A field that a head does not have is absent. */
export type HeadFields = Partial<JobHead>;

export interface HeadText {
  readonly fields: HeadFields;
  /** Where each field stands. */
  readonly lines: ReadonlyMap<keyof JobHead, number>;
  /** The file behind the head. */
  readonly body: string;
  readonly problems: readonly HeadProblem[];
}

export const HEAD_DEFAULTS = {
  segment: null,
  cron: null,
  timezone: 'UTC',
  dependsOn: [],
  key: null,
  timeoutMs: 30 * 60_000,
  memoryBytes: 1_000_000_000,
  catchUp: 'once',
  params: {},
  use: null,
} as const satisfies HeadFields;

const TIMEOUT_MAX_MS = 24 * 3_600_000;
const MEMORY_MIN_BYTES = 50_000_000;
const DEPENDENCIES_MAX = 20;
const PARAMS_MAX = 100;
const NAME = /^[a-z][a-z0-9_]{0,63}$/;
const SEGMENT = /^[a-z0-9-]{1,32}$/;
const PARAM = /^[a-z][a-z0-9_]{0,63}$/;
/** What a job is told by the engine. */
export const OWN_PARAMS = ['now', 'through', 'scheduled', 'key'] as const;
const HEAD = /^\uFEFF?\s*\/\*---[^\S\n]*\n([\s\S]*?)\n?[^\S\n]*---\*\//;
const UNITS = { KB: 1e3, MB: 1e6, GB: 1e9 } as const;

const NAME_MEANT = 'a name such as rfm_tiers is meant: small letters, digits and _, at most 64';

/** What one field says, or what is wrong with it. */
type Read = (value: unknown) => { readonly is: unknown } | { readonly wrong: string };

const is = (value: unknown) => ({ is: value });
const wrong = (message: string) => ({ wrong: message });
const matching = (pattern: RegExp, meant: string): Read => {
  return (value) => (typeof value === 'string' && pattern.test(value) ? is(value) : wrong(meant));
};

/** By name in the file: the field that it is, and how it is read. */
const FIELDS: Readonly<Record<string, { readonly field: keyof JobHead; readonly read: Read }>> = {
  name: { field: 'name', read: matching(NAME, NAME_MEANT) },
  segment: { field: 'segment', read: matching(SEGMENT, 'the name of a parent segment is meant') },
  cron: { field: 'cron', read: readCron },
  timezone: { field: 'timezone', read: readTimezone },
  depends_on: { field: 'dependsOn', read: readDependencies },
  table: { field: 'table', read: matching(NAME, 'the name of a table of batch.tables is meant') },
  key: { field: 'key', read: matching(NAME, 'the name of a stitching key is meant') },
  timeout: { field: 'timeoutMs', read: readTimeout },
  memory_limit: { field: 'memoryBytes', read: readMemory },
  catch_up: { field: 'catchUp', read: readCatchUp },
  params: { field: 'params', read: readParams },
  use: { field: 'use', read: matching(NAME, 'the name of a shipped job is meant') },
};

/** Reads the head of a file. */
export function readHead(text: string): HeadText {
  const match = HEAD.exec(text);
  const lines = new Map<keyof JobHead, number>();
  if (!match)
    return {
      fields: {},
      lines,
      body: text,
      problems: [{ line: 1, message: 'no head: the file must begin with /*---, YAML, and ---*/' }],
    };
  const yaml = match[1] ?? '';
  const before = text.slice(0, match.index + match[0].indexOf('\n') + 1).split('\n').length - 1;
  const counter = new LineCounter();
  const document = parseDocument(yaml, { lineCounter: counter });
  const lineAt = (offset: number) => before + counter.linePos(offset).line;
  const problems: HeadProblem[] = document.errors.map((error) => ({
    line: lineAt(error.pos[0]),
    message: error.message.split(' at line')[0] ?? error.message,
  }));
  const fields: Record<string, unknown> = {};
  // What is no YAML has no fields that could be spoken of.
  if (problems.length === 0 && isMap(document.contents))
    readFields(document.contents, { lineAt, lines, problems, fields });
  else if (problems.length === 0)
    problems.push({ line: before + 1, message: 'fields are meant, such as name: rfm' });
  // The lines of the head stay as empty ones, so that an error names the line of the file.
  const height = match[0].split('\n').length - 1;
  return { fields, lines, body: '\n'.repeat(height) + text.slice(match[0].length), problems };
}

/** What is missing in a head; its defaults filled in. */
export function completeHead(fields: HeadFields): {
  readonly head: JobHead;
  readonly problems: readonly HeadProblem[];
} {
  const problems = (['name', 'table'] as const)
    .filter((field) => fields[field] === undefined)
    .map((field) => ({ line: 1, message: `${field} is missing` }));
  const head: JobHead = { name: '', table: '', ...HEAD_DEFAULTS, ...fields };
  return { head, problems };
}

interface Reading {
  readonly lineAt: (offset: number) => number;
  readonly lines: Map<keyof JobHead, number>;
  readonly problems: HeadProblem[];
  readonly fields: Record<string, unknown>;
}

function readFields(map: YAMLMap, { lineAt, lines, problems, fields }: Reading): void {
  for (const pair of map.items as Pair[]) {
    const name = isScalar(pair.key) ? String(pair.key.value) : '';
    const line = lineAt((isScalar(pair.key) && pair.key.range?.[0]) || 0);
    const known = Object.hasOwn(FIELDS, name) ? FIELDS[name] : undefined;
    if (!known) {
      const meant = didYouMean(name, Object.keys(FIELDS));
      const hint =
        meant === undefined ? `there are ${Object.keys(FIELDS).join(', ')}` : `did you mean ${meant}?`;
      problems.push({ line, message: `'${name}' is no field of a job; ${hint}` });
      continue;
    }
    lines.set(known.field, line);
    const value = plain(pair.value);
    const read = known.read(value);
    if ('wrong' in read) problems.push({ line, message: `${name} is ${shown(value)}: ${read.wrong}` });
    else fields[known.field] = read.is;
  }
}

function plain(node: unknown): unknown {
  if (isScalar(node)) return node.value;
  return isMap(node) || isSeq(node) ? node.toJSON() : node;
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 100);
}

function readCron(value: unknown): ReturnType<Read> {
  if (typeof value !== 'string') return wrong("a cron expression in quotes is meant, such as '0 3 * * *'");
  const problems = cronProblems(value, 'UTC');
  return problems.length === 0 ? is(value) : wrong(problems.join('; '));
}

function readTimezone(value: unknown): ReturnType<Read> {
  if (typeof value === 'string' && isTimezone(value)) return is(value);
  return wrong('an IANA time zone is meant, such as Europe/Berlin');
}

function readDependencies(value: unknown): ReturnType<Read> {
  const names: unknown[] = Array.isArray(value) ? value : [value];
  const meant = `names of other jobs are meant, at most ${DEPENDENCIES_MAX}`;
  if (names.length > DEPENDENCIES_MAX) return wrong(meant);
  return names.every((name) => typeof name === 'string' && NAME.test(name))
    ? is([...new Set(names)])
    : wrong(meant);
}

function readTimeout(value: unknown): ReturnType<Read> {
  const ms = typeof value === 'string' ? parseDurationMs(value) : undefined;
  return ms !== undefined && ms <= TIMEOUT_MAX_MS
    ? is(ms)
    : wrong('a duration up to 24h is meant, such as 10m');
}

function readMemory(value: unknown): ReturnType<Read> {
  const match = typeof value === 'string' ? /^(\d+) ?(KB|MB|GB)$/i.exec(value) : null;
  const bytes = match ? Number(match[1]) * UNITS[match[2]!.toUpperCase() as keyof typeof UNITS] : 0;
  return bytes >= MEMORY_MIN_BYTES ? is(bytes) : wrong('a size of at least 50MB is meant, such as 1GB');
}

function readCatchUp(value: unknown): ReturnType<Read> {
  return value === 'once' || value === 'skip' ? is(value) : wrong('once or skip is meant');
}

function readParams(value: unknown): ReturnType<Read> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return wrong('names with values are meant');
  const entries = Object.entries(value);
  if (entries.length > PARAMS_MAX) return wrong(`there are at most ${PARAMS_MAX}`);
  for (const [name, of] of entries) {
    if (!PARAM.test(name)) return wrong(`'${name}' is no name of a parameter`);
    if ((OWN_PARAMS as readonly string[]).includes(name)) return wrong(`${name} is told by the engine`);
    if (!['string', 'number', 'boolean'].includes(typeof of))
      return wrong(`${name} must be a text, a number or true or false`);
  }
  return is(value);
}
