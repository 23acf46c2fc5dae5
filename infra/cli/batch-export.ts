// `stitchwork batch export`: profiles, attributes, links, audiences and activations as Parquet, now.
import type { Command } from 'commander';
import type { Exported, ExportKind, ExportOptions } from '../../batch/export/write-export.ts';
import type { SegmentNames } from '../../shared/contract/names.ts';
import { didYouMean } from '../../shared/kernel/edit-distance.ts';
import { systemRandom } from '../../shared/kernel/random.ts';
import type { NatsDoor } from '../../shared/nats/connect.ts';
import type { ClientFlags } from '../../shared/settings.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withExample, withNatsFlags } from './flags.ts';
import type { Io } from './io.ts';
import { memoryOf, withinTime } from './limits.ts';

interface Flags extends ClientFlags {
  readonly json?: boolean;
  readonly to?: string;
  readonly what?: string;
  readonly keep: string;
  readonly timeout: string;
  readonly memory: string;
}

export function addBatchExport(batch: Command, io: Io): void {
  const command = batch
    .command('export')
    .description(
      'write profiles, attributes, links, audiences and activations as Parquet, whole or not at all',
    )
    .option(
      '--to <folder>',
      'where exports lie, a folder each (default: exports/<segment> of the data folder)',
    )
    .option('--what <kinds>', 'only these, with commas; also audit')
    .option('--keep <number>', 'so many exports stay in the folder', '7')
    .option('--timeout <duration>', 'how long it may take', '1h')
    .option('--memory <size>', 'memory that it may take', '1GB');
  withExample(
    withNatsFlags(command),
    'stitchwork batch export --segment shop --to /data/exports --what profiles,links',
  );
  command.action((flags: Flags) => runBatchExport(flags, io));
}

async function runBatchExport(flags: Flags, io: Io): Promise<void> {
  const memoryBytes = memoryOf('--memory', flags.memory);
  const keep = Number(flags.keep);
  if (!Number.isSafeInteger(keep) || keep < 1)
    throw new CommandFailure(EXIT.usage, `--keep ${flags.keep}: give a whole number from 1`);
  const [{ EXPORT_KINDS, EXPORTED_BY_DEFAULT }, { withNats }] = await Promise.all([
    import('../../batch/export/write-export.ts'),
    import('./nats-context.ts'),
  ]);
  const what = flags.what === undefined ? EXPORTED_BY_DEFAULT : kindsOf(flags.what, EXPORT_KINDS);
  await withinTime('--timeout', flags.timeout, io, (signal) =>
    withNats(flags, io, async (door, names) => {
      const { folder, manifest, removed } = await exportNow(
        { door, names, flags, io },
        { memoryBytes, keep, what, signal },
      );
      if (flags.json) io.out(JSON.stringify({ folder, ...manifest, removed }));
      else {
        io.out(folder);
        for (const { name, rows, bytes } of manifest.files)
          io.talk(`  ${name}: ${rows} rows, ${bytes} bytes`);
      }
    }),
  );
}

interface Place {
  readonly door: NatsDoor;
  readonly names: SegmentNames;
  readonly flags: Flags;
  readonly io: Io;
}

async function exportNow(
  { door, names, flags, io }: Place,
  {
    memoryBytes,
    ...wanted
  }: Pick<ExportOptions, 'keep' | 'what' | 'signal'> & { readonly memoryBytes: number },
): Promise<Exported> {
  const [
    { writeExport },
    { deployedConfig },
    { viewDeps },
    { openViews },
    { clientSettings },
    { exportFolder },
  ] = await Promise.all([
    import('../../batch/export/write-export.ts'),
    import('./deployed-config.ts'),
    import('../open-views.ts'),
    import('../../batch/query/open-views.ts'),
    import('./client-context.ts'),
    import('../segment-exports.ts'),
  ]);
  const { dataDir } = clientSettings(flags, io);
  const { config } = await deployedConfig(door, names);
  const { segment } = names;
  const atMs = io.clock.nowMs();
  const log = (text: string) => io.progress(text);
  const deps = viewDeps(door, names, config, dataDir);
  const opened = await openViews(deps, { memoryBytes, nowMs: atMs, signal: wanted.signal, log });
  try {
    const to = flags.to ?? exportFolder({ dir: `${dataDir}/exports` }, segment);
    return await writeExport(opened, { ...wanted, segment, to, atMs, random: systemRandom });
  } finally {
    await opened.close();
  }
}

function kindsOf(text: string, known: readonly ExportKind[]): readonly ExportKind[] {
  const kinds = new Set<ExportKind>();
  for (const name of text.split(',').map((part) => part.trim())) {
    const kind = known.find((each) => each === name);
    const meant = didYouMean(name, known);
    const hint = meant === undefined ? `there are ${known.join(', ')}` : `did you mean ${meant}?`;
    if (kind === undefined) throw new CommandFailure(EXIT.usage, `--what ${name}: ${hint}`);
    kinds.add(kind);
  }
  return [...kinds];
}
