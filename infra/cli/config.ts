// `stitchwork config get`: the config of a segment as it was written.
import type { Command } from 'commander';
import type { ClientFlags } from '../../shared/settings.ts';
import { versionFlag } from './change-config.ts';
import { configApi } from './config-api.ts';
import { withApiFlags, withExample } from './flags.ts';
import type { Io } from './io.ts';

interface Flags extends ClientFlags {
  readonly json?: boolean;
  readonly at?: string;
}

export function addConfig(program: Command, io: Io): void {
  const config = program.command('config').description('look at the config of a segment');
  const get = config
    .command('get')
    .description('print the config in force, or an earlier version')
    .option('--at <version>', 'this version instead of the one in force');
  withExample(withApiFlags(get), 'stitchwork config get > shop.yaml', 'stitchwork config get --at 3 --json');
  get.action(async (flags: Flags) => {
    const version = flags.at === undefined ? undefined : versionFlag('--at', flags.at);
    const api = await configApi(flags, io);
    if (flags.json) io.out(JSON.stringify(await api.document(version)));
    else io.out((await api.text(version)).replace(/\n$/, ''));
  });
}
