// `stitchwork replay`: an NDJSON or CSV file into the live segment, resumable, at a bounded rate.
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Command, Option } from 'commander';
import { parseDurationMs } from '../../shared/kernel/duration.ts';
import { sha256Hex } from '../../shared/kernel/hash.ts';
import { systemRandom } from '../../shared/kernel/random.ts';
import type { ClientSettings } from '../../shared/settings.ts';
import { type Mapping, parseMappingFile, parseMappingFlags } from '../replay/mapping.ts';
import { type Position, type PositionFile, positionFile } from '../replay/position.ts';
import { digestFile, FILE_FORMATS, type FileFormat, formatOf, readRows } from '../replay/read-rows.ts';
import { eventOf, type ReplayTotals, replayRows } from '../replay/replay-file.ts';
import { sendBatch } from '../replay/send.ts';
import { apiFetch } from './api-client.ts';
import { clientSettings, writeTarget } from './client-context.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { collect, withApiFlags, withExample } from './flags.ts';
import type { Io } from './io.ts';
import type { ShadowFlags } from './shadow.ts';

interface ReplayFlags extends ShadowFlags {
  readonly json?: boolean;
  readonly map?: readonly string[];
  readonly set?: readonly string[];
  readonly mapping?: string;
  readonly format?: FileFormat;
  readonly rate: string;
  readonly restart?: boolean;
  readonly resume?: boolean;
  readonly dryRun?: boolean;
  readonly giveUpAfter: string;
}

interface ReplayJob {
  readonly file: string;
  readonly format: FileFormat;
  readonly digest: string;
  readonly mapping: Mapping;
  readonly ratePerSecond: number | undefined;
  readonly giveUpAfterMs: number;
}

const DRY_RUN_EVENTS = 5;
const BROKEN_TOLD_MAX = 20;
const START: ReplayTotals = { rows: 0, sent: 0, broken: 0, rejected: 0 };

export function addReplay(program: Command, io: Io): void {
  const command = program
    .command('replay')
    .description(
      'send the rows of a file (Parquet, or NDJSON or CSV, also .gz) as events into the live segment, or replay into a shadow',
    )
    .argument('[file]', 'file with one event a row; with --into and none: the events of the segment itself')
    .addOption(
      new Option(
        '-m, --map <target=column>',
        'event field from a column, e.g. keys.email=mail, properties.qty=qty:number (repeatable)',
      ).argParser(collect),
    )
    .addOption(
      new Option('--set <target=value>', 'event field with a fixed value (repeatable)').argParser(collect),
    )
    .option('--mapping <file>', 'YAML or JSON file: { map: { target: column }, set: { target: value } }')
    .addOption(
      new Option('--format <format>', 'when the name of the file does not tell').choices([...FILE_FORMATS]),
    )
    .option('--rate <rate>', 'events a second, such as 500/s, or max', 'max')
    .option('--restart', 'forget the saved position and begin at the first row')
    .option('--resume', 'go on from the saved position although it was saved against another gateway')
    .option('--dry-run', 'print the first events and send nothing')
    .option('--give-up-after <duration>', 'how long a batch is tried again', '60s')
    .option(
      '--into <shadow>',
      'into this shadow segment instead, on event time; it is made when it is not there',
    )
    .option('-c, --config <file>', 'config of the shadow (default: the one in force)')
    .option('--nats-url <url>', 'NATS server of the shadow (env NATS_URL)')
    .option('--since <time>', 'of the own stream: from this log time on, or so long ago')
    .option('--until <time>', 'up to this time')
    .option('--from-seq <number>', 'of the own stream: from this sequence on')
    .option('--to-seq <number>', 'up to this sequence')
    .addOption(
      new Option('--only <name:value>', 'of the own stream: events with this key (repeatable)').argParser(
        collect,
      ),
    )
    .option('--compare', 'then compare the segment with the shadow')
    .option('--events-max-bytes <size>', 'size limit of the event log of the shadow');
  withExample(
    withApiFlags(command),
    'stitchwork replay orders.csv --set name=Ordered --map keys.email=mail --map properties.qty=qty:number --map timestamp=ts',
    'stitchwork replay events.jsonl.gz --rate 1000/s',
    'stitchwork replay --segment shop --into shop-next --config next.yaml --since 7d --compare',
  );
  command.action(async (file: string | undefined, flags: ReplayFlags) => {
    if (flags.into !== undefined) return intoShadow(file, flags, io);
    if (file === undefined)
      throw new CommandFailure(
        EXIT.usage,
        'which file? A segment is replayed into a shadow (--into NAME), never into itself: it would count twice',
      );
    const settings = clientSettings(flags, io);
    const job = await planJob(file, flags);
    if (flags.dryRun) return dryRun(job, io);
    await runJob(job, settings, flags, io);
  });
}

