// `stitchwork batch run|history|logs`, and the jobs in `batch list`: asked for and told by the records that batch processes
// keep, so that it can be done from anywhere.
import type { Command } from 'commander';
import {
  type JobIndex,
  type JobRecord,
  type LogLine,
  NO_JOB_RECORD,
  type RunEntry,
} from '../../shared/contract/job-record.ts';
import type { SegmentNames } from '../../shared/contract/names.ts';
import { parseDurationMs } from '../../shared/kernel/duration.ts';
import { didYouMean } from '../../shared/kernel/edit-distance.ts';
import { randomToken, systemRandom } from '../../shared/kernel/random.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import type { RecordStore } from '../../shared/ports/record-store.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withExample, withNatsFlags } from './flags.ts';
import { type Io, table } from './io.ts';

interface Flags extends ClientFlags {
  readonly json?: boolean;
  readonly wait?: boolean;
  readonly timeout?: string;
  readonly limit?: string;
  readonly run?: string;
}

const POLL_MS = 200;
const ASK_MS = 1000;
const LIMIT_DEFAULT = 20;

export function addBatchJobs(batch: Command, io: Io): void {
  const run = batch
    .command('run')
    .description('run a job now, what it depends on first, and tell how it went')
    .argument('<job>', 'name of the job')
    .option('--no-wait', 'only ask for it')
    .option('--timeout <duration>', 'how long to wait for its end', '30m');
  withExample(withNatsFlags(run), 'stitchwork batch run rfm --segment shop');
  run.action((job: string, flags: Flags) => withJobs(flags, io, (jobs) => runJob(jobs, job, flags, io)));
  const history = batch
    .command('history')
    .description('the last runs of jobs, the newest first')
    .argument('[job]', 'name of one job')
    .option('--limit <number>', 'so many', String(LIMIT_DEFAULT));
  withExample(withNatsFlags(history), 'stitchwork batch history rfm --segment shop');
  history.action((job: string | undefined, flags: Flags) =>
    withJobs(flags, io, (jobs) => tellHistory(jobs, job, flags, io)),
  );
  const logs = batch
    .command('logs')
    .description('what a run has logged')
    .argument('<job>', 'name of the job')
    .option('--run <number>', 'of this run (default: the last one)');
  withExample(withNatsFlags(logs), 'stitchwork batch logs rfm --segment shop --run 12');
  logs.action((job: string, flags: Flags) => withJobs(flags, io, (jobs) => tellLog(jobs, job, flags, io)));
}

interface Jobs {
  readonly segment: string;
  readonly store: RecordStore;
  readonly index: JobIndex;
  readonly ask: (owner: string) => Promise<boolean>;
  readonly record: (name: string) => Promise<{ readonly record: JobRecord; readonly revision: number }>;
  readonly log: (name: string, run: number) => Promise<readonly LogLine[] | undefined>;
  /** False: somebody else wrote the record. */
  readonly write: (
    name: string,
    held: { readonly record: JobRecord; readonly revision: number },
    record: JobRecord,
  ) => Promise<boolean>;
}

async function withJobs(flags: Flags, io: Io, use: (jobs: Jobs) => Promise<void>): Promise<void> {
  const { withNats } = await import('./nats-context.ts');
  await withNats(flags, io, async (door, names) => use(await openJobs(door, names, io)));
}

/** Runs a job now and waits for its end. Throws CommandFailure when that is not known in time. */
export async function runJobNow(
  door: NatsDoor,
  names: SegmentNames,
  job: string,
  timeoutMs: number,
  io: Io,
): Promise<RunEntry> {
  const jobs = await openJobs(door, names, io);
  find(jobs, job);
  const id = await request(jobs, job, io);
  return endOf(jobs, job, id, io.clock.elapsedMs() + timeoutMs, io);
}

async function openJobs(door: NatsDoor, names: SegmentNames, io: Io): Promise<Jobs> {
  const [{ createRecordStore }, { createPresence }, records, { recordKeys }] = await Promise.all([
    import('../../shared/nats/record-store.ts'),
    import('../../shared/nats/presence.ts'),
    import('../../batch/jobs/job-store.ts'),
    import('../../shared/contract/names.ts'),
  ]);
  const store = createRecordStore(door, names);
  const presence = createPresence(door, names);
  return {
    segment: names.segment,
    store,
    index: (await records.readJobIndex(store)).record,
    ask: async (owner) => (await presence.ask(owner, ASK_MS)) === 'there',
    record: (name) => records.readJobRecord(store, name),
    log: async (name, run) => (await records.readJobLog(store, name, run))?.lines,
    async write(name, held, record) {
      const pause = () => io.clock.sleep(POLL_MS);
      const outcome = await records.writeRecord(store, recordKeys.batchJob(name), held, record, pause);
      return outcome.kind === 'written';
    },
  };
}

