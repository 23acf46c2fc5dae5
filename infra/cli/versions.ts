// `stitchwork versions`: the history of a segment's config, newest first.
import type { Command } from 'commander';
import type { ClientFlags } from '../../shared/settings.ts';
import { configApi } from './config-api.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withApiFlags, withExample } from './flags.ts';
import { type Io, table } from './io.ts';

interface Flags extends ClientFlags {
  readonly json?: boolean;
  readonly limit?: string;
}

const NOTE_WIDTH = 60;

export function addVersions(program: Command, io: Io): void {
  const command = program
    .command('versions')
    .description('versions of a segment config, newest first; the first row is in force')
    .option('-n, --limit <number>', 'at most so many', '20');
  withExample(withApiFlags(command), 'stitchwork versions', 'stitchwork versions -n 1000 --json');
  command.action(async (flags: Flags) => {
    const { limit = '' } = flags;
    if (!/^[1-9]\d{0,5}$/.test(limit))
      throw new CommandFailure(EXIT.usage, `--limit ${limit}: give a number above 0`);
    const history = await (await configApi(flags, io)).history();
    const versions = history.versions.slice(0, Number(limit));
    if (flags.json) {
      io.out(JSON.stringify({ ...history, versions }));
      return;
    }
    const rows = versions.map(({ version, at, by, note, rollbackOf }) => {
      const why = [rollbackOf === null ? '' : `rollback to ${rollbackOf}`, note ?? ''];
      return [
        String(version),
        at,
        by,
        why
          .filter((part) => part !== '')
          .join(': ')
          .slice(0, NOTE_WIDTH),
      ];
    });
    for (const line of table([['VERSION', 'AT', 'BY', 'NOTE'], ...rows], io.style)) io.out(line);
  });
}
