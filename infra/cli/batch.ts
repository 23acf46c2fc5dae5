// `stitchwork batch`: one batch process; below it, commands about what batch processes keep.
import type { Command } from 'commander';
import { parseRoleSettings, type RoleFlags } from '../../shared/settings.ts';
import { addBatchArchive } from './batch-archive.ts';
import { withArchiveFlags, withExample, withJson, withRoleFlags, withSegmentFlags } from './flags.ts';
import type { Io } from './io.ts';

export function addBatch(program: Command, io: Io): void {
  const command = program
    .command('batch')
    .description('run a batch process: keeps the archive of the event log as Parquet');
  command.enablePositionalOptions();
  withJson(withSegmentFlags(withArchiveFlags(withRoleFlags(command))));
  withExample(
    command,
    'stitchwork batch --config shop.yaml --nats-url nats://10.0.0.5:4222 --data-dir /data --port 9091',
    'stitchwork batch archive status',
  );
  command.action(async (flags: RoleFlags & { json?: boolean }) => {
    const settings = parseRoleSettings(flags, io.env);
    const [{ runRoleCommand }, { runBatch }] = await Promise.all([
      import('./run-role.ts'),
      import('../batch-role.ts'),
    ]);
    await runRoleCommand(
      'batch',
      settings,
      (deps) => runBatch(settings, deps),
      (role) => {
        const { id, url, segments } = role;
        if (flags.json) io.out(JSON.stringify({ id, url, segments, pid: process.pid }));
        else io.out(`batch ${id} of ${segments.join(', ')}${url ? `, metrics at ${url}/metrics` : ''}`);
      },
    );
  });
  addBatchArchive(command, io);
}
