// `stitchwork batch links`: what a table of id pairs or the whole archive knows of identities and the live graph does not; a dry
// run, or sent as link messages.
import type { Command } from 'commander';
import type { LinkReport } from '../../batch/links/link-report.ts';
import type { FoundRow } from '../../batch/links/link-source.ts';
import type { OpenViews } from '../../batch/query/open-views.ts';
import type { SegmentNames } from '../../shared/contract/names.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withExample, withNatsFlags } from './flags.ts';
import { type Io, table } from './io.ts';
import { memoryOf, withinTime } from './limits.ts';

interface Flags extends ClientFlags {
  readonly json?: boolean;
  readonly from?: string;
  readonly fromArchive?: boolean;
  readonly send?: boolean;
  readonly sendRefused?: boolean;
  readonly rate: string;
  readonly by: string;
  readonly timeout: string;
  readonly memory: string;
}

export function addBatchLinks(batch: Command, io: Io): void {
  const links = batch
    .command('links')
    .description(
      'compare identity links with the live ones, tell what they would do, and send what is missing',
    )
    .option('--from <file>', 'pairs: key_name_a, value_a, key_name_b, value_b, at (Parquet, CSV, NDJSON)')
    .option('--from-archive', 'all keys that stood on one event, over the whole archive')
    .option('--send', 'send what is missing (default: only tell what would happen)')
    .option('--send-refused', 'also send what a rule refuses, so that the audit log has it')
    .option('--rate <per second>', 'links a second, at most', '2000/s')
    .option('--by <name>', 'who found them', 'batch links')
    .option('--timeout <duration>', 'how long it may take', '24h')
    .option('--memory <size>', 'memory that comparing may take', '1GB');
  withExample(
    withNatsFlags(links),
    'stitchwork batch links --from pairs.parquet --segment shop',
    'stitchwork batch links --from-archive --send --rate 500/s --segment shop',
  );
  links.action((flags: Flags) => runBatchLinks(flags, io));
}

async function runBatchLinks(flags: Flags, io: Io): Promise<void> {
  const memoryBytes = memoryOf('--memory', flags.memory);
  const ratePerSecond = rateOf(flags.rate);
  if ((flags.from === undefined) === !flags.fromArchive)
    throw new CommandFailure(EXIT.usage, 'give one of --from FILE and --from-archive');
  if (flags.sendRefused && !flags.send)
    throw new CommandFailure(EXIT.usage, '--send-refused is part of --send');
  const rows = flags.from === undefined ? undefined : await pairsOf(flags.from);
  const { withNats } = await import('./nats-context.ts');
  await withinTime('--timeout', flags.timeout, io, (signal) =>
    withNats(flags, io, async (door, names) => {
      const report = await run({ door, names, flags, io, signal }, { rows, memoryBytes, ratePerSecond });
      if (flags.json) io.out(JSON.stringify({ segment: names.segment, dryRun: !flags.send, ...report }));
      else tell(report, flags.send === true, io);
    }),
  );
}

interface Place {
  readonly door: NatsDoor;
  readonly names: SegmentNames;
  readonly flags: Flags;
  readonly io: Io;
  readonly signal: AbortSignal;
}

interface Wanted {
  /** Undefined: the archive's. */
  readonly rows: AsyncIterable<FoundRow> | undefined;
  readonly memoryBytes: number;
  readonly ratePerSecond: number;
}