async function intoShadow(file: string | undefined, flags: ReplayFlags, io: Io): Promise<void> {
  const { replayIntoShadow } = await import('./replay-into.ts');
  const job = file === undefined ? undefined : await planJob(file, flags);
  const rate = job ? job.ratePerSecond : rateOf(flags.rate);
  await replayIntoShadow(job, rate, flags, io);
}

/** Events a second; undefined: as fast as they are taken. */
function rateOf(text: string): number | undefined {
  if (text === 'max') return undefined;
  const rate = Number(/^(\d+)(\/s)?$/.exec(text)?.[1] ?? 0);
  if (rate > 0) return rate;
  throw new CommandFailure(EXIT.usage, `--rate ${text}: give 500/s or max`);
}

async function planJob(file: string, flags: ReplayFlags): Promise<ReplayJob> {
  const format = flags.format ?? formatOf(file);
  const problems: string[] = [];
  if (format === undefined)
    problems.push(
      `--format: the name ${JSON.stringify(basename(file))} does not tell ndjson, csv or parquet`,
    );
  const fromFile =
    flags.mapping === undefined ? undefined : parseMappingFile(await readFile(flags.mapping, 'utf8'));
  const fromFlags = parseMappingFlags(flags.map ?? [], flags.set ?? []);
  problems.push(...(fromFile?.problems ?? []).map((p) => `${flags.mapping}: ${p}`), ...fromFlags.problems);
  const mapping = [...(fromFile?.mapping ?? []), ...fromFlags.mapping];
  if (format !== 'ndjson' && mapping.length === 0)
    problems.push('a CSV or Parquet file needs a mapping: --map or --mapping');
  const rate = /^(\d+)(\/s)?$/.exec(flags.rate);
  if (flags.rate !== 'max' && !(rate && Number(rate[1]) > 0))
    problems.push(`--rate ${flags.rate}: give 500/s or max`);
  const giveUpAfterMs = parseDurationMs(flags.giveUpAfter);
  if (giveUpAfterMs === undefined)
    problems.push(`--give-up-after ${flags.giveUpAfter}: give a duration such as 60s`);
  const digest = await digestFile(file);
  if (problems.length > 0 || format === undefined || giveUpAfterMs === undefined) {
    throw new CommandFailure(EXIT.usage, problems.join('\n'));
  }
  return { file, format, digest, mapping, ratePerSecond: rate ? Number(rate[1]) : undefined, giveUpAfterMs };
}

async function dryRun(job: ReplayJob, io: Io): Promise<void> {
  let shown = 0;
  for await (const row of readRows(job.file, job.format)) {
    const event = eventOf(row, { mapping: job.mapping, fileDigest: job.digest });
    if ('reason' in event) io.talk(`line ${row.line}: ${event.reason}`);
    else io.out(JSON.stringify(event.event));
    shown += 1;
    if (shown >= DRY_RUN_EVENTS) break;
  }
  io.talk(`nothing was sent: these are the first ${shown} rows`);
}

