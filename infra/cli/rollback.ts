// `stitchwork rollback`: puts the text of an earlier version in force again, as a new version.
import type { Command } from 'commander';
import type { ClientFlags } from '../../shared/settings.ts';
import { type ChangeFlags, changeConfig, versionFlag } from './change-config.ts';
import { configApi } from './config-api.ts';
import { CommandFailure, EXIT } from './exit.ts';
import { withApiFlags, withChangeFlags, withExample } from './flags.ts';
import type { Io } from './io.ts';

export function addRollback(program: Command, io: Io): void {
  const command = program
    .command('rollback')
    .description('put the config of an earlier version in force again, as a new version')
    .option('--to <version>', 'the version whose text comes back');
  withExample(
    withApiFlags(withChangeFlags(command)),
    'stitchwork versions',
    'stitchwork rollback --to 3 --note "the new condition was wrong"',
  );
  command.action(async (flags: ClientFlags & ChangeFlags & { to?: string }) => {
    if (flags.to === undefined) throw new CommandFailure(EXIT.usage, 'rollback needs --to VERSION');
    const to = versionFlag('--to', flags.to);
    const api = await configApi(flags, io);
    await changeConfig(flags, io, (options) => api.rollback(to, { note: flags.note, ...options }));
  });
}