async function run(place: Place, { rows, memoryBytes, ratePerSecond }: Wanted): Promise<LinkReport> {
  const { door, names, flags, io, signal } = place;
  const [{ deployedConfig }, { viewDeps }, { openViews }, { openLinks }, { clientSettings }] =
    await Promise.all([
      import('./deployed-config.ts'),
      import('../open-views.ts'),
      import('../../batch/query/open-views.ts'),
      import('../open-links.ts'),
      import('./client-context.ts'),
    ]);
  const { config, version } = await deployedConfig(door, names);
  const { dataDir } = clientSettings(flags, io);
  const links = await openLinks(door, names, { config, version, by: flags.by });
  try {
    // What an earlier run has sent is in place before anything is compared.
    if (flags.send) await links.settled(signal);
    const log = (text: string) => io.progress(text);
    const deps = viewDeps(door, names, config, dataDir);
    const opened = await openViews(deps, { memoryBytes, nowMs: io.clock.nowMs(), signal, log });
    try {
      const source = rows ?? (await archiveOf(opened, dataDir, signal));
      const onBroken = (reason: string) => io.talk(reason);
      const compared = await links.compare({ ...opened, signal, onBroken }, source);
      const onProgress = ({ judged, sent }: LinkReport) => io.progress(`${judged} judged, ${sent} sent`);
      const options = { duck: opened.duck, compared, signal, onProgress };
      if (!flags.send) return await links.dryRun(options);
      return await links.send(options, { ratePerSecond, alsoRefused: flags.sendRefused === true });
    } finally {
      await opened.close();
    }
  } finally {
    await links.close();
  }
}

async function archiveOf(
  { duck, views, through }: OpenViews,
  dataDir: string,
  signal: AbortSignal,
): Promise<AsyncIterable<FoundRow>> {
  if (through === 0)
    throw new CommandFailure(EXIT.notFound, `there is no archive in ${dataDir}: give --data-dir`);
  const { setsOfArchive } = await import('../../batch/links/link-source.ts');
  return setsOfArchive(duck, views, signal);
}

/** Throws CommandFailure when the file is of no kind that can be read, ENOENT. */
async function pairsOf(file: string): Promise<AsyncIterable<FoundRow>> {
  const [{ formatOf, readRows }, { setOfRow }, { stat }] = await Promise.all([
    import('../replay/read-rows.ts'),
    import('../../batch/links/link-source.ts'),
    import('node:fs/promises'),
  ]);
  const format = formatOf(file);
  if (format === undefined)
    throw new CommandFailure(EXIT.usage, `the name ${file} does not tell ndjson, csv or parquet`);
  await stat(file);
  return (async function* () {
    for await (const row of readRows(file, format)) {
      const found = row.kind === 'row' ? setOfRow(row.fields) : row;
      yield found.kind === 'broken' ? { ...found, reason: `line ${row.line}: ${found.reason}` } : found;
    }
  })();
}

function rateOf(text: string): number {
  const rate = Number(/^(\d+)\/s$/.exec(text)?.[1] ?? 0);
  if (rate >= 1) return rate;
  throw new CommandFailure(EXIT.usage, `--rate ${text}: give links a second, such as 500/s`);
}

function tell(report: LinkReport, wasSent: boolean, io: Io): void {
  const { found, sets, inPlace, differing, judged, isWhole, outcomes, refusals, unusable, samples, sent } =
    report;
  io.out(`${found} found, ${sets} different sets of keys: ${inPlace} in place, ${differing} not`);
  const counts = Object.entries(outcomes).filter(([, count]) => count > 0);
  for (const [outcome, count] of counts) io.out(`  ${outcome.replace('_', ' ').padEnd(10)} ${count}`);
  for (const [reason, count] of Object.entries(refusals)) io.out(`  refused by ${reason}: ${count}`);
  for (const [reason, count] of Object.entries(unusable)) io.out(`  not usable, ${reason}: ${count}`);
  if (!isWhole) io.out(`  the first ${judged} were looked at; --send looks at all`);
  const rows = samples.map(({ outcome, keys, at, detail }) => [
    outcome,
    keys.join(' '),
    at ?? '-',
    detail.join('; '),
  ]);
  if (rows.length > 0)
    for (const line of table([['for example', 'keys', 'at', ''], ...rows], io.style)) io.out(line);
  io.out(wasSent ? `${sent} links sent and applied` : 'nothing was sent: --send does');
}