/** What `batch list` tells of the jobs of a segment. */
export async function describeJobs(door: NatsDoor, names: SegmentNames, io: Io) {
  const jobs = await openJobs(door, names, io);
  const found = Object.entries(jobs.index.jobs).sort(([a], [b]) => (a < b ? -1 : 1));
  const described = [];
  for (const [name, { cron, timezone, table: of, dependsOn, file, by }] of found) {
    const { record } = await jobs.record(name);
    const last = record.history.at(-1);
    described.push({
      job: name,
      cron,
      timezone,
      table: of,
      dependsOn,
      file,
      runnable: await jobs.ask(by),
      running: record.open ? { run: record.open.run, owner: record.open.owner } : null,
      requested: record.request !== null,
      last: last ? shownEntry(name, last) : null,
    });
  }
  return { jobs: described, problems: [...new Set(Object.values(jobs.index.problems).flat())] };
}

export type DescribedJobs = Awaited<ReturnType<typeof describeJobs>>;

export function tellJobs({ jobs, problems }: DescribedJobs, io: Io): void {
  const rows = jobs.map(({ job, cron, timezone, table: of, running, requested, runnable, last }) => [
    job,
    of,
    cron === null ? 'on demand' : `${cron} ${timezone}`,
    running ? `running (${running.run})` : requested ? 'waiting' : runnable ? '-' : 'no process',
    last ? `${last.state} ${last.endedAt}` : 'never ran',
    last?.rows === null || last === null ? '-' : String(last.rows),
  ]);
  if (rows.length > 0) {
    const head = ['job', 'table', 'when', 'now', 'last run', 'rows'];
    for (const line of table([head, ...rows], io.style)) io.out(line);
  }
  for (const problem of problems) io.talk(problem);
}

function shownEntry(job: string, entry: RunEntry) {
  const { run, state, cause, dueMs, startedMs, endedMs, owner, attempt, through, missed, overlapped } = entry;
  const { rows, written, removed, unusable, error } = entry;
  const times = { dueAt: iso(dueMs), startedAt: iso(startedMs), endedAt: iso(endedMs) };
  const counts = { rows, written, removed, unusable, missed, overlapped };
  const seconds = (endedMs - startedMs) / 1000;
  return { job, run, state, cause, ...times, seconds, owner, attempt, through, ...counts, error };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}

/** Throws CommandFailure when nobody knows the job. */
function find({ index, segment }: Jobs, name: string): JobIndex['jobs'][string] {
  const known = index.jobs[name];
  if (known) return known;
  const names = Object.keys(index.jobs);
  const meant = didYouMean(name, names);
  const hint = meant === undefined ? `there are: ${names.join(', ') || 'none'}` : `did you mean ${meant}?`;
  throw new CommandFailure(EXIT.notFound, `segment ${segment} has no job '${name}'; ${hint}`);
}

async function runJob(jobs: Jobs, name: string, flags: Flags, io: Io): Promise<void> {
  const timeoutMs = parseDurationMs(flags.timeout ?? '30m');
  if (timeoutMs === undefined)
    throw new CommandFailure(EXIT.usage, `--timeout ${flags.timeout}: give a duration such as 10m`);
  const { by } = find(jobs, name);
  if (!(await jobs.ask(by)))
    throw new CommandFailure(EXIT.failed, `no process has the job ${name} now: run stitchwork batch`);
  const id = await request(jobs, name, io);
  if (flags.wait === false) {
    io.out(flags.json ? JSON.stringify({ job: name, requested: id }) : `${name} was asked for`);
    return;
  }
  const entry = await endOf(jobs, name, id, io.clock.elapsedMs() + timeoutMs, io);
  if (!flags.json) for (const line of (await jobs.log(name, entry.run)) ?? []) io.talk(lineOf(line));
  io.out(flags.json ? JSON.stringify(shownEntry(name, entry)) : summary(name, entry));
  if (entry.state !== 'succeeded') throw new CommandFailure(EXIT.failed, '');
}