async function runJob(job: ReplayJob, settings: ClientSettings, flags: ReplayFlags, io: Io): Promise<void> {
  const saved = positionFile(settings.dataDir, job.digest, settings.segment);
  const from = startingPoint(saved, job, settings, flags);
  if (from.finished) io.talk(`${job.file} was replayed to its end before; --restart sends it again`);
  else if (from.rows > 0) io.talk(`resuming after row ${from.rows} (${saved.path})`);
  const signal = io.interruptible();
  const startedMs = io.clock.elapsedMs();
  const totals = from.finished ? from : await sendRows(job, settings, from, saved, signal, io);
  const seconds = Math.max(0.001, (io.clock.elapsedMs() - startedMs) / 1000);
  const sentNow = totals.sent - from.sent;
  const { rows, sent, broken, rejected } = totals;
  if (flags.json) io.out(JSON.stringify({ file: job.file, rows, sent, sentNow, broken, rejected, seconds }));
  else {
    const rate = Math.round(sentNow / seconds).toLocaleString('en');
    io.out(`${rows} rows: ${sent} sent (${sentNow} now, ${rate}/s), ${broken} broken, ${rejected} rejected`);
  }
  if (broken + rejected > 0) throw new CommandFailure(EXIT.problems, '');
}

async function sendRows(
  job: ReplayJob,
  settings: ClientSettings,
  from: ReplayTotals,
  saved: PositionFile,
  signal: AbortSignal,
  io: Io,
): Promise<ReplayTotals> {
  const position = (totals: ReplayTotals, finished: boolean): Position => ({
    v: 1,
    file: job.file,
    fileDigest: job.digest,
    url: settings.url,
    mappingDigest: mappingDigest(job.mapping),
    ...totals,
    finished,
  });
  const post = poster(settings);
  let told = 0;
  const totals = await replayRows(
    readRows(job.file, job.format),
    {
      clock: io.clock,
      send: (events) =>
        sendBatch(
          events,
          {
            post,
            clock: io.clock,
            random: systemRandom,
            onRetry: (reason, waitMs) => io.progress(`${reason}; trying again in ${waitMs} ms`),
          },
          { giveUpAfterMs: job.giveUpAfterMs, signal },
        ),
      onBatch(soFar) {
        saved.save(position(soFar, false));
        io.progress(`${soFar.rows} rows, ${soFar.sent} sent, ${soFar.broken + soFar.rejected} not usable`);
      },
      onBroken(line, reason) {
        told += 1;
        if (told <= BROKEN_TOLD_MAX) io.talk(`line ${line}: ${reason}`);
        if (told === BROKEN_TOLD_MAX) io.talk('further rows that cannot be used are only counted');
      },
    },
    { fileDigest: job.digest, mapping: job.mapping, from, ratePerSecond: job.ratePerSecond, signal },
  );
  saved.save(position(totals, true));
  return totals;
}

function startingPoint(
  saved: PositionFile,
  job: ReplayJob,
  settings: ClientSettings,
  flags: ReplayFlags,
): ReplayTotals & { readonly finished: boolean } {
  if (flags.restart) saved.clear();
  const position = saved.load();
  if (position === undefined) return { ...START, finished: false };
  if (position.mappingDigest !== mappingDigest(job.mapping)) {
    throw new CommandFailure(
      EXIT.usage,
      `${job.file} was begun with another mapping; --restart sends it from the first row`,
    );
  }
  if (position.url !== settings.url && !flags.resume) {
    const choice = '--resume if it is the same system, --restart if it is not';
    throw new CommandFailure(
      EXIT.usage,
      `${job.file} was begun against ${position.url}, not ${settings.url}: ${choice}`,
    );
  }
  const { rows, sent, broken, rejected, finished } = position;
  return { rows, sent, broken, rejected, finished };
}

function mappingDigest(mapping: Mapping): string {
  return sha256Hex(JSON.stringify(mapping)).slice(0, 16);
}

function poster(settings: ClientSettings) {
  const target = writeTarget(settings);
  return async (body: string) => {
    const headers = { 'content-type': 'application/json' };
    const response = await apiFetch(target, '/v1/events', { method: 'POST', body, headers });
    const retryAfter = response.headers.get('retry-after') ?? undefined;
    return { status: response.status, retryAfter, body: await response.text() };
  };
}
