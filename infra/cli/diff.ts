// `stitchwork diff`: what a config file would change, and what that means for profiles that exist.
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import type { ClientFlags } from '../../shared/settings.ts';
import { configApi } from './config-api.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withApiFlags, withExample } from './flags.ts';
import type { Io } from './io.ts';

interface Flags extends ClientFlags {
  readonly json?: boolean;
  readonly events?: string;
}

const EVENTS_DEFAULT = 10_000;
const EVENTS_MAX = 50_000;

export function addDiff(program: Command, io: Io): void {
  const command = program
    .command('diff')
    .description('what a segment config would change against the one in force')
    .argument('<file>', 'segment config file (YAML)')
    .option(
      '--events <number>',
      `messages of the log, the newest, that a changed stitching is tried on; 0 for none, at most ${EVENTS_MAX}`,
      String(EVENTS_DEFAULT),
    );
  withExample(
    withApiFlags(command),
    'stitchwork diff shop.yaml',
    'stitchwork diff shop.yaml --events 50000 --json | jq .stitching.join.count',
  );
  command.action(async (file: string, flags: Flags) => {
    const events = eventsOf(flags);
    const { loadSegmentFiles } = await import('../segment-files.ts');
    const [source] = await loadSegmentFiles([file]);
    const api = await configApi({ ...flags, segment: source!.config.segment }, io);
    const found = await api.diff(await readFile(file, 'utf8'), events);
    if (flags.json) {
      io.out(JSON.stringify(found));
      return;
    }
    const { describeDiff } = await import('../../shared/contract/config/describe-diff.ts');
    const { describeStitching } = await import('../../actors/profile/describe-stitching.ts');
    io.talk(`against version ${found.from}`);
    for (const line of describeDiff(found.diff)) io.out(line);
    if (found.stitching) for (const line of describeStitching(found.stitching)) io.out(line);
  });
}

function eventsOf({ events = '' }: Flags): number | undefined {
  const count = /^\d{1,6}$/.test(events) ? Number(events) : Number.NaN;
  if (count >= 0 && count <= EVENTS_MAX) return count === 0 ? undefined : count;
  throw new CommandFailure(EXIT.usage, `--events ${events}: give a number from 0 to ${EVENTS_MAX}`);
}