async function request(jobs: Jobs, name: string, io: Io): Promise<string> {
  for (;;) {
    const held = await jobs.record(name);
    const { open, request: waiting } = held.record;
    if (open)
      throw new CommandFailure(
        EXIT.failed,
        `run ${open.run} of ${name} is under way on ${open.owner}: not begun`,
      );
    if (waiting) return waiting.id;
    const id = randomToken(systemRandom);
    const nowMs = io.clock.nowMs();
    const asked = { id, cause: 'request', dueMs: nowMs, atMs: nowMs, missed: 0 } as const;
    if (await jobs.write(name, held, { ...NO_JOB_RECORD, ...held.record, request: asked })) return id;
  }
}

async function endOf(jobs: Jobs, name: string, id: string, endMs: number, io: Io): Promise<RunEntry> {
  for (;;) {
    const { record } = await jobs.record(name);
    const run = record.answered?.id === id ? record.answered.run : undefined;
    const entry = run === undefined ? undefined : record.history.find((each) => each.run === run);
    if (entry) return entry;
    const where = record.open ? `run ${record.open.run} on ${record.open.owner}` : 'waiting';
    if (io.clock.elapsedMs() > endMs)
      throw new CommandFailure(EXIT.failed, `${name} did not end in time (${where}): it goes on`);
    io.progress(`${name}: ${where}`);
    await io.clock.sleep(POLL_MS);
  }
}

function lineOf({ atMs, text }: LogLine): string {
  return `${iso(atMs)} ${text}`;
}

function summary(name: string, entry: RunEntry): string {
  const seconds = ((entry.endedMs - entry.startedMs) / 1000).toFixed(1);
  if (entry.state !== 'succeeded') return `${name}: run ${entry.run} ${entry.state}: ${entry.error}`;
  const { rows, written, removed, unusable } = entry;
  return `${name}: run ${entry.run} succeeded: ${rows} rows in force, ${written ?? '?'} written, ${removed ?? '?'} removed, ${unusable} not usable, ${seconds} s`;
}

async function tellHistory(jobs: Jobs, job: string | undefined, flags: Flags, io: Io): Promise<void> {
  const limit = Number(flags.limit ?? LIMIT_DEFAULT);
  if (!Number.isInteger(limit) || limit < 1)
    throw new CommandFailure(EXIT.usage, `--limit ${flags.limit}: give a whole number`);
  if (job !== undefined) find(jobs, job);
  const names = job === undefined ? Object.keys(jobs.index.jobs) : [job];
  const runs: ReturnType<typeof shownEntry>[] = [];
  for (const name of names)
    runs.push(...(await jobs.record(name)).record.history.map((entry) => shownEntry(name, entry)));
  const newest = runs.sort((a, b) => (a.endedAt > b.endedAt ? -1 : 1)).slice(0, limit);
  if (flags.json) {
    io.out(JSON.stringify({ runs: newest }));
    return;
  }
  if (newest.length === 0) io.talk('no run yet');
  const head = ['job', 'run', 'state', 'cause', 'ended', 'seconds', 'rows', 'process', 'error'];
  const rows = newest.map((each) => [
    each.job,
    String(each.run),
    each.state,
    each.cause,
    each.endedAt,
    each.seconds.toFixed(1),
    String(each.rows ?? '-'),
    each.owner || '-',
    each.error?.split('\n')[0] ?? '',
  ]);
  if (rows.length > 0) for (const line of table([head, ...rows], io.style)) io.out(line);
}

async function tellLog(jobs: Jobs, job: string, flags: Flags, io: Io): Promise<void> {
  find(jobs, job);
  const { record } = await jobs.record(job);
  const run =
    flags.run === undefined ? (record.open?.run ?? record.history.at(-1)?.run ?? 0) : Number(flags.run);
  const lines = await jobs.log(job, run);
  if (!lines) throw new CommandFailure(EXIT.notFound, `there is no log of run ${run} of ${job}`);
  if (flags.json) {
    const shown = lines.map(({ atMs, text }) => ({ at: iso(atMs), text }));
    io.out(JSON.stringify({ job, run, lines: shown }));
  } else for (const line of lines) io.out(lineOf(line));
}
